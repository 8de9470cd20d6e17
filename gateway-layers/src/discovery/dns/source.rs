//! [`DnsDiscovery`] and its loop.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use gateway_core::upstream::{Discover, Publisher};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::system_conf::read_system_conf;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::lookup::Lookup;
use super::{DnsConfig, DnsRecords};
use crate::discovery::failure::Failure;
use crate::discovery::feed::Feed;
use crate::discovery::{DiscoveryError, entry};

/// All questions for one set are answered within this time, or it has failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// A question is asked again at most so often, whatever is configured.
const MAX_RETRIES: usize = 5;

/// More name servers than this are not asked.
const MAX_SERVERS: usize = 16;

/// Endpoints from DNS; see the [module](super).
#[derive(Debug)]
pub struct DnsDiscovery {
    config: DnsConfig,
    dns_name: Name,
    name: String,
}

impl DnsDiscovery {
    /// A source that asks as `config` says.
    ///
    /// # Errors
    ///
    /// For a name that is no name in DNS, an IP address among them, the port 0, a transport that
    /// needs a path, and more than 16 name servers.
    pub fn new(config: DnsConfig) -> Result<Self, DiscoveryError> {
        let wrong = |expected| DiscoveryError::Name { found: config.name.clone(), expected };
        if config.name.parse::<IpAddr>().is_ok() {
            return Err(wrong("name in DNS: it is an address already"));
        }
        let dns_name = Name::from_str(&config.name).map_err(|_| wrong("name in DNS"))?;
        if dns_name.is_root() || dns_name.num_labels() == 0 {
            return Err(wrong("name in DNS"));
        }
        if config.servers.len() > MAX_SERVERS {
            let found = format!("{} name servers", config.servers.len());
            return Err(DiscoveryError::Name { found, expected: "list of at most 16" });
        }
        let (port, kind) = match config.records {
            DnsRecords::Addresses { port } => (port, "dns"),
            DnsRecords::Srv => (1, "srv"),
        };
        entry::at(config.transport, "localhost", port)?;
        let name = match config.records {
            DnsRecords::Addresses { port } => format!("{kind} {}:{port}", config.name),
            DnsRecords::Srv => format!("{kind} {}", config.name),
        };
        Ok(Self { dns_name, name, config })
    }

    async fn resolver(&self) -> Result<TokioResolver, Failure> {
        let (servers, mut options) = if self.config.servers.is_empty() {
            let read = spawn_blocking(read_system_conf).await;
            let read = read.map_err(|problem| Failure::Other(problem.to_string()))?;
            read.map_err(|problem| Failure::unreadable("/etc/resolv.conf", &problem))?
        } else {
            let servers = self.config.servers.iter().copied().map(server).collect();
            (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
        };
        options.timeout = self.config.timeout;
        options.attempts = self.config.retries.min(MAX_RETRIES);
        options.use_hosts_file = ResolveHosts::Never;
        // The source itself remembers answers for as long as they hold.
        options.cache_size = 0;
        TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|problem| Failure::Other(problem.to_string()))
    }

    /// Finds one set; returns how long it holds.
    async fn find(
        &self,
        resolver: &mut Option<TokioResolver>,
        feed: &mut Feed,
    ) -> Result<Duration, Failure> {
        let resolver = match resolver {
            Some(resolver) => resolver.clone(),
            None => resolver.insert(self.resolver().await?).clone(),
        };
        let lookup = Lookup { config: &self.config, resolver, name: self.dns_name.clone() };
        let found = timeout(DEADLINE, lookup.run()).await;
        let (found, ttl) = found.map_err(|_| Failure::Late(DEADLINE))??;
        feed.publish(found)?;
        Ok(self.config.hold(ttl))
    }
}

/// Asks over UDP, and over TCP where the answer is too long for it.
fn server(address: SocketAddr) -> NameServerConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

impl Discover for DnsDiscovery {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, publisher: Publisher) {
        let mut feed = Feed::new(publisher, self.config.backoff);
        let mut resolver = None;
        loop {
            let wait = match self.find(&mut resolver, &mut feed).await {
                Ok(wait) => wait,
                Err(failure) => {
                    // The system may have got other name servers.
                    resolver = None;
                    feed.failed(&failure)
                }
            };
            sleep(wait).await;
        }
    }
}
