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
pub use self::redis::{RedisSettings, RedisStore, RedisStoreError, WhenAway};
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

    /// Decides about one request.
    fn decide(&self, ask: &Ask<'_>) -> Decided;

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
    /// False: it is charged where it fits in, and refuses nobody.
    pub binding: bool,
}

impl<'a> Charge<'a> {
    pub(super) fn new(key: u128, rule: &'a Rule, cost: u64, binding: bool) -> Self {
        Self { key, rule, cost, binding }
    }
}

impl<'a> Ask<'a> {
    pub(super) fn new(charges: &'a [Charge<'a>], group: u128, spends: bool) -> Self {
        Self { charges, group, spends }
    }
}

/// What a store says, or that it will.
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "what memory decides is not to be boxed")]
pub enum Decided {
    /// At once.
    Now(Result<Decision, Error>),
    /// Later; it has a deadline of its own.
    Later(Deciding),
}

/// A store at work.
pub type Deciding = Pin<Box<dyn Future<Output = Result<Decision, Error>> + Send>>;

impl fmt::Debug for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(decision) => f.debug_tuple("Now").field(decision).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// So many levels are kept without a list.
const FEW: usize = 2;

/// Whether a request passes, and what is left of each limit.
#[derive(Clone)]
pub struct Decision {
    admitted: bool,
    count: usize,
    few: [Level; FEW],
    /// All of them, where they are more than a few.
    many: Vec<Level>,
}

impl Decision {
    /// The request passes, or not. `levels` are in the order of the charges.
    pub fn new(admitted: bool, levels: &[Level]) -> Self {
        let mut few = [Level::default(); FEW];
        let many = if levels.len() > FEW { levels.to_vec() } else { Vec::new() };
        few.iter_mut().zip(levels).for_each(|(to, level)| *to = *level);
        Self { admitted, count: levels.len(), few, many }
    }

    /// The request passes, and nobody counted it.
    pub fn uncounted() -> Self {
        Self::new(true, &[])
    }

    /// True when it passes.
    pub fn is_admitted(&self) -> bool {
        self.admitted
    }

    /// What is left of each limit, after it was charged if it was; empty when nobody counted.
    pub fn levels(&self) -> &[Level] {
        self.few.get(..self.count).unwrap_or(&self.many)
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("admitted", &self.admitted)
            .field("levels", &self.levels())
            .finish()
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
