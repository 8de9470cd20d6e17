//! The connection to Postgres: it asks and listens.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use gateway_core::BoxError;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Socket, Statement};

use super::super::link::Connect;
use super::super::{KeyChange, KeyChanges, StoreError};
use crate::auth::SecretDigest;

/// A server is reached within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// What a session may do: read, and not for long.
const READING: &str = "SET statement_timeout = '2s'; SET default_transaction_read_only = on";

/// What writes may not take longer than.
const WRITING: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'";

type Wire = Connection<Socket, NoTlsStream>;

/// Where the server is, and what it is asked.
pub(super) struct Server {
    config: Config,
    pub(super) table: String,
    channel: String,
}

/// A connection with what was prepared on it. Clones are the same.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) client: Arc<Client>,
    pub(super) find: Statement,
    pub(super) load: Statement,
    pub(super) list: Statement,
}

/// What went wrong, without what was sent: of what a server says only the name of the error, for
/// its message may repeat a value.
pub(super) fn failed(error: &tokio_postgres::Error) -> StoreError {
    match error.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => StoreError::Changed,
        Some(code) if *code == SqlState::UNDEFINED_TABLE => {
            StoreError::Away("its table is not there".to_owned())
        }
        Some(code) => StoreError::Away(format!("SQLSTATE {}", code.code())),
        None => StoreError::Away("the connection failed".to_owned()),
    }
}

impl Server {
    pub(super) fn new(mut config: Config, table: &str, channel: String) -> Result<Self, String> {
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err("no host, expected postgresql://HOST/DATABASE".to_owned());
        }
        // Nothing is sent in the clear where somebody has asked for the opposite.
        if config.get_ssl_mode() == SslMode::Require {
            return Err("`sslmode=require`, but connections to Postgres are plain".to_owned());
        }
        config.ssl_mode(SslMode::Disable).connect_timeout(CONNECT_WITHIN);
        if config.get_application_name().is_none() {
            config.application_name("gateway");
        }
        Ok(Self { config, table: table.to_owned(), channel })
    }

    async fn open(&self) -> Result<(Client, Wire), BoxError> {
        self.config.connect(NoTls).await.map_err(|error| plain(&error))
    }

    /// Does `work` on a connection of its own, which ends with it.
    pub(super) async fn write<T, F>(&self, work: impl FnOnce(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let opened = self.open().await;
        let (client, mut wire) = opened.map_err(|error| StoreError::Away(error.to_string()))?;
        let silent = KeyChanges::new();
        let work = async {
            client.batch_execute(WRITING).await.map_err(|error| failed(&error))?;
            work(client).await
        };
        driven(&mut wire, &silent, work).await
    }

    async fn prepare(&self, client: Client) -> Result<Session, tokio_postgres::Error> {
        let (table, channel) = (&self.table, &self.channel);
        client.batch_execute(&format!("{READING}; LISTEN \"{channel}\"")).await?;
        let columns = format!("SELECT record::text, revision FROM {table}");
        let find = client.prepare(&format!("{columns} WHERE digest = $1")).await?;
        let load = client.prepare(&format!("{columns} WHERE id = $1")).await?;
        let list = client.prepare(&format!("{columns} ORDER BY id LIMIT $1")).await?;
        Ok(Session { client: Arc::new(client), find, load, list })
    }
}

fn plain(error: &tokio_postgres::Error) -> BoxError {
    match failed(error) {
        StoreError::Away(cause) => cause.into(),
        other => other.to_string().into(),
    }
}

/// Does `work` while `wire` carries what it says.
async fn driven<T>(wire: &mut Wire, changes: &KeyChanges, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut open = true;
    poll_fn(|cx| {
        while open && let Poll::Ready(message) = wire.poll_message(cx) {
            open = hear(message, changes).is_ok();
        }
        work.as_mut().poll(cx)
    })
    .await
}

/// Tells what a message says has changed. Fails when there are no more.
fn hear(
    message: Option<Result<AsyncMessage, tokio_postgres::Error>>,
    changes: &KeyChanges,
) -> Result<(), BoxError> {
    match message {
        Some(Ok(AsyncMessage::Notification(notification))) => {
            let digest = SecretDigest::from_hex(notification.payload());
            changes.tell(digest.map_or(KeyChange::Any, KeyChange::Key));
            Ok(())
        }
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(plain(&error)),
        None => Err("the connection was closed".into()),
    }
}

impl Connect for Server {
    type Connection = Session;

    async fn connect(
        &self,
        changes: Arc<KeyChanges>,
    ) -> Result<(Session, impl Future<Output = BoxError> + Send + 'static), BoxError> {
        let (client, mut wire) = self.open().await?;
        let prepared = driven(&mut wire, &changes, self.prepare(client)).await;
        let session = prepared.map_err(|error| plain(&error))?;
        let keeping = async move {
            loop {
                let message = poll_fn(|cx| wire.poll_message(cx)).await;
                if let Err(lost) = hear(message, &changes) {
                    return lost;
                }
            }
        };
        Ok((session, keeping))
    }

    async fn ping(&self, session: Session) -> Result<(), BoxError> {
        session.client.simple_query("").await.map_err(|error| plain(&error))?;
        Ok(())
    }
}
