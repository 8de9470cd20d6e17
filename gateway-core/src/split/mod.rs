//! [`Split`]: one target that is several, each with its share of the requests.
//!
//! A canary is a split of 99:1; a switch from blue to green is a split of 100:0 that becomes 0:100
//! while it runs.
//!
//! ```
//! use gateway_core::split::{Split, SplitEntry};
//! use gateway_core::{FixedResponse, Module, Route, RouteMatch};
//! use http::StatusCode;
//!
//! # let (stable, next) = (FixedResponse::new(StatusCode::OK), FixedResponse::new(StatusCode::OK));
//! let split = Split::builder()
//!     .entry(SplitEntry::new("stable", Module::new(stable), 99))
//!     .entry(SplitEntry::new("next", Module::new(next), 1))
//!     .by(["cookie:session".parse()?])
//!     .build()?;
//! let route = Route::new("shop", Module::new(split.clone())).matching(RouteMatch::prefix("/")?);
//!
//! // Later, while requests come:
//! split.set_weights(&[("stable", 0), ("next", 100)])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod builder;
mod error;
mod status;
mod weights;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, request};

pub use self::builder::SplitBuilder;
pub use self::error::SplitError;
pub use self::status::{SplitEntryStatus, SplitStatus};
use self::weights::Weights;
use crate::context::{Metadata, RequestContext};
use crate::error::{Error, Reason};
use crate::message::{Outcome, Request, RequestExt};
use crate::module::{Health, Module, ModuleService};
use crate::route::HeaderEdits;
use crate::swap::Swap;
use crate::upstream::Affinity;
use crate::upstream::balance::Draws;

/// A split has no more entries than this: they are looked through for each request.
pub const MAX_ENTRIES: usize = 64;

/// One of the targets of a [`Split`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SplitEntry {
    /// What it is called: in weights, in the forcing header, in logs. Unique in its split.
    pub name: Arc<str>,
    /// What answers.
    pub module: Module,
    /// Its share beside the others; 0: none.
    pub weight: u32,
    /// Edits of the header fields of its requests, after those of the route.
    pub request_headers: HeaderEdits,
}

impl SplitEntry {
    /// `module`, called `name`, with the share `weight`.
    pub fn new(name: impl Into<Arc<str>>, module: Module, weight: u32) -> Self {
        Self { name: name.into(), module, weight, request_headers: HeaderEdits::default() }
    }

    /// Sets the edits of the header fields of its requests.
    #[must_use]
    pub fn request_headers(mut self, edits: HeaderEdits) -> Self {
        self.request_headers = edits;
        self
    }
}

/// A module that hands each request to one of several, by their weights. Cheap to clone; clones are
/// the same split.
///
/// Without keys each request is drawn for itself, also when it is tried again. With
/// [keys](SplitBuilder::by), requests of one key go to one entry; a change of weights moves as few
/// keys as it can. The entry that took a request stands in its
/// [record](crate::context::Record::variant).
#[derive(Clone)]
pub struct Split {
    shared: Arc<Shared>,
}

struct Shared {
    entries: Box<[Counted]>,
    weights: Swap<Weights>,
    keys: Affinity,
    force_header: Option<HeaderName>,
    draws: Draws,
}

struct Counted {
    entry: SplitEntry,
    taken: AtomicU64,
}

impl Split {
    /// A split without entries yet.
    pub fn builder() -> SplitBuilder {
        SplitBuilder::default()
    }

    /// Changes all weights at once, for requests that are drawn from now on; those under way are
    /// not touched. `weights` has every entry once, in any order. That all are 0 is allowed:
    /// requests are then rejected for [`Reason::SplitEmpty`], unless they are forced.
    ///
    /// # Errors
    ///
    /// When an entry is missing, unknown or named twice; nothing has changed then.
    pub fn set_weights(&self, weights: &[(&str, u32)]) -> Result<(), SplitError> {
        let entries = &self.shared.entries;
        let known = |name: &str| entries.iter().any(|one| *one.entry.name == *name);
        for (place, (name, _)) in weights.iter().enumerate() {
            if !known(name) {
                return Err(SplitError::Unknown { name: (*name).to_owned() });
            }
            if weights.iter().take(place).any(|(other, _)| other == name) {
                return Err(SplitError::Twice { name: (*name).to_owned() });
            }
        }
        let weight_of = |entry: &SplitEntry| {
            let weight = weights.iter().find(|(name, _)| *name == &*entry.name);
            weight
                .map(|(_, weight)| *weight)
                .ok_or_else(|| SplitError::Missing { name: entry.name.to_string() })
        };
        let weights: Result<Vec<u32>, SplitError> =
            entries.iter().map(|one| weight_of(&one.entry)).collect();
        self.shared.weights.replace(Weights::new(weights?));
        Ok(())
    }

    /// The weights as of now, and how many requests each entry took.
    pub fn status(&self) -> SplitStatus {
        let weights = self.shared.weights.load();
        let entries = self.shared.entries.iter().zip(weights.each());
        let entries = entries.map(|(one, weight)| SplitEntryStatus {
            name: Arc::clone(&one.entry.name),
            weight,
            taken: one.taken.load(Ordering::Relaxed),
        });
        SplitStatus { entries: entries.collect() }
    }

    /// The entry that takes the request.
    fn choose(&self, request: &Request) -> Result<&Counted, Error> {
        let shared = &*self.shared;
        if let Some(forced) = shared.forced(request) {
            return Ok(forced);
        }
        let hash = shared.keys.hash(request.headers(), request.context());
        let number = hash.map_or_else(|| shared.draws.draw(), weights::scattered);
        let place = shared.weights.peek().place(number);
        place.and_then(|place| shared.entries.get(place)).ok_or_else(|| Reason::SplitEmpty.into())
    }
}

impl Shared {
    /// The entry that the request itself names.
    fn forced(&self, request: &Request) -> Option<&Counted> {
        let name = request.headers().get(self.force_header.as_ref()?)?.as_bytes();
        self.entries.iter().find(|one| one.entry.name.as_bytes() == name)
    }

    /// The entries that have a share.
    fn weighted(&self) -> Vec<&SplitEntry> {
        let weights = self.weights.peek();
        let entries = self.entries.iter().zip(weights.each());
        entries.filter(|(_, weight)| *weight > 0).map(|(one, _)| &one.entry).collect()
    }
}

impl ModuleService for Split {
    async fn call(&self, mut request: Request) -> Outcome {
        let chosen = self.choose(&request)?;
        chosen.taken.fetch_add(1, Ordering::Relaxed);
        if let Some(context) = request.extensions().get::<RequestContext>() {
            context.record().set_variant(Arc::clone(&chosen.entry.name));
        }
        chosen.entry.request_headers.apply(request.headers_mut());
        chosen.entry.module.call(request).await
    }

    /// True when one of the entries that have a share does.
    fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool {
        self.shared.weighted().iter().any(|entry| entry.module.accepts(head, metadata))
    }

    /// That of the entry which is best, of those that have a share.
    async fn health(&self) -> Health {
        let modules: Vec<Module> =
            self.shared.weighted().into_iter().map(|entry| entry.module.clone()).collect();
        let mut best = Health::Unhealthy;
        for module in modules {
            match module.health().await {
                Health::Healthy => return Health::Healthy,
                Health::Unknown => best = Health::Unknown,
                Health::Unhealthy => {}
            }
        }
        best
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split").field("entries", &self.status().entries).finish_non_exhaustive()
    }
}
