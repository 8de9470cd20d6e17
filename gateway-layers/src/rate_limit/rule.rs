//! [`Rule`]: the numbers of a limit, and what they make of a key's state.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use super::calendar::{self, Period};
use super::config::{Algorithm, Problem};

/// More than this in a second cannot be told apart in whole nanoseconds within one in a hundred.
const MOST_PER_SECOND: u64 = 10_000_000;

/// A bucket that takes longer to fill is a mistake, and cannot be counted in 64 bits.
const LONGEST: u128 = (u64::MAX / 4) as u128;

/// A sliding window counts in so many steps, so that it takes the same room whatever its limit. Its
/// rate under overload is 64 of 65 parts of the limit at least.
const STEPS: u64 = 64;

/// How many may pass in which time. Whole and sound: made by a
/// [`RateLimiter`](super::RateLimiter) from what was configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// How it is counted.
    pub algorithm: Algorithm,
    /// How many may pass in `per`.
    pub limit: u64,
    /// The time of `limit`.
    pub per: Duration,
    /// The size of a token bucket.
    pub burst: u64,
    /// Nanoseconds of one token.
    interval: u64,
}

/// A limit as it stands for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Level {
    /// The request fits in.
    pub fits: bool,
    /// How many more would pass now.
    pub remaining: u64,
    /// When there will be more than that; `None` when there is all.
    pub more_after: Option<Duration>,
    /// Of a request that does not fit: when it does; `None` when it never does.
    pub retry_after: Option<Duration>,
}

impl Level {
    /// A level, for a store of one's own.
    pub fn new(fits: bool, remaining: u64) -> Self {
        Self { fits, remaining, more_after: None, retry_after: None }
    }
}

impl Rule {
    pub(super) fn new(
        algorithm: Algorithm,
        limit: u64,
        per: Duration,
        burst: u64,
    ) -> Result<Self, Problem> {
        if limit == 0 {
            return Err(Problem::Limit);
        }
        if burst == 0 {
            return Err(Problem::Burst);
        }
        let nanos = per.as_nanos();
        if nanos == 0 || nanos > LONGEST {
            return Err(Problem::Per);
        }
        if u128::from(limit) * 1_000_000_000 > nanos * u128::from(MOST_PER_SECOND) {
            return Err(Problem::TooFast);
        }
        // Rounded up: what is rounded must not admit more.
        let interval = nanos.div_ceil(u128::from(limit));
        if interval * u128::from(burst) > LONGEST {
            return Err(Problem::TooSlow);
        }
        let interval = u64::try_from(interval).map_err(|_| Problem::TooSlow)?;
        Ok(Self { algorithm, limit, per, burst, interval })
    }

    /// The part of one gateway among `replicas`, at least one.
    #[cfg(feature = "redis")]
    pub(super) fn share(&self, replicas: u32) -> Self {
        let part = |whole: u64| (whole / u64::from(replicas.max(1))).max(1);
        let (limit, burst) = (part(self.limit), part(self.burst));
        Self::new(self.algorithm, limit, self.per, burst).unwrap_or(*self)
    }

    /// The most that can pass at one moment.
    fn capacity(&self) -> u64 {
        match self.algorithm {
            Algorithm::TokenBucket => self.burst,
            _ => self.limit,
        }
    }

    /// All of the limit, as [`State::used`] counts: nanoseconds of a bucket, else requests.
    pub(super) fn whole(&self) -> u64 {
        match self.algorithm {
            Algorithm::TokenBucket => self.burst * self.interval,
            _ => self.limit,
        }
    }

    /// The window in whole seconds, if it has always the same.
    pub(super) fn window(&self) -> Option<u64> {
        let whole = self.per.subsec_nanos() == 0 && self.algorithm != Algorithm::Month;
        whole.then_some(self.per.as_secs())
    }

    fn per_nanos(&self) -> u64 {
        u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX)
    }

    fn period(&self, now: &Moment) -> Period {
        match self.algorithm {
            Algorithm::Month => calendar::month(now.wall),
            _ => calendar::day(now.wall),
        }
    }
}

/// Now, by the clock that only goes forward (nanoseconds of the store) and by the calendar's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) nanos: u64,
    pub(super) wall: SystemTime,
}

/// Whether a request fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Now,
    After(Duration),
    Never,
}

/// What is known about one key.
#[derive(Debug)]
pub(super) enum State {
    /// When the bucket will be full (the "theoretical arrival time").
    Bucket(u64),
    /// Apart, so that the others are small.
    Window(Box<Window>),
    Calendar {
        period: u64,
        used: u64,
    },
}

/// The requests of a window, oldest first: those of one step are counted together, at the time of
/// the last one. So they leave the window late, never early.
#[derive(Debug, Default)]
pub(super) struct Window {
    hits: VecDeque<(u64, u64)>,
    used: u64,
}

impl State {
    /// Of a key that nothing is known about.
    pub(super) fn new(rule: &Rule) -> Self {
        match rule.algorithm {
            Algorithm::TokenBucket => Self::Bucket(0),
            Algorithm::SlidingWindow => Self::Window(Box::default()),
            Algorithm::Day | Algorithm::Month => Self::Calendar { period: 0, used: 0 },
        }
    }

    /// Forgets what is over.
    pub(super) fn pass_time(&mut self, rule: &Rule, now: &Moment) {
        match self {
            Self::Bucket(_) => {}
            Self::Window(window) => window.pass_time(rule.per_nanos(), now.nanos),
            Self::Calendar { period, used } => {
                let number = rule.period(now).number;
                // A clock that is set back does not make a quota whole.
                if number > *period {
                    (*period, *used) = (number, 0);
                }
            }
        }
    }

    /// Whether `cost` fits in, after [`pass_time`](Self::pass_time).
    pub(super) fn fit(&self, rule: &Rule, now: &Moment, cost: u64) -> Fit {
        if cost == 0 {
            return Fit::Now;
        }
        if cost > rule.capacity() {
            return Fit::Never;
        }
        match self {
            Self::Bucket(full_at) => {
                let full_at = (*full_at).max(now.nanos) + cost * rule.interval;
                let latest = now.nanos + rule.burst * rule.interval;
                match full_at.checked_sub(latest) {
                    None | Some(0) => Fit::Now,
                    Some(wait) => Fit::After(Duration::from_nanos(wait)),
                }
            }
            Self::Window(window) => window.fit(rule, now.nanos, cost),
            Self::Calendar { used, .. } if cost <= rule.limit.saturating_sub(*used) => Fit::Now,
            Self::Calendar { .. } => Fit::After(rule.period(now).left),
        }
    }

    /// Charges `cost`, which fits.
    pub(super) fn take(&mut self, rule: &Rule, now: &Moment, cost: u64) {
        if cost == 0 {
            return;
        }
        match self {
            Self::Bucket(full_at) => *full_at = (*full_at).max(now.nanos) + cost * rule.interval,
            Self::Window(window) => window.take(rule, now.nanos, cost),
            Self::Calendar { used, .. } => *used += cost,
        }
    }

    /// What is left, and when there is more.
    pub(super) fn left(&self, rule: &Rule, now: &Moment) -> (u64, Option<Duration>) {
        match self {
            Self::Bucket(full_at) => {
                let missing = full_at.saturating_sub(now.nanos);
                let tokens = missing.div_ceil(rule.interval);
                let more = (missing > 0).then(|| missing - (tokens - 1) * rule.interval);
                (rule.burst.saturating_sub(tokens), more.map(Duration::from_nanos))
            }
            Self::Window(window) => {
                let oldest = window.hits.front();
                let more = oldest.map(|(at, _)| at.saturating_add(rule.per_nanos()) - now.nanos);
                (rule.limit.saturating_sub(window.used), more.map(Duration::from_nanos))
            }
            Self::Calendar { used: 0, .. } => (rule.limit, None),
            Self::Calendar { used, .. } => {
                (rule.limit.saturating_sub(*used), Some(rule.period(now).left))
            }
        }
    }

    /// How much of the limit is used at `now`, of [`Rule::whole`].
    pub(super) fn used(&self, now: u64) -> u64 {
        match self {
            Self::Bucket(full_at) => full_at.saturating_sub(now),
            Self::Window(window) => window.used,
            Self::Calendar { used, .. } => *used,
        }
    }

    /// When nothing will be known any more, in the store's nanoseconds.
    pub(super) fn forgotten_at(&self, rule: &Rule, now: &Moment) -> u64 {
        match self {
            Self::Bucket(full_at) => *full_at,
            Self::Window(window) => {
                window.hits.back().map_or(0, |(at, _)| at.saturating_add(rule.per_nanos()))
            }
            Self::Calendar { used: 0, .. } => 0,
            Self::Calendar { .. } => {
                let left = u64::try_from(rule.period(now).left.as_nanos()).unwrap_or(u64::MAX);
                now.nanos.saturating_add(left)
            }
        }
    }
}

impl Window {
    fn pass_time(&mut self, per: u64, now: u64) {
        while let Some((at, count)) = self.hits.front().copied() {
            if at.saturating_add(per) > now {
                return;
            }
            self.hits.pop_front();
            self.used -= count;
        }
    }

    fn fit(&self, rule: &Rule, now: u64, cost: u64) -> Fit {
        let Some(mut over) = (self.used + cost).checked_sub(rule.limit).filter(|over| *over > 0)
        else {
            return Fit::Now;
        };
        for (at, count) in &self.hits {
            over = over.saturating_sub(*count);
            if over == 0 {
                let free_at = at.saturating_add(rule.per_nanos());
                return Fit::After(Duration::from_nanos(free_at.saturating_sub(now)));
            }
        }
        Fit::Never
    }

    fn take(&mut self, rule: &Rule, now: u64, cost: u64) {
        self.used += cost;
        let step = (rule.per_nanos() / STEPS).max(1);
        let exact = rule.limit <= STEPS;
        let mut now = now;
        if let Some((at, count)) = self.hits.back_mut() {
            // Whoever read the clock first need not come first.
            now = now.max(*at);
            if if exact { *at == now } else { *at / step == now / step } {
                (*at, *count) = (now, *count + cost);
                return;
            }
        }
        self.hits.push_back((now, cost));
    }
}
