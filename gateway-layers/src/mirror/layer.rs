//! [`MirrorLayer`].

use std::fmt;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gateway_core::{Module, Request, Tasks};
use http::{Method, header};
use tower_layer::Layer;

use super::config::MirrorConfig;
use super::report::{Counts, Mirror};
use super::send::{COPY, Slot};
use super::service::Mirrored;

/// Shares are reckoned in hundredths of a percent.
const WHOLE: u64 = 10_000;

/// Sends copies of requests to a second module; see the [module](super).
#[derive(Clone)]
#[must_use]
pub struct MirrorLayer {
    shared: Arc<Shared>,
    tasks: Tasks,
}

/// What everybody shares who has to do with one mirror.
pub(super) struct Shared {
    pub(super) module: Module,
    pub(super) settings: MirrorConfig,
    pub(super) counts: Counts,
    /// Hashes of values are of use in one process only, so that nobody can look them up.
    pub(super) hashes: RandomState,
    /// Of the settings' percent, in hundredths.
    share: u64,
    seen: AtomicU64,
    pub(super) in_flight: AtomicUsize,
}

impl Shared {
    fn new(module: Module, settings: MirrorConfig) -> Self {
        let share = (settings.percent.clamp(0.0, 100.0) * 100.0).round() as u64;
        Self {
            module,
            settings,
            counts: Counts::default(),
            hashes: RandomState::new(),
            share,
            seen: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// A place for the copy of `request`, if it is to have one.
    pub(super) fn choose(self: &Arc<Self>, request: &Request) -> Option<Slot> {
        let method = request.method();
        let headers = request.headers();
        let possible = self.settings.methods.contain(method)
            && method != Method::CONNECT
            && !headers.contains_key(header::UPGRADE)
            && !headers.contains_key(COPY);
        if !possible || !self.is_chosen() {
            return None;
        }
        let slot = Slot::take(self);
        if slot.is_none() {
            self.counts.skipped_busy.add(1);
        }
        slot
    }

    /// Whether the next request is one of the percent: evenly spread, the last of each stretch.
    fn is_chosen(&self) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) % WHOLE;
        seen * self.share / WHOLE != (seen + 1) * self.share / WHOLE
    }
}

impl MirrorLayer {
    /// Copies go to `module`, with the default [`MirrorConfig`].
    pub fn new(module: Module) -> Self {
        Self { shared: Arc::new(Shared::new(module, MirrorConfig::default())), tasks: Tasks::new() }
    }

    /// Mirrors as `settings` say. To be called before [`handle`](Self::handle): it begins a new
    /// report.
    pub fn settings(mut self, settings: MirrorConfig) -> Self {
        self.shared = Arc::new(Shared::new(self.shared.module.clone(), settings));
        self
    }

    /// `tasks` own the copies under way, and end them when they end themselves. Default: the layer
    /// and its services own them.
    pub fn tasks(mut self, tasks: Tasks) -> Self {
        self.tasks = tasks;
        self
    }

    /// A handle to read the report.
    pub fn handle(&self) -> Mirror {
        Mirror::new(Arc::clone(&self.shared))
    }
}

impl<S> Layer<S> for MirrorLayer {
    type Service = Mirrored<S>;

    fn layer(&self, inner: S) -> Mirrored<S> {
        Mirrored::new(inner, Arc::clone(&self.shared), self.tasks.clone())
    }
}

impl fmt::Debug for MirrorLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared.settings;
        f.debug_struct("MirrorLayer").field("settings", settings).finish_non_exhaustive()
    }
}
