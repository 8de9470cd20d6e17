//! [`RedisKeyStore`]: keys that several gateways share, in Redis.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisError,
    cmd,
};
use futures_util::StreamExt;
use gateway_core::BoxError;

use super::super::record::KeyRecord;
use super::super::written::{from_json, to_json};
use super::link::{Connect, Link};
use super::{KeyChange, KeyChanges, KeyStore, MAX_KEYS, StoreError};
use crate::auth::SecretDigest;

/// Redis answers within this time, or the connection is looked at.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// So many commands may wait to be written; more wait for a place, within their deadline.
const PIPELINE: usize = 1024;

/// So many records are read with one command.
const PAGE: usize = 256;

/// `KEYS`: the index of ids, then a place for each record. `ARGV`: the channel, then id, revision,
/// digest and record of each. Looks at all before it writes any.
const PUT: &str = "\
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 4
  local id, revision, digest = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local there = redis.call('HMGET', KEYS[i], 'id', 'revision')
  local known = redis.call('HGET', KEYS[1], id)
  if there[1] and there[1] ~= id then return 0 end
  if known and known ~= digest then return 0 end
  if revision ~= (tonumber(there[2]) or 0) + 1 then return 0 end
end
for i = 2, #KEYS do
  local at = 2 + (i - 2) * 4
  redis.call('HSET', KEYS[i], 'id', ARGV[at], 'revision', ARGV[at + 1], 'record', ARGV[at + 3])
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
  redis.call('PUBLISH', ARGV[1], ARGV[at + 2])
end
return 1";

/// `KEYS`: the index of ids, the place. `ARGV`: the channel, id, digest.
const REMOVE: &str = "\
redis.call('HDEL', KEYS[1], ARGV[2])
local gone = redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[1], ARGV[3])
return gone";

/// Where keys are in Redis.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisKeyConfig {
    /// `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]` or `redis+unix:///PATH`. Default:
    /// `redis://127.0.0.1:6379`.
    pub url: String,
    /// What names begin with: 1 to 64 letters, digits, `-`, `_`, `.` or `:`. Default: `gateway`.
    pub prefix: String,
}

impl Default for RedisKeyConfig {
    fn default() -> Self {
        Self { url: "redis://127.0.0.1:6379".to_owned(), prefix: "gateway".to_owned() }
    }
}

impl fmt::Debug for RedisKeyConfig {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisKeyConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Keys in Redis, for all gateways with the same prefix.
///
/// A key is a hash at `{PREFIX}:api_keys:key:DIGEST` with the fields `id`, `revision` and
/// `record` (JSON); `{PREFIX}:api_keys:ids` has the digest of each id. Whoever writes one
/// publishes its digest on `{PREFIX}:api_keys:changed`, which all gateways hear. Who changes a key
/// by other means should do the same, or it is seen when the time of what is remembered is over.
///
/// Connects when it is [started](KeyStore::start) or first asked, and again whenever a connection
/// is lost: one for questions and one to hear changes.
pub struct RedisKeyStore {
    link: Link<Server>,
    prefix: String,
}

struct Server {
    client: Client,
    channel: String,
}

impl RedisKeyStore {
    /// Keys at [`url`](RedisKeyConfig::url). Connects when it is first asked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Rejected`] for what is no address or no prefix. The address is not part of the
    /// message: it may hold a password.
    pub fn new(settings: RedisKeyConfig) -> Result<Self, StoreError> {
        let RedisKeyConfig { url, prefix } = settings;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if !(1..=64).contains(&prefix.len()) || !prefix.bytes().all(plain) {
            let problem = format!(
                "`{prefix}` is no prefix, expected 1 to 64 letters, digits, `-`, `_`, `.` or `:`"
            );
            return Err(StoreError::Rejected(problem));
        }
        let address = |_| {
            StoreError::Rejected(
                "no address of a Redis server, \
                 expected redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]"
                    .to_owned(),
            )
        };
        let info = url.into_connection_info().map_err(address)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(address)?;
        let channel = format!("{{{prefix}}}:api_keys:changed");
        Ok(Self { link: Link::new("redis", Server { client, channel }), prefix })
    }

    fn name(&self, what: &str) -> String {
        format!("{{{}}}:api_keys:{what}", self.prefix)
    }

    fn place(&self, digest: &str) -> String {
        self.name(&format!("key:{digest}"))
    }

    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T, StoreError> {
        let question = |mut connection: MultiplexedConnection| async move {
            command.query_async(&mut connection).await.map_err(|error| failed(&error))
        };
        self.link.ask(question).await
    }

    async fn records(&self, digests: &[String]) -> Result<Vec<KeyRecord>, StoreError> {
        let mut records = Vec::new();
        for digests in digests.chunks(PAGE) {
            let mut page = ::redis::pipe();
            for digest in digests {
                page.hget(self.place(digest), "record");
            }
            let question = |mut connection: MultiplexedConnection| async move {
                let texts: Vec<Option<String>> =
                    page.query_async(&mut connection).await.map_err(|error| failed(&error))?;
                Ok(texts)
            };
            for text in self.link.ask(question).await?.into_iter().flatten() {
                records.push(from_json(&text).map_err(StoreError::Unreadable)?);
            }
        }
        Ok(records)
    }
}

/// What went wrong, without what was sent.
fn failed(error: &RedisError) -> StoreError {
    let what = error.category().to_owned();
    match error.kind() {
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => StoreError::Unreadable(what),
        _ => StoreError::Away(what),
    }
}

impl KeyStore for RedisKeyStore {
    fn kind(&self) -> &'static str {
        "redis"
    }

    async fn find(&self, digest: &SecretDigest) -> Result<Option<KeyRecord>, StoreError> {
        let mut command = cmd("HGET");
        command.arg(self.place(&digest.to_hex())).arg("record");
        let text: Option<String> = self.ask(command).await?;
        text.map(|text| from_json(&text)).transpose().map_err(StoreError::Unreadable)
    }

    async fn load(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        let mut command = cmd("HGET");
        command.arg(self.name("ids")).arg(id);
        let digest: Option<String> = self.ask(command).await?;
        let Some(digest) = digest else { return Ok(None) };
        Ok(self.records(&[digest]).await?.pop())
    }

    async fn list(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let mut command = cmd("HLEN");
        command.arg(self.name("ids"));
        let count: usize = self.ask(command).await?;
        if count > MAX_KEYS {
            let problem = format!("{count} keys, expected {MAX_KEYS} at most");
            return Err(StoreError::Unreadable(problem));
        }
        let mut command = cmd("HVALS");
        command.arg(self.name("ids"));
        let digests: Vec<String> = self.ask(command).await?;
        let mut records = self.records(&digests).await?;
        records.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(records)
    }

    async fn put(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        let digests: Vec<_> = records.iter().map(|record| record.digest.to_hex()).collect();
        let mut command = cmd("EVAL");
        command.arg(PUT).arg(records.len() + 1).arg(self.name("ids"));
        for digest in &digests {
            command.arg(self.place(digest));
        }
        command.arg(self.name("changed"));
        for (record, digest) in records.iter().zip(&digests) {
            let text = to_json(record).map_err(StoreError::Rejected)?;
            command.arg(&record.id).arg(record.revision).arg(digest).arg(text);
        }
        let kept: bool = self.ask(command).await?;
        // Not before it is there; by then the message may have been heard.
        records.iter().for_each(|record| self.changes().tell(KeyChange::Key(record.digest)));
        if kept { Ok(()) } else { Err(StoreError::Changed) }
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let mut command = cmd("HGET");
        command.arg(self.name("ids")).arg(id);
        let digest: Option<String> = self.ask(command).await?;
        let Some(digest) = digest else { return Ok(false) };
        let mut command = cmd("EVAL");
        command.arg(REMOVE).arg(2).arg(self.name("ids")).arg(self.place(&digest));
        command.arg(self.name("changed")).arg(id).arg(&digest);
        let gone: bool = self.ask(command).await?;
        if let Some(digest) = SecretDigest::from_hex(&digest) {
            self.changes().tell(KeyChange::Key(digest));
        }
        Ok(gone)
    }

    fn changes(&self) -> &KeyChanges {
        self.link.changes()
    }

    fn start(&self) {
        self.link.start();
    }

    fn trouble(&self) -> Option<String> {
        self.link.trouble()
    }
}

impl Connect for Server {
    type Connection = MultiplexedConnection;

    async fn connect(
        &self,
        changes: Arc<KeyChanges>,
    ) -> Result<(MultiplexedConnection, impl Future<Output = BoxError> + Send + 'static), BoxError>
    {
        // It hears before anybody asks: what changes in between is not missed.
        let mut heard = self.client.get_async_pubsub().await?;
        heard.subscribe(&self.channel).await?;
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_pipeline_buffer_size(PIPELINE);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let connection = connecting.await?;
        let keeping = async move {
            let mut messages = heard.into_on_message();
            while let Some(message) = messages.next().await {
                let digest: Option<String> = message.get_payload().ok();
                let digest = digest.and_then(|text| SecretDigest::from_hex(&text));
                changes.tell(digest.map_or(KeyChange::Any, KeyChange::Key));
            }
            "the connection that hears changes was closed".into()
        };
        Ok((connection, keeping))
    }

    async fn ping(&self, mut connection: MultiplexedConnection) -> Result<(), BoxError> {
        Ok(cmd("PING").query_async(&mut connection).await?)
    }
}

impl fmt::Debug for RedisKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisKeyStore")
            .field("prefix", &self.prefix)
            .field("trouble", &self.trouble())
            .finish_non_exhaustive()
    }
}
