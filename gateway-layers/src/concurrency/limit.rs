//! [`ConcurrencyLimit`]: the limit itself, shared by everybody who keeps to it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_core::{Error, Reason};

use super::adaptive::Adaptive;
use super::config::{ConcurrencyConfig, ShedConfig};
use super::gate::{Entry, Gate, MOST_PERMITS, MOST_WAITING, Permit, Waiter};
use super::pace::Pace;
use super::priority::Priority;

/// Shares are reckoned in thousandths of the limit.
const WHOLE: u32 = 1000;

/// How many requests may be under way at the same time. Clones are the same limit.
#[derive(Clone)]
pub struct ConcurrencyLimit {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    gate: Arc<Gate>,
    queue_timeout: Duration,
    /// In thousandths, by rank; `None` when everybody may use the whole limit.
    shares: Option<[u32; 4]>,
    adaptive: Option<Adaptive>,
    pace: Pace,
    rejected: AtomicU64,
    timed_out: AtomicU64,
    shed: AtomicU64,
}

/// The state of a [`ConcurrencyLimit`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConcurrencyStatus {
    /// Requests that may be under way at the same time, as of now.
    pub limit: usize,
    /// Requests under way: begun, and the body of their answer not yet at its end.
    pub in_use: usize,
    /// Requests that wait.
    pub queued: usize,
    /// Requests that could not even wait, so far ([`Reason::ConcurrencyLimit`]).
    pub rejected: u64,
    /// Requests that waited in vain, so far ([`Reason::QueueTimeout`], or out of time while they
    /// waited).
    pub timed_out: u64,
    /// Requests that were shed for more important ones, so far ([`Reason::LoadShed`]).
    pub shed: u64,
}

impl Default for ConcurrencyLimit {
    fn default() -> Self {
        Self::new(ConcurrencyConfig::default())
    }
}

impl ConcurrencyLimit {
    /// A limit that nobody has used so far.
    #[allow(clippy::needless_pass_by_value, reason = "settings are handed over")]
    pub fn new(settings: ConcurrencyConfig) -> Self {
        let first = between(settings.limit, 1, MOST_PERMITS);
        let adaptive = settings.adaptive.map(Adaptive::new);
        let first = adaptive.as_ref().map_or(first, Adaptive::first);
        let waiting = if settings.queue_timeout.is_zero() { 0 } else { settings.queue };
        let shared = Shared {
            gate: Arc::new(Gate::new(first, between(waiting, 0, MOST_WAITING))),
            queue_timeout: settings.queue_timeout,
            shares: settings.shed.as_ref().map(shares),
            adaptive,
            pace: Pace::default(),
            rejected: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            shed: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Its state now.
    pub fn status(&self) -> ConcurrencyStatus {
        let shared = &*self.shared;
        let now = shared.gate.occupancy();
        ConcurrencyStatus {
            limit: shared.gate.limit() as usize,
            in_use: now.in_use() as usize,
            queued: now.waiting() as usize,
            rejected: shared.rejected.load(Ordering::Relaxed),
            timed_out: shared.timed_out.load(Ordering::Relaxed),
            shed: shared.shed.load(Ordering::Relaxed),
        }
    }

    /// True when the importance of a request decides about more than its place in the queue.
    pub(super) fn sheds(&self) -> bool {
        self.shared.shares.is_some()
    }

    /// A permit that is there at once for every class of requests.
    pub(super) fn try_enter(&self) -> Option<Permit> {
        self.shared.gate.try_enter(self.shared.gate.limit())
    }

    /// A permit, a place in the queue, or why there is neither.
    pub(super) fn enter(&self, priority: Priority) -> Result<Entered, Error> {
        let shared = &*self.shared;
        let threshold = self.threshold(priority);
        if let Some(permit) = shared.gate.try_enter(threshold) {
            return Ok(Entered::Admitted(permit));
        }
        if self.share(priority) < WHOLE {
            return Err(self.shed(priority));
        }
        match shared.gate.enter(priority) {
            Entry::Admitted(permit) => Ok(Entered::Admitted(permit)),
            Entry::Queued(waiter) => Ok(Entered::Queued(waiter)),
            Entry::Full => {
                shared.rejected.fetch_add(1, Ordering::Relaxed);
                Err(self.error(Reason::ConcurrencyLimit, priority))
            }
        }
    }

    /// How long a request may wait.
    pub(super) fn queue_timeout(&self) -> Duration {
        self.shared.queue_timeout
    }

    /// A request of this importance gives way to more important ones.
    pub(super) fn shed(&self, priority: Priority) -> Error {
        self.shared.shed.fetch_add(1, Ordering::Relaxed);
        self.error(Reason::LoadShed, priority)
    }

    /// A request waited in vain, because of `reason`.
    pub(super) fn timed_out(&self, reason: Reason, priority: Priority) -> Error {
        self.shared.timed_out.fetch_add(1, Ordering::Relaxed);
        if reason == Reason::QueueTimeout {
            return self.error(reason, priority);
        }
        Error::new(reason).with_unsent().with_detail("it waited for a permit until then")
    }

    pub(super) fn adaptive(&self) -> Option<&Adaptive> {
        self.shared.adaptive.as_ref()
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.shared.gate
    }

    fn error(&self, reason: Reason, priority: Priority) -> Error {
        let now = self.shared.gate.occupancy();
        let delay = self.shared.pace.retry_after(now, self.threshold(priority));
        Error::new(reason).with_retry_after(delay)
    }

    /// In thousandths of the limit.
    fn share(&self, priority: Priority) -> u32 {
        let shares = self.shared.shares.as_ref();
        shares.and_then(|shares| shares.get(priority.rank())).copied().unwrap_or(WHOLE)
    }

    /// With so many permits in use, no request of this importance is admitted.
    fn threshold(&self, priority: Priority) -> u32 {
        let limit = self.shared.gate.limit();
        match self.share(priority) {
            WHOLE => limit,
            share => {
                let part = (u64::from(limit) * u64::from(share)).div_ceil(u64::from(WHOLE));
                u32::try_from(part).unwrap_or(limit).max(1)
            }
        }
    }
}

/// What a request gets that is not rejected.
pub(super) enum Entered {
    Admitted(Permit),
    Queued(Waiter),
}

/// `value`, or the nearest bound.
pub(super) fn between(value: usize, least: u32, most: u32) -> u32 {
    u32::try_from(value).unwrap_or(most).clamp(least, most)
}

fn shares(settings: &ShedConfig) -> [u32; 4] {
    let thousandths = |share: f64| (share.clamp(0.0, 1.0) * f64::from(WHOLE)).round() as u32;
    Priority::ALL.map(|priority| thousandths(settings.share(priority)))
}

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConcurrencyLimit").field(&self.status()).finish()
    }
}
