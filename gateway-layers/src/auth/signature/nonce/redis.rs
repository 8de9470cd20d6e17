//! [`RedisNonces`]: the nonces that several gateways have seen.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, Cmd, IntoConnectionInfo, RedisError, cmd};
use gateway_core::{BoxError, Error, Reason};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::{Nonce, NonceStore, Remembered};

/// A connection is made within this time; a request waits for its own deadline only.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Nonces in Redis, so that a request that one gateway has let in is rejected by the others. Cheap
/// to clone; clones are the same store.
///
/// One command for each request (`SET ... NX PX`), under the key `PREFIX:nonce:HASH`, which
/// expires by itself. Where Redis does not answer in time nobody passes: 503
/// [`IdentityUnavailable`](Reason::IdentityUnavailable). What Redis forgets when it is started
/// anew can be used again until it is too old.
///
/// Connects when it is first asked, and again whenever the connection is lost.
#[derive(Clone)]
pub struct RedisNonces {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    connection: OnceCell<ConnectionManager>,
    prefix: String,
    deadline: Duration,
}

/// Where Redis is, and how long is waited for it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisNoncesConfig {
    /// `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]` or `redis+unix:///PATH`. Default:
    /// `redis://127.0.0.1:6379`.
    pub url: String,
    /// What keys begin with: 1 to 64 letters, digits, `-`, `_`, `.` or `:`. Default: `gateway`.
    pub prefix: String,
    /// A request waits for the answer at most so long. Default: 50 ms.
    pub timeout: Duration,
}

impl Default for RedisNoncesConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            prefix: "gateway".to_owned(),
            timeout: Duration::from_millis(50),
        }
    }
}

impl fmt::Debug for RedisNoncesConfig {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisNoncesConfig")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// What was given is no address of a Redis server, no prefix, or no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisNoncesError {
    /// The address is none. It is not told: it may hold a password.
    #[error("no address of a Redis server, expected redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]")]
    Address,
    /// The prefix is none.
    #[error("`{0}` is no prefix, expected 1 to 64 letters, digits, `-`, `_`, `.` or `:`")]
    Prefix(String),
    /// The deadline is zero.
    #[error("the timeout is 0, expected a duration")]
    Deadline,
}

impl RedisNonces {
    /// Nonces at [`url`](RedisNoncesConfig::url).
    ///
    /// # Errors
    ///
    /// For what is no address, prefix or deadline.
    pub fn new(settings: RedisNoncesConfig) -> Result<Self, RedisNoncesError> {
        let RedisNoncesConfig { url, prefix, timeout: deadline } = settings;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(plain) {
            return Err(RedisNoncesError::Prefix(prefix));
        }
        if deadline.is_zero() {
            return Err(RedisNoncesError::Deadline);
        }
        let info = url.into_connection_info().map_err(|_| RedisNoncesError::Address)?;
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info).map_err(|_| RedisNoncesError::Address)?;
        let connection = OnceCell::new();
        Ok(Self { shared: Arc::new(Shared { client, connection, prefix, deadline }) })
    }
}

impl Shared {
    fn command(&self, nonce: &Nonce) -> Cmd {
        let mut key = format!("{}:nonce:", self.prefix);
        for byte in nonce.fingerprint {
            key.push_str(&format!("{byte:02x}"));
        }
        let milliseconds = u64::try_from(nonce.remember.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = cmd("SET");
        command.arg(key).arg(1).arg("NX").arg("PX").arg(milliseconds);
        command
    }

    async fn ask(&self, command: &Cmd) -> Result<bool, RedisError> {
        let made = self.connection.get_or_try_init(|| {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(CONNECT_WITHIN))
                .set_response_timeout(Some(self.deadline))
                .set_number_of_retries(1);
            self.client.get_connection_manager_with_config(config)
        });
        let mut connection = made.await?.clone();
        let set: Option<String> = command.query_async(&mut connection).await?;
        Ok(set.is_some())
    }

    async fn remember(&self, command: &Cmd) -> Result<bool, Error> {
        let away = |source: BoxError| {
            tracing::warn!(cause = %source, "the store of nonces does not answer");
            let error = Error::new(Reason::IdentityUnavailable).with_source(source);
            error.with_detail("signatures cannot be remembered now")
        };
        match timeout(self.deadline, self.ask(command)).await {
            Ok(Ok(new)) => Ok(new),
            Ok(Err(error)) => Err(away(error.into())),
            Err(late) => Err(away(late.into())),
        }
    }
}

impl NonceStore for RedisNonces {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn remember(&self, nonce: &Nonce) -> Remembered {
        let shared = Arc::clone(&self.shared);
        let command = shared.command(nonce);
        Remembered::Later(Box::pin(async move { shared.remember(&command).await }))
    }
}

impl fmt::Debug for RedisNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisNonces")
            .field("prefix", &self.shared.prefix)
            .field("deadline", &self.shared.deadline)
            .finish_non_exhaustive()
    }
}
