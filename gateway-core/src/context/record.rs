//! [`Record`]: what happened to a request, written inside, read by observers.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What happened to a request so far.
#[derive(Debug, Default)]
pub struct Record {
    attempts: AtomicU32,
    last: Mutex<Option<Attempt>>,
}

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

impl Record {
    /// Notes that an endpoint was picked for one more try.
    pub fn attempt(&self, attempt: Attempt) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(attempt);
    }

    /// How many tries were made at endpoints.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// The latest try.
    pub fn last_attempt(&self) -> Option<Attempt> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
