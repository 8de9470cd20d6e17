//! [`ConsulDiscovery`] and its loop.

use std::time::Duration;

use gateway_core::upstream::{Discover, Publisher};
use gateway_core::{Cluster, ClusterBuilder};
use http::header::{HeaderName, HeaderValue};
use tokio::time::{Instant, sleep, sleep_until};

use super::{ConsulConfig, instance};
use crate::discovery::DiscoveryError;
use crate::discovery::client::{Ask, Client};
use crate::discovery::entry;
use crate::discovery::failure::Failure;
use crate::discovery::feed::Feed;
use crate::http_client::hidden;

const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");

/// The agent holds no answer for longer than this.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// Questions begin at least this far apart, however often the service changes.
const MIN_INTERVAL: Duration = Duration::from_millis(250);

/// Endpoints from a Consul agent; see the [module](super).
pub struct ConsulDiscovery {
    config: ConsulConfig,
    client: Client,
    token: Option<HeaderValue>,
    name: String,
}

impl ConsulDiscovery {
    /// A source that asks as `config` says.
    ///
    /// # Errors
    ///
    /// For a service without a name, a token that no header field carries, and an `https` address:
    /// give [`with_client`](Self::with_client) a builder that has a TLS configuration.
    pub fn new(config: ConsulConfig) -> Result<Self, DiscoveryError> {
        Self::with_client(config, Cluster::builder("consul"))
    }

    /// As [`new`](Self::new); `client` says how the agent is connected to. Its endpoints, timeouts
    /// and limits are set here.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_client(
        mut config: ConsulConfig,
        client: ClusterBuilder,
    ) -> Result<Self, DiscoveryError> {
        if config.service.is_empty() {
            let found = config.service;
            return Err(DiscoveryError::Name { found, expected: "name of a service" });
        }
        entry::at(config.transport, "localhost", 1)?;
        config.wait = config.wait.clamp(Duration::from_millis(1), MAX_WAIT);
        let token = config
            .token
            .as_ref()
            .map(|token| hidden(token.reveal()).ok_or(DiscoveryError::Secret("token")));
        let silence = patience(&config) + config.timeout;
        Ok(Self {
            client: Client::new(client, std::slice::from_ref(&config.address), silence)?,
            token: token.transpose()?,
            name: format!("consul {} at {}", config.service, config.address),
            config,
        })
    }

    /// Asks once; `index` is that of the answer before, and becomes that of this one.
    async fn ask(&self, index: &mut u64, feed: &mut Feed) -> Result<(), Failure> {
        let mut target = self.config.target();
        let mut within = self.config.timeout;
        if *index > 0 {
            within = patience(&self.config);
            let wait = self.config.wait.as_millis();
            target.push_str(&format!("&index={index}&wait={wait}ms"));
        }
        let ask = Ask::get(&target)?.header(TOKEN, self.token.as_ref());
        let (headers, answer) = self.client.fetch(ask, within).await?;
        let answered = headers.get("x-consul-index").and_then(|index| index.to_str().ok());
        let answered: u64 = answered
            .and_then(|index| index.parse().ok())
            .ok_or_else(|| Failure::Other("an answer without X-Consul-Index".to_owned()))?;
        let found = instance::endpoints(&self.config, &answer)?;
        feed.publish(found)?;
        // The agent was restored or replaced: what it held the answer for means nothing any more.
        *index = if answered < *index { 0 } else { answered.max(1) };
        Ok(())
    }
}

/// A held answer is waited for this long. The agent adds up to a sixteenth to the wait, so that many
/// that ask do not all ask again at the same time.
fn patience(config: &ConsulConfig) -> Duration {
    config.wait + config.wait / 16 + config.timeout
}

impl Discover for ConsulDiscovery {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, publisher: Publisher) {
        let mut feed = Feed::new(publisher, self.config.backoff);
        let mut index = 0;
        loop {
            let next = Instant::now() + MIN_INTERVAL;
            match self.ask(&mut index, &mut feed).await {
                Ok(()) => sleep_until(next).await,
                Err(failure) => {
                    index = 0;
                    sleep(feed.failed(&failure)).await;
                }
            }
        }
    }
}

impl std::fmt::Debug for ConsulDiscovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsulDiscovery").field("config", &self.config).finish_non_exhaustive()
    }
}
