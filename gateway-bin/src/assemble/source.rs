//! Where the endpoints of a cluster come from.

use gateway_core::upstream::Transport;
use gateway_core::{BoxError, Cluster, ClusterBuilder, EndpointAddress};
#[cfg(feature = "tls")]
use gateway_layers::discovery::kubernetes::CA_FILE;
use gateway_layers::discovery::{
    ConsulDiscovery, DnsDiscovery, EtcdDiscovery, FileDiscovery, KubernetesDiscovery,
};
use gateway_layers::registry::RegistrySource;

use super::registry::RegistryPart;
use crate::config::{Discover, Registered};

/// Gives `builder` the source that `discovery` says.
pub(super) fn source(
    builder: ClusterBuilder,
    discover: &Discover,
    registry: Option<&RegistryPart>,
) -> Result<ClusterBuilder, BoxError> {
    Ok(match discover {
        Discover::File(config) => builder.discovery(FileDiscovery::from(config.clone())),
        Discover::Dns(config) => builder.discovery(DnsDiscovery::new(config.clone())?),
        Discover::Consul(config) => {
            let client = client("consul", std::slice::from_ref(&config.address))?;
            builder.discovery(ConsulDiscovery::with_client(config.clone(), client)?)
        }
        Discover::Etcd(config) => {
            let client = client("etcd", &config.endpoints)?;
            builder.discovery(EtcdDiscovery::with_client(config.clone(), client)?)
        }
        Discover::Kubernetes(config) => {
            let client = kubernetes(&config.address)?;
            builder.discovery(KubernetesDiscovery::with_client(config.clone(), client)?)
        }
        Discover::Registry(registered) => {
            let part = registry.ok_or("there is no [registry] in the document")?;
            builder.discovery(match registered {
                Registered::Service(name) => RegistrySource::service(&part.registry, name.as_str()),
                Registered::Capabilities(asked) => {
                    let asked = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    RegistrySource::compatible(&part.registry, asked.collect())
                }
            })
        }
    })
}

/// The client for the API server: inside of a pod, its certificate is the cluster's own.
fn kubernetes(address: &EndpointAddress) -> Result<ClusterBuilder, BoxError> {
    #[cfg(feature = "tls")]
    if address.transport() == Transport::Https && std::path::Path::new(CA_FILE).exists() {
        return Ok(Cluster::builder("kubernetes").tls(super::tls::client_trusting(CA_FILE)?));
    }
    client("kubernetes", std::slice::from_ref(address))
}

/// The client with which a source is asked.
fn client(name: &str, addresses: &[EndpointAddress]) -> Result<ClusterBuilder, BoxError> {
    let builder = Cluster::builder(name);
    let https = addresses.iter().any(|address| address.transport() == Transport::Https);
    #[cfg(feature = "tls")]
    let builder = if https { builder.tls(super::tls::client()?) } else { builder };
    #[cfg(not(feature = "tls"))]
    if https {
        return Err("this build speaks no TLS".into());
    }
    Ok(builder)
}
