//! [`EtcdDiscovery`] and its loop.

use std::time::Duration;

use bytes::Bytes;
use gateway_core::upstream::{Discover, Publisher};
use gateway_core::{Cluster, ClusterBuilder};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::EtcdConfig;
use super::keys::Keys;
use super::wire::{self, Line, Range, Token};
use crate::discovery::DiscoveryError;
use crate::discovery::client::{Ask, Client};
use crate::discovery::failure::Failure;
use crate::discovery::feed::Feed;
use crate::discovery::lines::Lines;
use crate::http_client::hidden;

/// A member that has lost its leader ends a watch that says this, and would be silent otherwise.
const HAS_LEADER: HeaderName = HeaderName::from_static("grpc-metadata-hasleader");

/// The keys are read at least this far apart, whatever becomes of watches.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Endpoints from the keys below a prefix in etcd; see the [module](super).
pub struct EtcdDiscovery {
    config: EtcdConfig,
    client: Client,
    name: String,
}

/// Why a watch ended without failing.
#[derive(PartialEq, Eq)]
enum Again {
    /// What happened since is not known any more.
    Compacted,
    /// It has lasted long enough.
    Resync,
}

impl EtcdDiscovery {
    /// A source that asks as `config` says.
    ///
    /// # Errors
    ///
    /// Without a prefix or without a member, for a member that is given twice, and for an `https`
    /// address: give [`with_client`](Self::with_client) a builder that has a TLS configuration.
    pub fn new(config: EtcdConfig) -> Result<Self, DiscoveryError> {
        Self::with_client(config, Cluster::builder("etcd"))
    }

    /// As [`new`](Self::new); `client` says how members are connected to. Its endpoints, timeouts
    /// and limits are set here.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_client(config: EtcdConfig, client: ClusterBuilder) -> Result<Self, DiscoveryError> {
        if config.prefix.is_empty() {
            let found = config.prefix;
            return Err(DiscoveryError::Name { found, expected: "prefix of keys" });
        }
        let silence = config.resync + config.timeout;
        Ok(Self {
            client: Client::new(client, &config.endpoints, silence)?,
            name: format!("etcd {}", config.prefix),
            config,
        })
    }

    /// Reads the keys and watches them for as long as that goes well.
    async fn follow(&self, feed: &mut Feed) -> Result<Again, Failure> {
        let token = self.authenticate().await?;
        let range: Range = self.post(wire::RANGE, wire::range(&self.config.prefix), &token).await?;
        let revision = range.header.revision;
        let mut keys = Keys::new(range.kvs)?;
        feed.publish(keys.found())?;
        let question = wire::watch(&self.config.prefix, revision.saturating_add(1));
        let ask = self.ask(wire::WATCH, question, &token)?;
        let ask = ask.header(HAS_LEADER, Some(&HeaderValue::from_static("true")));
        let mut lines = Lines::new(self.client.open(ask, self.config.timeout).await?);
        let until = Instant::now() + self.config.resync;
        loop {
            let Ok(batch) = timeout_at(until, lines.batch(self.config.resync)).await else {
                return Ok(Again::Resync);
            };
            let batch = batch?;
            if batch.is_empty() {
                return Err(Failure::Other("the watch has ended".to_owned()));
            }
            for line in batch {
                if let Some(again) = take_in(&line, &mut keys)? {
                    return Ok(again);
                }
            }
            feed.publish(keys.found())?;
        }
    }

    /// The token that stands for the user, if there is one.
    async fn authenticate(&self) -> Result<Option<HeaderValue>, Failure> {
        let Some(user) = &self.config.user else {
            return Ok(None);
        };
        let password = self.config.password.as_ref().map_or("", |password| password.reveal());
        let question = wire::authenticate(user, password);
        let Token { token } = self.post(wire::AUTHENTICATE, question, &None).await?;
        let token = hidden(&token);
        token.map(Some).ok_or_else(|| Failure::Other("a token that cannot be sent".to_owned()))
    }

    async fn post<T: DeserializeOwned>(
        &self,
        target: &str,
        question: String,
        token: &Option<HeaderValue>,
    ) -> Result<T, Failure> {
        let ask = self.ask(target, question, token)?;
        let (_, answer) = self.client.fetch(ask, self.config.timeout).await?;
        serde_json::from_slice(&answer)
            .map_err(|problem| Failure::unreadable("the answer", &problem))
    }

    fn ask(
        &self,
        target: &str,
        question: String,
        token: &Option<HeaderValue>,
    ) -> Result<Ask, Failure> {
        Ok(Ask::post(target, question)?.header(AUTHORIZATION, token.as_ref()))
    }
}

/// Takes in what a line of a watch says.
fn take_in(line: &Bytes, keys: &mut Keys) -> Result<Option<Again>, Failure> {
    let line: Line = serde_json::from_slice(line)
        .map_err(|problem| Failure::unreadable("a line of the watch", &problem))?;
    if let Some(rejected) = line.error {
        return Err(Failure::Other(format!("the watch was rejected: {}", rejected.message)));
    }
    let Some(watched) = line.result else {
        return Ok(None);
    };
    if watched.compact_revision > 0 {
        return Ok(Some(Again::Compacted));
    }
    if watched.canceled {
        let reason = watched.cancel_reason;
        return Err(Failure::Other(format!("the watch was cancelled: {reason}")));
    }
    for event in watched.events {
        keys.apply(event)?;
    }
    Ok(None)
}

impl Discover for EtcdDiscovery {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, publisher: Publisher) {
        let mut feed = Feed::new(publisher, self.config.backoff);
        loop {
            let next = Instant::now() + MIN_INTERVAL;
            match self.follow(&mut feed).await {
                Ok(again) => {
                    if again == Again::Compacted {
                        tracing::debug!(source = self.name, "compacted, the keys are read anew");
                    }
                    sleep_until(next).await;
                }
                Err(failure) => sleep(feed.failed(&failure)).await,
            }
        }
    }
}

impl std::fmt::Debug for EtcdDiscovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdDiscovery").field("config", &self.config).finish_non_exhaustive()
    }
}
