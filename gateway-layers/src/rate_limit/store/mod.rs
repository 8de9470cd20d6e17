//! [`Store`]: where limits are counted.

mod memory;
#[cfg(feature = "redis")]
mod redis;
mod table;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use gateway_core::Error;

pub use self::memory::{DEFAULT_KEYS, MemoryStore};
#[cfg(feature = "redis")]
pub use self::redis::{OnUnavailable, RedisConfig, RedisStore, RedisStoreError};
use super::rule::{Level, Rule};

/// Where limits are counted. All limits of a request are one decision: every one is charged, or
/// none is.
pub trait Store: Send + Sync + 'static {
    /// What it is called in status and logs.
    fn name(&self) -> &'static str;

    /// True when several processes count here: keys are then the same in all of them, and not
    /// secret. Default: false.
    fn is_shared(&self) -> bool {
        false
    }

    /// Decides about one request. `levels` has one for each charge, in their order: what is decided
    /// [now](Decided::Now) is written there.
    fn decide(&self, ask: &Ask<'_>, levels: &mut [Level]) -> Decided;

    /// How it is.
    fn status(&self) -> StoreStatus;
}

/// What a store is asked.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Ask<'a> {
    /// The limits, 1 to [`MOST_LIMITS`](super::MOST_LIMITS), each with a key of its own.
    pub charges: &'a [Charge<'a>],
    /// What is decided together and is kept in one place; of a shared store only.
    pub group: u128,
    /// False: only looked at, and nothing is charged.
    pub spends: bool,
}

/// One limit in a decision.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Charge<'a> {
    /// Who, under which limit.
    pub key: u128,
    /// How many may pass.
    pub rule: &'a Rule,
    /// How much is taken.
    pub cost: u64,
    /// False: it is charged where it fits in, and rejects nobody.
    pub binding: bool,
}

impl<'a> Charge<'a> {
    pub(super) fn new(key: u128, rule: &'a Rule, cost: u64, binding: bool) -> Self {
        Self { key, rule, cost, binding }
    }

    /// The same, only to be reported.
    pub(super) fn unbinding(self) -> Self {
        Self { binding: false, ..self }
    }
}

impl<'a> Ask<'a> {
    pub(super) fn new(charges: &'a [Charge<'a>], group: u128, spends: bool) -> Self {
        Self { charges, group, spends }
    }
}

/// What a store says, or that it will.
#[non_exhaustive]
pub enum Decided {
    /// At once.
    Now(Result<Admission, Error>),
    /// Later; it has a deadline of its own.
    Later(Deciding),
}

/// A store at work.
pub type Deciding = Pin<Box<dyn Future<Output = Result<Decision, Error>> + Send>>;

impl fmt::Debug for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(admission) => f.debug_tuple("Now").field(admission).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// Whether a request passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It fits in wherever it must.
    Admitted,
    /// It is over a limit.
    Rejected,
    /// It passes and nobody counted it, so that nothing is known of what is left.
    Uncounted,
}

impl Admission {
    /// Of a request that was counted.
    pub fn counted(admitted: bool) -> Self {
        if admitted { Self::Admitted } else { Self::Rejected }
    }
}

/// What a store says later.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the request passes.
    pub admission: Admission,
    /// What is left of each limit, after it was charged if it was, in the order of the charges;
    /// empty when nobody counted.
    pub levels: Vec<Level>,
}

impl Decision {
    /// The request passes, or not. `levels` are in the order of the charges.
    pub fn new(admitted: bool, levels: Vec<Level>) -> Self {
        Self { admission: Admission::counted(admitted), levels }
    }

    /// The request passes, and nobody counted it.
    pub fn uncounted() -> Self {
        Self { admission: Admission::Uncounted, levels: Vec::new() }
    }
}

/// A store at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// It cannot be reached, and what is configured for that case holds.
    pub away: bool,
    /// Keys in the memory of this process.
    pub keys: usize,
    /// Keys that had to go from this memory while they were in use, because there were too many.
    pub evicted: u64,
}

impl StoreStatus {
    /// How a store is, for one of one's own.
    pub fn new(away: bool, keys: usize, evicted: u64) -> Self {
        Self { away, keys, evicted }
    }
}
