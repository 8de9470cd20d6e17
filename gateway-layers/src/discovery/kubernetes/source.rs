//! [`KubernetesDiscovery`] and its loop.

use std::time::Duration;

use gateway_core::upstream::{Discover, Publisher};
use gateway_core::{Cluster, ClusterBuilder};
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until};

use super::slice::{List, Slice, Slices};
use super::{KubernetesConfig, token};
use crate::discovery::client::{Ask, Client};
use crate::discovery::failure::Failure;
use crate::discovery::feed::Feed;
use crate::discovery::lines::Lines;
use crate::discovery::{DiscoveryError, entry};

/// Watches begin at least this far apart, whatever becomes of them.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest watch that an API server takes is a second long.
const MIN_WATCH: Duration = Duration::from_secs(1);

/// Endpoints from the slices of a Kubernetes service; see the [module](super).
pub struct KubernetesDiscovery {
    config: KubernetesConfig,
    client: Client,
    name: String,
}

/// The slices, and the version that they are known up to.
struct Known {
    slices: Slices,
    version: String,
}

/// What a line of a watch means.
#[derive(PartialEq, Eq)]
enum Next {
    Continue,
    /// The version is too old to be watched from: the slices are listed anew.
    Gone,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

impl KubernetesDiscovery {
    /// A source that asks as `config` says.
    ///
    /// # Errors
    ///
    /// Without a namespace or service, and for an `https` address: give
    /// [`with_client`](Self::with_client) a builder that has a TLS configuration.
    pub fn new(config: KubernetesConfig) -> Result<Self, DiscoveryError> {
        Self::with_client(config, Cluster::builder("kubernetes"))
    }

    /// As [`new`](Self::new); `client` says how the API server is connected to. Its endpoints,
    /// timeouts and limits are set here.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_client(
        mut config: KubernetesConfig,
        client: ClusterBuilder,
    ) -> Result<Self, DiscoveryError> {
        for (found, expected) in
            [(&config.namespace, "name of a namespace"), (&config.service, "name of a service")]
        {
            if found.is_empty() {
                return Err(DiscoveryError::Name { found: found.clone(), expected });
            }
        }
        entry::at(config.transport, "localhost", 1)?;
        config.watch = config.watch.max(MIN_WATCH);
        // The watch's own silence, and time for the connection.
        let silence = config.watch + 2 * config.timeout;
        Ok(Self {
            client: Client::new(client, std::slice::from_ref(&config.address), silence)?,
            name: format!("kubernetes {}/{}", config.namespace, config.service),
            config,
        })
    }

    /// Lists the slices unless they are known, and watches them. Ends in order when the watch has
    /// lasted long enough, or when what is known is forgotten.
    async fn follow(&self, known: &mut Option<Known>, feed: &mut Feed) -> Result<(), Failure> {
        let current = match known {
            Some(current) => current,
            None => {
                let current = self.list().await?;
                feed.publish(current.slices.found(&self.config)?)?;
                known.insert(current)
            }
        };
        let mut lines = match self.watch(&current.version).await {
            Ok(lines) => lines,
            Err(Failure::Status { status: StatusCode::GONE, .. }) => {
                *known = None;
                return Ok(());
            }
            Err(failure) => return Err(failure),
        };
        let silence = self.config.watch + self.config.timeout;
        loop {
            let batch = lines.batch(silence).await?;
            if batch.is_empty() {
                return Ok(());
            }
            for line in batch {
                if current.take_in(&line)? == Next::Gone {
                    *known = None;
                    return Ok(());
                }
            }
            current.slices.check()?;
            feed.publish(current.slices.found(&self.config)?)?;
        }
    }

    async fn list(&self) -> Result<Known, Failure> {
        let ask = Ask::get(&self.config.target())?;
        let token = token::authorization(&self.config).await?;
        let ask = ask.header(AUTHORIZATION, token.as_ref());
        let (_, answer) = self.client.fetch(ask, self.config.timeout).await?;
        let list: List = serde_json::from_slice(&answer)
            .map_err(|problem| Failure::unreadable("the list", &problem))?;
        let slices = Slices::new(list.items.unwrap_or_default())?;
        Ok(Known { slices, version: list.metadata.resource_version })
    }

    async fn watch(&self, version: &str) -> Result<Lines, Failure> {
        let (target, seconds) = (self.config.target(), self.config.watch.as_secs());
        let version = crate::http_client::encoded(version);
        let target = format!(
            "{target}&watch=1&allowWatchBookmarks=true&resourceVersion={version}\
             &timeoutSeconds={seconds}"
        );
        let token = token::authorization(&self.config).await?;
        let ask = Ask::get(&target)?.header(AUTHORIZATION, token.as_ref());
        Ok(Lines::new(self.client.open(ask, self.config.timeout).await?))
    }
}

impl Known {
    /// Takes in one line of a watch.
    fn take_in(&mut self, line: &[u8]) -> Result<Next, Failure> {
        let unreadable =
            |problem: serde_json::Error| Failure::unreadable("a line of the watch", &problem);
        let event: Event<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        if event.kind == "ERROR" {
            let status: Status = serde_json::from_str(event.object.get()).map_err(unreadable)?;
            if status.code == StatusCode::GONE.as_u16() {
                return Ok(Next::Gone);
            }
            let Status { code, message } = status;
            return Err(Failure::Other(format!("the watch failed: {code} {message}")));
        }
        let slice: Slice = serde_json::from_str(event.object.get()).map_err(unreadable)?;
        if !slice.metadata.resource_version.is_empty() {
            self.version.clone_from(&slice.metadata.resource_version);
        }
        match event.kind {
            "ADDED" | "MODIFIED" => self.slices.put(slice),
            "DELETED" => self.slices.remove(&slice),
            // A bookmark says how far the watch has come, and nothing else.
            _ => {}
        }
        Ok(Next::Continue)
    }
}

impl Discover for KubernetesDiscovery {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, publisher: Publisher) {
        let mut feed = Feed::new(publisher, self.config.backoff);
        let mut known = None;
        loop {
            let next = Instant::now() + MIN_INTERVAL;
            match self.follow(&mut known, &mut feed).await {
                Ok(()) => sleep_until(next).await,
                Err(failure) => {
                    known = None;
                    sleep(feed.failed(&failure)).await;
                }
            }
        }
    }
}

impl std::fmt::Debug for KubernetesDiscovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubernetesDiscovery").field("config", &self.config).finish_non_exhaustive()
    }
}
