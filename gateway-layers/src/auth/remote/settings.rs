//! [`RemoteConfig`]: how a server is asked about tokens, and for how long its answers hold.

use std::time::Duration;

use http::HeaderName;

/// A server is asked for at most this long. Default: 2 s.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// A server that is away is left alone for this long at first. Default: 1 s.
pub const DEFAULT_COOLDOWN: Duration = Duration::from_secs(1);
/// Questions to one server at the same time. Default: 64.
pub const DEFAULT_CONCURRENCY: usize = 64;
/// Most known tokens that are kept. Default: 10,000, of about 1 KiB each.
pub const DEFAULT_CACHED_TOKENS: usize = 10_000;
/// A known token is kept for at most this long: so late is noticed that it was revoked.
/// Default: 60 s.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60);
/// Most rejected tokens that are kept. Default: 10,000, of about 100 bytes each.
pub const DEFAULT_REFUSED_TOKENS: usize = 10_000;
/// A rejected token is kept for this long. Default: 10 s.
pub const DEFAULT_REFUSED_TTL: Duration = Duration::from_secs(10);

/// Most bytes of a token. Default: 16 KiB, a quarter of what the headers of a request may have.
pub const DEFAULT_TOKEN_LIMIT: usize = 16 * 1024;

/// Nothing takes, or holds for, more than this: a day.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);

/// More questions at a time than this are no limit.
const MAX_CONCURRENCY: usize = 10_000;

/// Clocks do not differ by more than this: 10 minutes.
const MAX_SKEW: Duration = Duration::from_secs(600);

/// How a server is asked about tokens, and for how long its answers hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteConfig {
    /// How long a question may take, with the wait for its turn. Default: 2 s, at most a day, as
    /// all times here.
    pub timeout: Duration,
    /// How long a server that is away is left alone at first; it doubles up to
    /// [`MAX_COOLDOWN`](super::MAX_COOLDOWN). Default: 1 s.
    pub cooldown: Duration,
    /// Questions at the same time. Default: 64, from 1 to 10,000.
    pub concurrency: usize,
    /// Most bytes of a token; a larger one is rejected without a query. Default: 16 KiB.
    pub token_limit: usize,
    /// For how long answers hold.
    pub cache: CacheConfig,
}

/// For how long answers about tokens hold, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Most known tokens; with 0 the server is asked about each request. Default: 10,000.
    pub entries: usize,
    /// How long a known token is kept, and never longer than its `exp`. Default: 60 s.
    pub ttl: Duration,
    /// Most rejected tokens, beside the known ones; with 0 none are kept. Default: 10,000.
    pub negative_entries: usize,
    /// How long a rejected token is kept. Default: 10 s.
    pub negative_ttl: Duration,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            timeout: DEFAULT_TIMEOUT,
            cooldown: DEFAULT_COOLDOWN,
            concurrency: DEFAULT_CONCURRENCY,
            token_limit: DEFAULT_TOKEN_LIMIT,
            cache: CacheConfig::default(),
        }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            entries: DEFAULT_CACHED_TOKENS,
            ttl: DEFAULT_TTL,
            negative_entries: DEFAULT_REFUSED_TOKENS,
            negative_ttl: DEFAULT_REFUSED_TTL,
        }
    }
}

/// Why nobody can be asked as it was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The server has an address that cannot be asked.
    #[error("the server cannot be asked: {0}")]
    Server(String),
    /// A time, or a number, that cannot be meant.
    #[error("{0}")]
    Setting(&'static str),
    /// The gateway's own credentials cannot stand in a header field. They are not shown.
    #[error("the gateway's own credentials have characters that a header field cannot carry")]
    Credentials,
    /// The field means something else.
    #[error("nothing can be forwarded as {0}")]
    Forward(HeaderName),
}

impl RemoteConfig {
    pub(super) fn check(&self, skew: Duration) -> Result<(), RemoteError> {
        if self.timeout.is_zero() || self.cooldown.is_zero() {
            return Err(RemoteError::Setting("timeout and cooldown are more than nothing"));
        }
        let all = [self.timeout, self.cooldown, self.cache.ttl, self.cache.negative_ttl];
        if all.into_iter().any(|one| one > MAX_DURATION) {
            return Err(RemoteError::Setting("no time is more than a day"));
        }
        if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            return Err(RemoteError::Setting("concurrency is from 1 to 10,000"));
        }
        if skew > MAX_SKEW {
            return Err(RemoteError::Setting("the skew is more than 10 minutes"));
        }
        Ok(())
    }
}
