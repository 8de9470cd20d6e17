//! Wall-clock time as a trait, so that expiry can be tested.
//!
//! Durations and deadlines use [`tokio::time`], which tests pause. Dates (`Date`, token expiry,
//! certificates) come from a [`Clock`].

use std::time::SystemTime;

/// A source of wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// The current date and time.
    fn now(&self) -> SystemTime;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
