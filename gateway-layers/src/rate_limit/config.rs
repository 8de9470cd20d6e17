//! What can be set.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::HeaderName;

use super::key::KeyPart;
use super::rule::Rule;

/// So many limits decide about one request at most: all are looked at for each.
pub const MOST_LIMITS: usize = 8;

/// A limit has so many tiers at most.
const MOST_TIERS: usize = 256;

const MINUTE: Duration = Duration::from_secs(60);

/// How requests are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// A bucket of `burst` tokens, which `limit` tokens refill evenly in `per` (GCRA). In any time
    /// of length `per` at most `limit + burst` pass.
    #[default]
    TokenBucket,
    /// In any time of length `per` at most `limit` pass.
    SlidingWindow,
    /// At most `limit` from midnight to midnight in UTC.
    Day,
    /// At most `limit` from the first of a month to the next in UTC.
    Month,
}

impl Algorithm {
    /// Its name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenBucket => "token_bucket",
            Self::SlidingWindow => "sliding_window",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The algorithm of this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::TokenBucket, Self::SlidingWindow, Self::Day, Self::Month];
        all.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// True for [`Day`](Self::Day) and [`Month`](Self::Month): who is over it is told that a quota
    /// is used up.
    pub const fn is_quota(self) -> bool {
        matches!(self, Self::Day | Self::Month)
    }
}

/// How many requests may pass, and who counts as one.
///
/// ```
/// use gateway_layers::rate_limit::Limit;
///
/// let limit = Limit::per_minute(100).by_ip().burst(20).tier("gold", 1000);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct Limit {
    /// Its name, for clients (`RateLimit`), status and stores: 1 to 64 letters, digits, `-`, `_`,
    /// `.`. Empty: `limit`, and behind the first one `limit-2` and so on. Default: empty.
    pub name: String,
    /// How many pass in `per`: at least 1, and at most ten million a second. Default: 100.
    pub limit: u64,
    /// The time of `limit`. Without meaning for [`Algorithm::Day`] and [`Algorithm::Month`].
    /// Default: one minute.
    pub per: Duration,
    /// How many pass at once, of a token bucket: at least 1. `None`: `limit`. Default: `None`.
    pub burst: Option<u64>,
    /// What makes the difference between one who is counted and another. Of several parts, each
    /// combination counts for itself; with none all requests are counted together. Default: the
    /// client's address.
    pub key: Vec<KeyPart>,
    /// How it is counted. Default: a token bucket.
    pub algorithm: Algorithm,
    /// How much a request takes, unless a function says so for each. One that costs nothing
    /// passes; one that costs more than there can ever be never does. Default: 1.
    pub cost: u64,
    /// Other numbers for principals of these tiers. Each tier is counted for itself. Default: none.
    pub tiers: BTreeMap<String, Tier>,
    /// It is counted and reported, and rejects nobody. Default: false.
    pub shadow: bool,
}

/// The numbers of a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tier {
    /// As [`Limit::limit`].
    pub limit: u64,
    /// As [`Limit::per`]; `None`: as the limit's.
    pub per: Option<Duration>,
    /// As [`Limit::burst`]; `None`: the tier's `limit`.
    pub burst: Option<u64>,
}

impl Tier {
    /// `limit` in the same time as everybody else.
    pub fn new(limit: u64) -> Self {
        Self { limit, per: None, burst: None }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            name: String::new(),
            limit: 100,
            per: MINUTE,
            burst: None,
            key: vec![KeyPart::Ip],
            algorithm: Algorithm::TokenBucket,
            cost: 1,
            tiers: BTreeMap::new(),
            shadow: false,
        }
    }
}

impl Limit {
    /// `limit` in `per`, by the client's address.
    pub fn new(limit: u64, per: Duration) -> Self {
        Self { limit, per, ..Self::default() }
    }

    /// `limit` in a second.
    pub fn per_second(limit: u64) -> Self {
        Self::new(limit, Duration::from_secs(1))
    }

    /// `limit` in a minute.
    pub fn per_minute(limit: u64) -> Self {
        Self::new(limit, MINUTE)
    }

    /// `limit` in an hour.
    pub fn per_hour(limit: u64) -> Self {
        Self::new(limit, 60 * MINUTE)
    }

    /// A quota of `limit` for each day.
    pub fn per_day(limit: u64) -> Self {
        Self::new(limit, 24 * 60 * MINUTE).algorithm(Algorithm::Day)
    }

    /// A quota of `limit` for each month.
    pub fn per_month(limit: u64) -> Self {
        Self::new(limit, 31 * 24 * 60 * MINUTE).algorithm(Algorithm::Month)
    }

    /// By the client's address.
    pub fn by_ip(self) -> Self {
        self.by([KeyPart::Ip])
    }

    /// By who is calling.
    pub fn by_principal(self) -> Self {
        self.by([KeyPart::Principal])
    }

    /// By the API key.
    pub fn by_api_key(self) -> Self {
        self.by([KeyPart::ApiKey])
    }

    /// By the field `name` of the request.
    pub fn by_header(self, name: HeaderName) -> Self {
        self.by([KeyPart::Header(name)])
    }

    /// By the route.
    pub fn by_route(self) -> Self {
        self.by([KeyPart::Route])
    }

    /// By all of these together; by nothing: all requests count as one's.
    pub fn by(mut self, key: impl IntoIterator<Item = KeyPart>) -> Self {
        self.key = key.into_iter().collect();
        self
    }

    /// Sets [`name`](Self::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets [`burst`](Self::burst).
    pub fn burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Sets [`algorithm`](Self::algorithm).
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets [`cost`](Self::cost).
    pub fn cost(mut self, cost: u64) -> Self {
        self.cost = cost;
        self
    }

    /// `limit` in the same time for principals of the tier `name`.
    pub fn tier(mut self, name: impl Into<String>, limit: u64) -> Self {
        self.tiers.insert(name.into(), Tier::new(limit));
        self
    }

    /// Counts and reports, and rejects nobody.
    pub fn shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    /// The rules: everybody's, then those of the tiers in the order of their names.
    pub(super) fn rules(&self) -> Result<Vec<Rule>, Problem> {
        if self.tiers.len() > MOST_TIERS {
            return Err(Problem::TooManyTiers);
        }
        let rule = |limit: u64, per: Option<Duration>, burst: Option<u64>| {
            let per = match self.algorithm {
                Algorithm::Day => 24 * 60 * MINUTE,
                Algorithm::Month => 31 * 24 * 60 * MINUTE,
                _ => per.unwrap_or(self.per),
            };
            Rule::new(self.algorithm, limit, per, burst.unwrap_or(limit))
        };
        let tiers = self.tiers.values().map(|tier| rule(tier.limit, tier.per, tier.burst));
        std::iter::once(rule(self.limit, None, self.burst)).chain(tiers).collect()
    }
}

/// What is wrong with limits, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitConfigError {
    problems: Vec<ConfigProblem>,
}

/// What is wrong with one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The limit's name; empty when it is about all of them.
    pub limit: String,
    /// What it is.
    pub problem: Problem,
}

impl RateLimitConfigError {
    /// Everything that is wrong.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl fmt::Display for RateLimitConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for RateLimitConfigError {}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.limit.is_empty() {
            write!(f, "limit `{}`: ", self.limit)?;
        }
        f.write_str(self.problem.text())
    }
}

/// What a [`RateLimiter`](super::RateLimiter) counts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RateLimitConfig {
    /// What is counted under one name in one store is one: the route's id, say. 1 to 64 letters,
    /// digits, `-`, `_`, `.`. Default: `default`.
    pub name: String,
    /// The limits, 1 to [`MOST_LIMITS`]. Default: none, which is rejected.
    pub limits: Vec<Limit>,
    /// Answers say what is left (`RateLimit`) of which limits (`RateLimit-Policy`). Default: true.
    pub headers: bool,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self { name: "default".to_owned(), limits: Vec::new(), headers: true }
    }
}

impl RateLimitConfig {
    /// `limits`, counted under `name`.
    pub fn new(name: impl Into<String>, limits: impl IntoIterator<Item = Limit>) -> Self {
        Self { name: name.into(), limits: limits.into_iter().collect(), ..Self::default() }
    }

    /// Whether it can work.
    ///
    /// # Errors
    ///
    /// With everything that is wrong.
    pub fn validate(&self) -> Result<(), RateLimitConfigError> {
        self.rules().map(drop)
    }

    /// Name and rules of each limit.
    pub(super) fn rules(&self) -> Result<Vec<(String, Vec<Rule>)>, RateLimitConfigError> {
        let mut problems = Vec::new();
        let mut found: Vec<(String, Vec<Rule>)> = Vec::new();
        let mut wrong = |limit: &str, problem| {
            problems.push(ConfigProblem { limit: limit.to_owned(), problem });
        };
        if self.limits.is_empty() || self.limits.len() > MOST_LIMITS {
            wrong("", Problem::Count);
        }
        if !is_name(&self.name) {
            wrong(&self.name, Problem::Name);
        }
        for (index, limit) in self.limits.iter().enumerate() {
            let name = match (limit.name.as_str(), index) {
                ("", 0) => "limit".to_owned(),
                ("", _) => format!("limit-{}", index + 1),
                (name, _) => name.to_owned(),
            };
            if !is_name(&name) {
                wrong(&name, Problem::Name);
            }
            if found.iter().any(|(taken, _)| *taken == name) {
                wrong(&name, Problem::SameName);
            }
            let rules = limit.rules().unwrap_or_else(|problem| {
                wrong(&name, problem);
                Vec::new()
            });
            found.push((name, rules));
        }
        if problems.is_empty() { Ok(found) } else { Err(RateLimitConfigError { problems }) }
    }
}

impl From<Limit> for RateLimitConfig {
    fn from(limit: Limit) -> Self {
        Self { limits: vec![limit], ..Self::default() }
    }
}

impl From<Vec<Limit>> for RateLimitConfig {
    fn from(limits: Vec<Limit>) -> Self {
        Self { limits, ..Self::default() }
    }
}

impl<const N: usize> From<[Limit; N]> for RateLimitConfig {
    fn from(limits: [Limit; N]) -> Self {
        Vec::from(limits).into()
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

/// Why a limit cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// There is none, or more than [`MOST_LIMITS`].
    Count,
    /// It is no name.
    Name,
    /// Two limits have one name.
    SameName,
    /// `limit` is 0.
    Limit,
    /// `per` is 0, or longer than can be counted.
    Per,
    /// `burst` is 0.
    Burst,
    /// More than ten million a second.
    TooFast,
    /// To fill the bucket takes longer than can be counted.
    TooSlow,
    /// More tiers than a limit may have.
    TooManyTiers,
}

impl Problem {
    const fn text(self) -> &'static str {
        match self {
            Self::Count => "expected 1 to 8 limits",
            Self::Name => "the name is none, expected 1 to 64 letters, digits, `-`, `_` or `.`",
            Self::SameName => "the name is taken by another limit, expected one of its own",
            Self::Limit => "`limit` is 0, expected at least 1",
            Self::Per => "`per` is 0 or longer than 146 years, expected a time between",
            Self::Burst => "`burst` is 0, expected at least 1",
            Self::TooFast => "expected at most 10,000,000 a second",
            Self::TooSlow => "`burst` takes longer than 146 years to refill, expected less",
            Self::TooManyTiers => "expected at most 256 tiers",
        }
    }
}
