//! [`Cause`]: why a breaker changed its state.

use std::fmt;

use super::window::Counts;

/// Why a breaker changed its state. `Display` is a sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Too large a share of the calls in the window failed.
    Failures {
        /// Those that failed.
        failures: u32,
        /// All that were counted.
        requests: u32,
    },
    /// Too large a share of the calls in the window was slow.
    Slow {
        /// Those that were slow.
        slow: u32,
        /// All that were counted.
        requests: u32,
    },
    /// So many calls failed in a row.
    Consecutive(u32),
    /// It has been open for its time, and somebody asks.
    OpenTimeOver,
    /// A probe failed, or was slow.
    ProbeFailed,
    /// A probe had no answer within `probe_timeout`.
    ProbeHung,
    /// This many probes succeeded, and none failed.
    ProbesSucceeded(u32),
    /// An operator opened it.
    ForcedOpen,
    /// An operator closed it.
    ForcedClosed,
    /// An operator set it back.
    Reset,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures { failures, requests } => {
                write!(f, "{failures} of {requests} requests failed")
            }
            Self::Slow { slow, requests } => write!(f, "{slow} of {requests} requests were slow"),
            Self::Consecutive(count) => write!(f, "{count} requests failed in a row"),
            Self::OpenTimeOver => f.write_str("the time to be open is over"),
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbeHung => f.write_str("a probe had no answer in time"),
            Self::ProbesSucceeded(count) => write!(f, "{count} probes succeeded"),
            Self::ForcedOpen => f.write_str("an operator opened it"),
            Self::ForcedClosed => f.write_str("an operator closed it"),
            Self::Reset => f.write_str("an operator set it back"),
        }
    }
}

impl Cause {
    pub(super) fn failures(counts: Counts) -> Self {
        Self::Failures { failures: counts.bad, requests: counts.total }
    }

    pub(super) fn slow(counts: Counts) -> Self {
        Self::Slow { slow: counts.bad, requests: counts.total }
    }
}
