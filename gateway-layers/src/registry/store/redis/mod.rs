//! [`RedisStore`]: registrations in Redis, for several gateways.

mod record;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, Cmd, IntoConnectionInfo, cmd};
use gateway_core::BoxError;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use super::super::Record;
use super::memory::place;
use super::{Loaded, RegistryStore, Stored};

/// Redis answers within this time or counts as away.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// A connection is made within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How often is asked whether something changed.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// More registrations than this are not read.
const MOST: usize = 100_000;

/// So many records are read with one command.
const PAGE: usize = 256;

/// A place: `id`, a line feed, the record. Its key expires with the lease.
///
/// `KEYS`: index, version, place. `ARGV`: name of the place, value, milliseconds.
const PUT: &str = "\
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
redis.call('SADD', KEYS[1], ARGV[1])
return redis.call('INCR', KEYS[2])";

/// As `PUT`, with `ARGV[4]` the id: only where nobody else is.
const RENEW: &str = "\
local there = redis.call('GET', KEYS[3])
if there and string.sub(there, 1, #ARGV[4] + 1) ~= ARGV[4] .. '\\n' then return 0 end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[3])
if redis.call('SADD', KEYS[1], ARGV[1]) == 1 or not there then redis.call('INCR', KEYS[2]) end
return 1";

/// `ARGV`: name of the place, id.
const REMOVE: &str = "\
local there = redis.call('GET', KEYS[3])
if not there or string.sub(there, 1, #ARGV[2] + 1) ~= ARGV[2] .. '\\n' then return 0 end
redis.call('DEL', KEYS[3])
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('INCR', KEYS[2])
return 1";

/// `KEYS`: index, then places; `ARGV`: their names. Value and milliseconds of each, and forgets
/// the names of those that expired.
const PAGE_OF: &str = "\
local found = {}
for i = 2, #KEYS do
  local value = redis.call('GET', KEYS[i])
  if value then
    found[#found + 1] = value
    found[#found + 1] = redis.call('PTTL', KEYS[i])
  else
    redis.call('SREM', KEYS[1], ARGV[i - 1])
  end
end
return found";

/// Registrations in Redis, so that several gateways know the same services.
///
/// Keys are `{PREFIX}:registry:…`, with the prefix as the hash tag, so that all of them are in one
/// slot. Each registration is a key that expires with its lease. Whether something changed is
/// asked once a second.
///
/// Connects when it is first used, and again whenever the connection is lost.
///
/// ```
/// use gateway_layers::registry::{RedisStore, Registry};
///
/// let store = RedisStore::new("redis://127.0.0.1:6379", "gateway")?;
/// let registry = Registry::builder().with_store(store).build();
/// # Ok::<(), gateway_layers::registry::RedisStoreError>(())
/// ```
pub struct RedisStore {
    client: Client,
    connection: OnceCell<ConnectionManager>,
    prefix: String,
}

/// What was given is no address of a Redis server, or no prefix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// Expected `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]` or `redis+unix:///PATH`.
    #[error("no address of a Redis server, expected redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]")]
    Address,
    /// Expected text without braces.
    #[error("`{0}` is no prefix, expected 1 to 64 letters, digits, `-`, `_`, `.` or `:`")]
    Prefix(String),
}

impl RedisStore {
    /// Registrations at `url`, under keys that begin with `prefix`.
    ///
    /// # Errors
    ///
    /// For what is no address or no prefix. The address is not part of the message: it may hold a
    /// password.
    pub fn new(url: &str, prefix: impl Into<String>) -> Result<Self, RedisStoreError> {
        let prefix = prefix.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(plain) {
            return Err(RedisStoreError::Prefix(prefix));
        }
        let info = url.into_connection_info().map_err(|_| RedisStoreError::Address)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(|_| RedisStoreError::Address)?;
        Ok(Self { client, connection: OnceCell::new(), prefix })
    }

    fn key(&self, name: &str) -> String {
        format!("{{{}}}:registry:{name}", self.prefix)
    }

    async fn ask<T: ::redis::FromRedisValue>(&self, command: &Cmd) -> Result<T, BoxError> {
        let made = self.connection.get_or_try_init(|| {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(CONNECT_WITHIN))
                .set_response_timeout(Some(ANSWER_WITHIN))
                .set_number_of_retries(1);
            self.client.get_connection_manager_with_config(config)
        });
        let mut connection = made.await?.clone();
        Ok(command.query_async(&mut connection).await?)
    }

    /// `script` with index, version and place as its keys.
    fn script(&self, script: &str, place: &str) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(script).arg(3).arg(self.key("index")).arg(self.key("version"));
        command.arg(self.key(&format!("at {place}"))).arg(place);
        command
    }

    async fn version(&self) -> Result<u64, BoxError> {
        let version: Option<u64> = self.ask(cmd("GET").arg(self.key("version"))).await?;
        Ok(version.unwrap_or(0))
    }

    async fn page(&self, names: &[String]) -> Result<Vec<Stored>, BoxError> {
        let mut command = cmd("EVAL");
        command.arg(PAGE_OF).arg(names.len() + 1).arg(self.key("index"));
        for name in names {
            command.arg(self.key(&format!("at {name}")));
        }
        command.arg(names);
        let found: Vec<::redis::Value> = self.ask(&command).await?;
        let stored = found.chunks_exact(2).filter_map(|pair| {
            let value: String = ::redis::from_redis_value(pair.first()?.clone()).ok()?;
            let left: i64 = ::redis::from_redis_value(pair.get(1)?.clone()).ok()?;
            let record = record::read(value.split_once('\n')?.1);
            if record.is_none() {
                tracing::warn!("a record in the registry's store cannot be read");
            }
            let remaining = Duration::from_millis(u64::try_from(left).ok()?);
            Some(Stored { record: Arc::new(record?), remaining })
        });
        Ok(stored.collect())
    }
}

fn value(record: &Record) -> String {
    format!("{}\n{}", record.id, record::written(record))
}

fn milliseconds(lease: Duration) -> u64 {
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl RegistryStore for RedisStore {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn put(&self, record: &Arc<Record>) -> Result<(), BoxError> {
        let mut command = self.script(PUT, &place(record));
        command.arg(value(record)).arg(milliseconds(record.lease));
        self.ask::<u64>(&command).await?;
        Ok(())
    }

    async fn renew(&self, record: &Arc<Record>) -> Result<bool, BoxError> {
        let mut command = self.script(RENEW, &place(record));
        command.arg(value(record)).arg(milliseconds(record.lease)).arg(&*record.id);
        self.ask(&command).await
    }

    async fn remove(&self, record: &Arc<Record>) -> Result<(), BoxError> {
        let mut command = self.script(REMOVE, &place(record));
        self.ask::<u64>(command.arg(&*record.id)).await?;
        Ok(())
    }

    async fn load(&self) -> Result<Loaded, BoxError> {
        let version = self.version().await?;
        let count: usize = self.ask(cmd("SCARD").arg(self.key("index"))).await?;
        if count > MOST {
            return Err(format!("{count} registrations, expected {MOST} at most").into());
        }
        let names: Vec<String> = self.ask(cmd("SMEMBERS").arg(self.key("index"))).await?;
        let mut stored = Vec::new();
        for names in names.chunks(PAGE) {
            stored.extend(self.page(names).await?);
        }
        Ok(Loaded { version, stored })
    }

    async fn changed(&self, version: u64) -> Result<(), BoxError> {
        loop {
            sleep(POLL_EVERY).await;
            // Less than before: Redis has lost what it had, and the version with it.
            if self.version().await? != version {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
