//! [`SplitBuilder`].

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::HeaderName;

use super::weights::Weights;
use super::{Counted, MAX_ENTRIES, Shared, Split, SplitEntry, SplitError};
use crate::swap::Swap;
use crate::upstream::balance::Draws;
use crate::upstream::{Affinity, HashKey};

/// Builds a [`Split`].
#[derive(Debug, Default)]
#[must_use]
pub struct SplitBuilder {
    entries: Vec<SplitEntry>,
    keys: Affinity,
    force_header: Option<HeaderName>,
    seed: Option<u64>,
}

impl SplitBuilder {
    /// Adds an entry.
    pub fn entry(mut self, entry: SplitEntry) -> Self {
        self.entries.push(entry);
        self
    }

    /// What requests are kept together by: the first of `keys` that a request has. Requests that
    /// have none are drawn. Default: no keys, every request is drawn.
    pub fn by(mut self, keys: impl IntoIterator<Item = HashKey>) -> Self {
        self.keys = Affinity::new(keys);
        self
    }

    /// A request goes to the entry that this header field names, whatever its weight; a name that
    /// no entry has changes nothing. Whoever may send the field chooses, so it is no protection.
    /// Default: none.
    pub fn force_header(mut self, name: HeaderName) -> Self {
        self.force_header = Some(name);
        self
    }

    /// Draws from `seed` on: the same seed, the same draws. Default: from anywhere on.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the split. That all weights are 0 is allowed.
    ///
    /// # Errors
    ///
    /// Without entries, with more than [`MAX_ENTRIES`], and for two of one name.
    pub fn build(self) -> Result<Split, SplitError> {
        let count = self.entries.len();
        if count == 0 {
            return Err(SplitError::NoEntry);
        }
        if count > MAX_ENTRIES {
            return Err(SplitError::TooMany { count });
        }
        for (place, entry) in self.entries.iter().enumerate() {
            if self.entries.iter().take(place).any(|other| other.name == entry.name) {
                return Err(SplitError::Twice { name: entry.name.to_string() });
            }
        }
        let weights = Weights::new(self.entries.iter().map(|entry| entry.weight).collect());
        let counted = |entry| Counted { entry, taken: AtomicU64::new(0) };
        let shared = Shared {
            entries: self.entries.into_iter().map(counted).collect(),
            weights: Swap::new(weights),
            keys: self.keys,
            force_header: self.force_header,
            draws: self.seed.map_or_else(Draws::default, Draws::with_seed),
        };
        Ok(Split { shared: Arc::new(shared) })
    }
}
