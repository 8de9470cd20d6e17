//! [`Mirror`]: what is known about a mirror and its answers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;

use super::layer::Shared;

/// A handle to look at a mirror. Cheap to clone.
#[derive(Clone)]
pub struct Mirror {
    shared: Arc<Shared>,
}

/// What became of the copies so far.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MirrorReport {
    /// Copies that were sent.
    pub mirrored: u64,
    /// Requests without a copy, because as many copies as may be were under way.
    pub skipped_busy: u64,
    /// Requests without a copy, because their body is too large.
    pub skipped_large: u64,
    /// Requests without a copy, because the first module did not read their body to its end.
    pub skipped_unread: u64,
    /// Copies that failed, or were not answered in time.
    pub failed: u64,
    /// Pairs of answers that are the same.
    pub matched: u64,
    /// Pairs whose statuses differ. Their bodies are not compared.
    pub differed_status: u64,
    /// Pairs of the same status whose bodies differ.
    pub differed_body: u64,
    /// Pairs of the same status whose bodies could not be compared, because one of them is too
    /// large, broke off, or is encoded (`Content-Encoding`); and copies whose request failed, or
    /// was not answered in their time.
    pub uncompared: u64,
    /// Of both answers of a pair of the same status, the mean time until the head: the first
    /// module's.
    pub primary_latency: Duration,
    /// The mirror's.
    pub mirror_latency: Duration,
    /// The first differences.
    pub differences: Vec<Difference>,
}

impl MirrorReport {
    /// Requests that were to have a copy and have none.
    pub fn skipped(&self) -> u64 {
        self.skipped_busy + self.skipped_large + self.skipped_unread
    }
}

/// One difference between two answers to the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The route of the request; `None` without one.
    pub route: Option<Arc<str>>,
    /// The request's method.
    pub method: Method,
    /// The request's path, without the query (which may carry secrets).
    pub path: String,
    /// `status`, `body`, or the place in the JSON body as a pointer behind `body`.
    pub place: String,
    /// What the first module answered there.
    pub primary: String,
    /// What the mirror answered there.
    pub mirror: String,
}

impl Mirror {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What became of the copies so far.
    pub fn report(&self) -> MirrorReport {
        self.shared.counts.report()
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mirror").field(&self.report()).finish()
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) mirrored: Count,
    pub(super) skipped_busy: Count,
    pub(super) skipped_large: Count,
    pub(super) skipped_unread: Count,
    pub(super) failed: Count,
    pub(super) matched: Count,
    pub(super) differed_status: Count,
    pub(super) differed_body: Count,
    pub(super) uncompared: Count,
    timed: Count,
    primary_time: Count,
    mirror_time: Count,
    differences: Mutex<Vec<Difference>>,
}

impl Counts {
    /// Takes note of how long both answers of a pair took.
    pub(super) fn time(&self, primary: Duration, mirror: Duration) {
        let microseconds = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.timed.add(1);
        self.primary_time.add(microseconds(primary));
        self.mirror_time.add(microseconds(mirror));
    }

    /// Keeps `differences` until there are `most`.
    pub(super) fn keep(&self, differences: impl IntoIterator<Item = Difference>, most: usize) {
        let mut kept = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        let room = most.saturating_sub(kept.len());
        kept.extend(differences.into_iter().take(room));
    }

    fn report(&self) -> MirrorReport {
        let mean = |sum: &Count| Duration::from_micros(sum.now() / self.timed.now().max(1));
        MirrorReport {
            mirrored: self.mirrored.now(),
            skipped_busy: self.skipped_busy.now(),
            skipped_large: self.skipped_large.now(),
            skipped_unread: self.skipped_unread.now(),
            failed: self.failed.now(),
            matched: self.matched.now(),
            differed_status: self.differed_status.now(),
            differed_body: self.differed_body.now(),
            uncompared: self.uncompared.now(),
            primary_latency: mean(&self.primary_time),
            mirror_latency: mean(&self.mirror_time),
            differences: self.differences.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
