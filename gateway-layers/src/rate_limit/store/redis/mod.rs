//! [`RedisStore`]: limits that several gateways count together.

mod link;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, Cmd, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind, cmd};
use gateway_core::{Error, Observers, Reason};
use tokio::time::timeout;

use self::link::Link;
use super::super::config::MOST_LIMITS;
use super::super::key::rekeyed;
use super::super::rule::{Level, Rule};
use super::memory::{DEFAULT_KEYS, MemoryStore};
use super::{Admission, Ask, Charge, Decided, Decision, Store, StoreStatus};

/// What Redis runs: one script decides about all limits of a request, by the server's own clock.
const SCRIPT: &str = include_str!("decide.lua");

static DIGEST: LazyLock<String> =
    LazyLock::new(|| sha1_smol::Sha1::from(SCRIPT).digest().to_string());

/// Numbers of the script's answer for each limit.
const ANSWERS: usize = 4;

/// Limits in Redis, counted by all gateways together. Cheap to clone; clones are the same store.
///
/// One script decides, in one exchange, with the clock of the server. Keys are
/// `{PREFIX:GROUP}:KEY` with fingerprints (SHA-1) in place of names and addresses, and expire when
/// nothing is left to be known. What is decided together has one hash tag, so that a cluster can
/// hold it: if all limits of a [`RateLimiter`](super::super::RateLimiter) have the same
/// [`key`](super::super::Limit::key), each client has a group of its own; else they all have one.
///
/// All requests share one connection, which is made when the first one asks.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

struct Shared {
    link: Arc<Link>,
    deadline: Duration,
    prefix: String,
    on_unavailable: OnUnavailable,
    replicas: u32,
    local: MemoryStore,
}

/// Where Redis is, and what holds when it is away.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisConfig {
    /// `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]` or `redis+unix:///PATH`. Default:
    /// `redis://127.0.0.1:6379`.
    pub url: String,
    /// What keys begin with: 1 to 64 letters, digits, `-`, `_`, `.` or `:`. Default: `gateway`.
    pub prefix: String,
    /// A request waits for the decision at most so long. Default: 50 ms.
    pub timeout: Duration,
    /// What holds when Redis does not answer. Default: [`OnUnavailable::Share`].
    pub on_unavailable: OnUnavailable,
    /// So many gateways count together: with [`OnUnavailable::Share`] each has this part of a limit.
    /// Default: 1.
    pub replicas: u32,
    /// Keys that are counted here while Redis is away. Default: 100,000.
    pub keys: usize,
}

/// What holds when the store does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnavailable {
    /// Each gateway counts for itself, with its part of the limits, at least 1. What was counted
    /// before is not known to it.
    #[default]
    Share,
    /// Everybody passes, uncounted.
    Open,
    /// Nobody passes: [`Reason::LimiterUnavailable`].
    Closed,
}

impl OnUnavailable {
    /// The one of this name in documents: `share`, `open` or `closed`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "share" => Some(Self::Share),
            "open" => Some(Self::Open),
            "closed" => Some(Self::Closed),
            _ => None,
        }
    }
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            prefix: "gateway".to_owned(),
            timeout: Duration::from_millis(50),
            on_unavailable: OnUnavailable::Share,
            replicas: 1,
            keys: DEFAULT_KEYS,
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("on_unavailable", &self.on_unavailable)
            .field("replicas", &self.replicas)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// What was given is no address of a Redis server, no prefix, or no time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// The address is none. It is not told: it may hold a password.
    Address,
    /// The prefix is none.
    Prefix(String),
    /// The deadline is zero.
    Deadline,
}

impl fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str(
                "no address of a Redis server, \
                 expected redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]",
            ),
            Self::Prefix(prefix) => write!(
                f,
                "`{prefix}` is no prefix, expected 1 to 64 letters, digits, `-`, `_`, `.` or `:`"
            ),
            Self::Deadline => f.write_str("the timeout is 0, expected a duration"),
        }
    }
}

impl std::error::Error for RedisStoreError {}

impl RedisStore {
    /// Limits at [`url`](RedisConfig::url). Connects when it is first asked.
    ///
    /// # Errors
    ///
    /// For what is no address, prefix or deadline.
    pub fn new(settings: RedisConfig) -> Result<Self, RedisStoreError> {
        Self::observed(settings, Observers::default())
    }

    /// The same, whose comings and goings `observers` see: subject `rate_limit_store`, name
    /// `redis`, states `connecting`, `good` and `away`.
    ///
    /// # Errors
    ///
    /// For what is no address, prefix or deadline.
    pub fn observed(settings: RedisConfig, observers: Observers) -> Result<Self, RedisStoreError> {
        let RedisConfig { url, prefix, timeout: deadline, on_unavailable, replicas, keys } =
            settings;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(plain) {
            return Err(RedisStoreError::Prefix(prefix));
        }
        if deadline.is_zero() {
            return Err(RedisStoreError::Deadline);
        }
        let info = url.into_connection_info().map_err(|_| RedisStoreError::Address)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(|_| RedisStoreError::Address)?;
        let link = Link::new(client, deadline, format!("{{{prefix}}}:probe"), observers);
        let local = MemoryStore::with_keys(keys);
        let shared = Shared { link, deadline, prefix, on_unavailable, replicas, local };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Store for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn decide(&self, ask: &Ask<'_>, levels: &mut [Level]) -> Decided {
        let question = Question::of(ask);
        if !self.shared.link.is_askable() {
            return Decided::Now(self.shared.without(&question, levels));
        }
        let shared = Arc::clone(&self.shared);
        let arguments = shared.arguments(ask);
        Decided::Later(Box::pin(async move {
            match timeout(shared.deadline, shared.ask(&question, arguments)).await {
                Ok(Some(decision)) => Ok(decision),
                Ok(None) => shared.later_without(&question),
                Err(_) => {
                    shared.link.timed_out();
                    shared.later_without(&question)
                }
            }
        }))
    }

    fn status(&self) -> StoreStatus {
        StoreStatus { away: self.shared.link.is_away(), ..self.shared.local.status() }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.shared.prefix)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// What the script is given.
    fn arguments(&self, ask: &Ask<'_>) -> Vec<String> {
        let mut arguments = Vec::with_capacity(2 + 7 * ask.charges.len());
        arguments.push(ask.charges.len().to_string());
        for Charge { key, .. } in ask.charges {
            arguments.push(format!("{{{}:{:032x}}}:{key:032x}", self.prefix, ask.group));
        }
        arguments.push(u8::from(ask.spends).to_string());
        for Charge { rule, cost, binding, .. } in ask.charges {
            arguments.push(rule.algorithm.name().to_owned());
            arguments.push(rule.limit.to_string());
            arguments.push(rule.per.as_micros().max(1).to_string());
            arguments.push(rule.burst.to_string());
            arguments.push(cost.to_string());
            arguments.push(u8::from(*binding).to_string());
        }
        arguments
    }

    /// `None` when there is no answer.
    async fn ask(&self, question: &Question, arguments: Vec<String>) -> Option<Decision> {
        let mut connection = self.link.connection().await?;
        let answer = match run("EVALSHA", &DIGEST, &arguments, &mut connection).await {
            Err(error) if is_unknown_script(&error) => {
                run("EVAL", SCRIPT, &arguments, &mut connection).await
            }
            answer => answer,
        };
        match answer {
            Ok(numbers) => {
                self.link.succeeded();
                Some(question.decision(&numbers))
            }
            Err(error) => {
                self.link.failed(&error);
                None
            }
        }
    }

    /// What holds without Redis.
    fn without(&self, question: &Question, levels: &mut [Level]) -> Result<Admission, Error> {
        match self.on_unavailable {
            OnUnavailable::Open => Ok(Admission::Uncounted),
            OnUnavailable::Closed => Err(Reason::LimiterUnavailable.into()),
            OnUnavailable::Share => {
                let admitted = question.decide(&self.local, self.replicas, levels);
                Ok(Admission::counted(admitted))
            }
        }
    }

    /// The same of a request that has waited for Redis.
    fn later_without(&self, question: &Question) -> Result<Decision, Error> {
        let mut levels = vec![Level::default(); question.charges.len()];
        Ok(match self.without(question, &mut levels)? {
            Admission::Uncounted => Decision::uncounted(),
            admission => Decision::new(admission == Admission::Admitted, levels),
        })
    }
}

async fn run(
    name: &str,
    script: &str,
    arguments: &[String],
    connection: &mut MultiplexedConnection,
) -> Result<Vec<i64>, RedisError> {
    let mut command: Cmd = cmd(name);
    command.arg(script).arg(arguments);
    command.query_async(connection).await
}

/// The server has been started anew, or has forgotten.
fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// What was asked, for as long as it takes.
struct Question {
    charges: Vec<(u128, Rule, u64, bool)>,
    spends: bool,
}

impl Question {
    fn of(ask: &Ask<'_>) -> Self {
        let charges = ask.charges.iter().take(MOST_LIMITS);
        let charges = charges.map(|charge| (charge.key, *charge.rule, charge.cost, charge.binding));
        Self { charges: charges.collect(), spends: ask.spends }
    }

    /// What the script's answer means.
    fn decision(&self, numbers: &[i64]) -> Decision {
        let micros = |number: i64| u64::try_from(number).ok().map(Duration::from_micros);
        let level = |numbers: &[i64]| match *numbers {
            [fits, remaining, more, after] => Level {
                fits: fits == 1,
                remaining: u64::try_from(remaining).unwrap_or(0),
                more_after: micros(more),
                retry_after: micros(after),
            },
            _ => Level::default(),
        };
        let levels: Vec<_> = numbers.chunks_exact(ANSWERS).map(level).collect();
        let binding = self.charges.iter().map(|(.., binding)| *binding);
        let admitted = levels.iter().zip(binding).all(|(level, binding)| level.fits || !binding);
        Decision::new(admitted, levels)
    }

    /// The decision of one gateway alone, with its part of the limits.
    fn decide(&self, store: &MemoryStore, replicas: u32, levels: &mut [Level]) -> bool {
        let shares: Vec<_> = self.charges.iter().map(|charge| charge.1.share(replicas)).collect();
        let charges = self.charges.iter().zip(&shares);
        let charges: Vec<_> = charges
            .map(|((key, _, cost, binding), rule)| {
                Charge::new(rekeyed(*key), rule, *cost, *binding)
            })
            .collect();
        store.decide_now(&Ask::new(&charges, 0, self.spends), levels)
    }
}
