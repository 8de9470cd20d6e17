//! [`ConsulConfig`].

use std::time::Duration;

use gateway_core::EndpointAddress;
use gateway_core::upstream::Transport;

use crate::discovery::{Backoff, Secret};

/// Which service of which agent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsulConfig {
    /// The agent's HTTP address.
    pub address: EndpointAddress,
    /// The service.
    pub service: String,
    /// Only instances with this tag. Default: all.
    pub tag: Option<String>,
    /// The datacenter. Default: the agent's.
    pub datacenter: Option<String>,
    /// Sent as `X-Consul-Token`. Default: none.
    pub token: Option<Secret>,
    /// The key in the metadata of a service, or else of its node, that has an instance's zone.
    /// Default: none, instances have no zone.
    pub zone_meta: Option<String>,
    /// How the instances are spoken to. Default: HTTP/1.1 over TCP.
    pub transport: Transport,
    /// How long the agent holds an answer when nothing changes; it allows ten minutes at most.
    /// Default: 1 min.
    pub wait: Duration,
    /// How long an answer may take beyond that. Default: 10 s.
    pub timeout: Duration,
    /// How long to wait after failures.
    pub backoff: Backoff,
}

impl ConsulConfig {
    /// The instances of `service` that the agent at `address` knows to be well.
    pub fn new(address: EndpointAddress, service: impl Into<String>) -> Self {
        Self {
            address,
            service: service.into(),
            tag: None,
            datacenter: None,
            token: None,
            zone_meta: None,
            transport: Transport::Http,
            wait: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
        }
    }

    /// The path and query of a question, but for its index.
    pub(super) fn target(&self) -> String {
        use crate::http_client::encoded;

        let mut target = format!("/v1/health/service/{}?passing=true", encoded(&self.service));
        let parameters = [("tag", &self.tag), ("dc", &self.datacenter)];
        for (name, value) in parameters {
            if let Some(value) = value {
                target.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        target
    }
}
