//! [`Stamp`]: when an event was, and what it is called.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use gateway_core::Clock;

/// Gives every event its time and id.
pub(super) struct Stamp {
    clock: Arc<dyn Clock>,
    process: u64,
    count: AtomicU64,
}

/// What an event is called: the process, drawn at its start, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    process: u64,
    number: u64,
}

impl Stamp {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        // It tells processes apart, and guards nothing.
        Self { clock, process: RandomState::new().hash_one(0_u8), count: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> (SystemTime, Id) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        (self.clock.now(), Id { process: self.process, number })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.process, self.number)
    }
}
