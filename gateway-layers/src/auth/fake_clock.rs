//! [`FakeClock`]: what time it is in tests of what ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway_core::Clock;

/// When it begins, in seconds since 1970.
pub(super) const NOW: u64 = 1_800_000_000;

/// A clock that goes on when it is told to. Clones show the same time.
#[derive(Clone)]
pub(super) struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    pub(super) fn new() -> Self {
        Self::at(NOW)
    }

    /// One that begins at `seconds` since 1970.
    pub(super) fn at(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub(super) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Seconds since 1970.
    pub(super) fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.seconds())
    }
}
