//! [`Record`]: what happened to a request, written inside, read by observers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::StatusCode;
use smallvec::SmallVec;

use crate::error::Reason;

/// What happened to a request so far.
#[derive(Debug, Default)]
pub struct Record {
    attempts: AtomicU32,
    retries: AtomicU32,
    hedges: AtomicU32,
    gave_up: OnceLock<&'static str>,
    abandoned: OnceLock<Reason>,
    tried: Mutex<SmallVec<[Attempt; 1]>>,
    variant: Mutex<Option<Arc<str>>>,
    fallback: Mutex<Option<Arc<Fallback>>>,
}

/// Of the tries of one request, this many are remembered: the first ones and the latest.
const MOST_REMEMBERED: usize = 8;

/// One try at one endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The cluster.
    pub cluster: Arc<str>,
    /// The endpoint's address as configured.
    pub endpoint: Arc<str>,
}

impl Attempt {
    /// A try at `endpoint` of `cluster`.
    pub fn new(cluster: Arc<str>, endpoint: Arc<str>) -> Self {
        Self { cluster, endpoint }
    }
}

/// Somebody else was asked to answer, because the one who was to answer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fallback {
    /// Who was asked.
    pub name: Arc<str>,
    /// How the one who was to answer failed: the status of the answer, or why there is none.
    pub failed: Result<StatusCode, Reason>,
    /// How the fallback failed in its turn: then the first failure is the request's. `None` when
    /// it answered.
    pub failure: Option<String>,
}

impl Fallback {
    /// `name` answered in the place of who failed with `failed`.
    pub fn new(name: Arc<str>, failed: Result<StatusCode, Reason>) -> Self {
        Self { name, failed, failure: None }
    }

    /// It failed as well.
    #[must_use]
    pub fn with_failure(mut self, failure: impl Into<String>) -> Self {
        self.failure = Some(failure.into());
        self
    }
}

impl Record {
    /// Notes that an endpoint was picked for one more try.
    pub fn attempt(&self, attempt: Attempt) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let mut tried = self.lock();
        if tried.len() == MOST_REMEMBERED {
            tried.pop();
        }
        tried.push(attempt);
    }

    /// How many tries were made at endpoints.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Notes that the request is sent once more because it failed.
    pub fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the request was sent once more because it failed.
    pub fn retries(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Notes that the request is sent once more because its answer is slow.
    pub fn hedge(&self) {
        self.hedges.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the request was sent once more because its answer was slow.
    pub fn hedges(&self) -> u32 {
        self.hedges.load(Ordering::Relaxed)
    }

    /// Notes why a failure that may be retried was not; the first reason stays.
    pub fn give_up(&self, why: &'static str) {
        let _ = self.gave_up.set(why);
    }

    /// Why a failure that may be retried was not, in `snake_case`; `None` when there was none.
    pub fn gave_up(&self) -> Option<&'static str> {
        self.gave_up.get().copied()
    }

    /// Notes that nobody waits for the response any more, and why.
    pub(crate) fn abandon(&self, reason: Reason) {
        let _ = self.abandoned.set(reason);
    }

    /// Why nobody waits for the response any more, which had not begun: the client left
    /// ([`Reason::ClientGone`]), or the server was stopped ([`Reason::ShutDown`]).
    pub fn abandoned(&self) -> Option<Reason> {
        self.abandoned.get().copied()
    }

    /// The tries in their order; of more than eight, the first seven and the latest.
    pub fn tried(&self) -> SmallVec<[Attempt; 1]> {
        // The first try of a request has nobody before it, and is most of them.
        if self.attempts() == 0 { SmallVec::new() } else { self.lock().clone() }
    }

    /// The latest try.
    pub fn last_attempt(&self) -> Option<Attempt> {
        self.lock().last().cloned()
    }

    /// Notes which entry of a split takes the request. A later note, of another try or of a split
    /// inside of a split, replaces it.
    pub fn set_variant(&self, name: Arc<str>) {
        *self.variant.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
    }

    /// The entry of a split that took the request; `None` where there was no split.
    pub fn variant(&self) -> Option<Arc<str>> {
        self.variant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a fallback was asked, and what came of it. Of several, the latest is kept.
    pub fn fall_back(&self, fallback: Fallback) {
        let fallback = Some(Arc::new(fallback));
        *self.fallback.lock().unwrap_or_else(PoisonError::into_inner) = fallback;
    }

    /// The fallback that was asked; `None` when nobody was.
    pub fn fallback(&self) -> Option<Arc<Fallback>> {
        self.fallback.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, SmallVec<[Attempt; 1]>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_fallback_is_kept() {
        let record = Record::default();
        assert_eq!(record.fallback(), None);
        let inner = Fallback::new("inner".into(), Err(Reason::CircuitOpen)).with_failure("broken");
        record.fall_back(inner);
        let outer = Fallback::new("outer".into(), Ok(StatusCode::BAD_GATEWAY));
        record.fall_back(outer.clone());
        assert_eq!(record.fallback().as_deref(), Some(&outer));
    }

    #[test]
    fn tries_are_counted_and_a_few_remembered() {
        let record = Record::default();
        assert!(record.tried().is_empty());
        for index in 0..20 {
            record.attempt(Attempt::new("a".into(), index.to_string().into()));
        }
        assert_eq!(record.attempts(), 20);
        let tried: Vec<_> = record.tried().iter().map(|one| one.endpoint.to_string()).collect();
        assert_eq!(tried, ["0", "1", "2", "3", "4", "5", "6", "19"]);
    }

    #[test]
    fn what_was_sent_again_is_told_apart() {
        let record = Record::default();
        assert_eq!((record.retries(), record.hedges(), record.gave_up()), (0, 0, None));
        record.retry();
        record.hedge();
        record.hedge();
        record.give_up("budget");
        record.give_up("deadline");
        assert_eq!((record.retries(), record.hedges(), record.gave_up()), (1, 2, Some("budget")));
    }
}
