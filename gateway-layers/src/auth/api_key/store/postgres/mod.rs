//! [`PostgresKeyStore`]: keys that several gateways share, in Postgres.

mod server;
#[cfg(test)]
mod tests;

use std::fmt;

use tokio_postgres::{Client, Config, Row, Transaction};

use self::server::{Server, Session, failed};
use super::super::record::KeyRecord;
use super::super::written::{from_json, to_json};
use super::link::Link;
use super::{KeyChange, KeyChanges, KeyStore, MAX_KEYS, StoreError};
use crate::auth::SecretDigest;

/// What makes the table, with its name to be filled in.
const SCHEMA: &str = include_str!("schema.sql");

/// Where keys are in Postgres.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PostgresKeyConfig {
    /// `postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE`, or `key=value` pairs as libpq has
    /// them. Connections are plain: the way to the server has to be one that is trusted, or a
    /// Unix socket. Default: `postgresql://127.0.0.1/gateway`.
    pub url: String,
    /// The table: 1 to 40 lower-case letters, digits and `_`, with `SCHEMA.` before it if needed.
    /// Default: `gateway_api_keys`.
    pub table: String,
}

impl Default for PostgresKeyConfig {
    fn default() -> Self {
        let url = "postgresql://127.0.0.1/gateway".to_owned();
        Self { url, table: "gateway_api_keys".to_owned() }
    }
}

impl fmt::Debug for PostgresKeyConfig {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresKeyConfig").field("table", &self.table).finish_non_exhaustive()
    }
}

/// Keys in one table in Postgres.
///
/// The table is made by [`create`](Self::create), which runs [`schema`](Self::schema), and by
/// nothing else. A trigger of it notifies of each change, on the channel of the table's name, so
/// that gateways hear what is done by hand as well.
///
/// Connects when it is [started](KeyStore::start) or first asked, and again whenever the connection
/// is lost. One connection asks (prepared statements, in a pipeline) and listens; a pooler in
/// between must leave it its session.
pub struct PostgresKeyStore {
    link: Link<Server>,
}

impl PostgresKeyStore {
    /// Keys at [`url`](PostgresKeyConfig::url). Connects when it is first asked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Rejected`] for what is no address, no name of a table, or asks for TLS. The
    /// address is not part of the message: it may hold a password.
    pub fn new(settings: PostgresKeyConfig) -> Result<Self, StoreError> {
        let PostgresKeyConfig { url, table } = settings;
        if !is_table(&table) {
            let problem = format!(
                "`{table}` is no table, expected lower-case letters, digits and `_`, at most 40, \
                 with `SCHEMA.` before them if needed"
            );
            return Err(StoreError::Rejected(problem));
        }
        let config: Config = url.parse().map_err(|_| {
            let expected = "postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE";
            StoreError::Rejected(format!("no address of a Postgres server, expected {expected}"))
        })?;
        let server = Server::new(config, &table, channel(&table)).map_err(StoreError::Rejected)?;
        Ok(Self { link: Link::new("postgres", server) })
    }

    /// The statements that make the table `table` and the trigger that notifies of its changes.
    /// Run again they change nothing.
    pub fn schema(table: &str) -> String {
        let name = table.rsplit('.').next().unwrap_or(table);
        let filled = SCHEMA.replace("{table}", table).replace("{name}", name);
        filled.replace("{channel}", &channel(table))
    }

    /// [`schema`](Self::schema) of this table.
    pub fn statements(&self) -> String {
        Self::schema(self.table())
    }

    /// Makes the table, where it is not there.
    ///
    /// # Errors
    ///
    /// When the server does not.
    pub async fn create(&self) -> Result<(), StoreError> {
        let schema = self.statements();
        let create = |client: Client| async move {
            client.batch_execute(&schema).await.map_err(|error| failed(&error))
        };
        self.link.server().write(create).await
    }

    fn table(&self) -> &str {
        &self.link.server().table
    }
}

/// Names are cut at 63 bytes, and some get something behind them.
fn is_table(name: &str) -> bool {
    let plain = |part: &str| {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (1..=40).contains(&part.len())
            && !part.as_bytes()[0].is_ascii_digit()
            && part.bytes().all(letters)
    };
    let mut parts = name.split('.');
    name.len() <= 60 && parts.clone().count() <= 2 && parts.all(plain)
}

/// What gateways listen to.
fn channel(table: &str) -> String {
    table.replace('.', "_")
}

fn record(row: &Row) -> Result<KeyRecord, StoreError> {
    let unreadable = |_| StoreError::Unreadable("a row".to_owned());
    let text: &str = row.try_get(0).map_err(unreadable)?;
    let revision: i64 = row.try_get(1).map_err(unreadable)?;
    let mut record = from_json(text).map_err(StoreError::Unreadable)?;
    // Who changes a record by hand need not count.
    record.revision = u64::try_from(revision).unwrap_or(0);
    Ok(record)
}

/// Writes one record, if it is the next one of its key.
async fn write(
    transaction: &Transaction<'_>,
    table: &str,
    record: &KeyRecord,
) -> Result<(), StoreError> {
    let text = to_json(record).map_err(StoreError::Rejected)?;
    let next = i64::try_from(record.revision);
    let next = next.map_err(|_| StoreError::Rejected("`revision` is too high".to_owned()))?;
    let digest = record.digest.as_bytes().as_slice();
    let written = if next == 1 {
        let insert = format!(
            "INSERT INTO {table} (digest, id, revision, record)
             VALUES ($1, $2, $3::bigint, $4::text::jsonb) ON CONFLICT DO NOTHING"
        );
        transaction.execute(&insert, &[&digest, &record.id, &next, &text]).await
    } else {
        let update = format!(
            "UPDATE {table} SET revision = $3::bigint, record = $4::text::jsonb, changed_at = now()
             WHERE digest = $1 AND id = $2 AND revision = $3::bigint - 1"
        );
        transaction.execute(&update, &[&digest, &record.id, &next, &text]).await
    };
    match written.map_err(|error| failed(&error))? {
        1 => Ok(()),
        _ => Err(StoreError::Changed),
    }
}

impl KeyStore for PostgresKeyStore {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn find(&self, digest: &SecretDigest) -> Result<Option<KeyRecord>, StoreError> {
        let digest = digest.as_bytes().as_slice();
        let question = |session: Session| async move {
            let row = session.client.query_opt(&session.find, &[&digest]).await;
            row.map_err(|error| failed(&error))?.as_ref().map(record).transpose()
        };
        self.link.ask(question).await
    }

    async fn load(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        let question = |session: Session| async move {
            let row = session.client.query_opt(&session.load, &[&id]).await;
            row.map_err(|error| failed(&error))?.as_ref().map(record).transpose()
        };
        self.link.ask(question).await
    }

    async fn list(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let most = MAX_KEYS as i64 + 1;
        let question = |session: Session| async move {
            let rows = session.client.query(&session.list, &[&most]).await;
            let rows = rows.map_err(|error| failed(&error))?;
            if rows.len() > MAX_KEYS {
                let problem = format!("more than {MAX_KEYS} keys");
                return Err(StoreError::Unreadable(problem));
            }
            rows.iter().map(record).collect()
        };
        self.link.ask(question).await
    }

    async fn put(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        let table = self.table();
        let put = |mut client: Client| async move {
            let transaction = client.transaction().await.map_err(|error| failed(&error))?;
            for record in records {
                write(&transaction, table, record).await?;
            }
            transaction.commit().await.map_err(|error| failed(&error))
        };
        self.link.server().write(put).await?;
        // Said by the server as well, but maybe not yet.
        records.iter().for_each(|record| self.changes().tell(KeyChange::Key(record.digest)));
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let delete = format!("DELETE FROM {} WHERE id = $1 RETURNING digest", self.table());
        let remove = |client: Client| async move {
            let row = client.query_opt(&delete, &[&id]).await.map_err(|error| failed(&error))?;
            Ok(row.and_then(|row| row.try_get::<_, Vec<u8>>(0).ok()))
        };
        let Some(digest) = self.link.server().write(remove).await? else { return Ok(false) };
        if let Ok(digest) = <[u8; 32]>::try_from(digest) {
            self.changes().tell(KeyChange::Key(digest.into()));
        }
        Ok(true)
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

impl fmt::Debug for PostgresKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresKeyStore")
            .field("table", &self.table())
            .field("trouble", &self.trouble())
            .finish_non_exhaustive()
    }
}
