//! [`RegistrySource`]: a cluster whose endpoints register themselves.

use std::fmt;
use std::sync::{Arc, Weak};

use gateway_core::context::Metadata;
use gateway_core::upstream::{Discover, EndpointSpec, Publisher};

use super::registry::{Registry, any_head};
use super::shared::Shared;

/// What is registered, as the endpoints of a cluster: whole sets, with every change.
///
/// ```
/// use gateway_core::Cluster;
/// use gateway_layers::registry::{Registry, RegistrySource};
///
/// let registry = Registry::builder().build();
/// let orders = Cluster::builder("orders")
///     .discovery(RegistrySource::service(&registry, "orders"))
///     .build()?;
/// # Ok::<(), gateway_core::ClusterError>(())
/// ```
pub struct RegistrySource {
    name: String,
    shared: Weak<Shared>,
    wanted: Wanted,
    /// The registry lives as long as its source, unless it owns the source's cluster.
    _registry: Option<Registry>,
}

enum Wanted {
    Service(Arc<str>),
    Compatible(Metadata),
}

impl RegistrySource {
    /// The instances of `service` that are well.
    pub fn service(registry: &Registry, service: impl Into<Arc<str>>) -> Self {
        Self { _registry: Some(registry.clone()), ..Self::within(&registry.shared, service.into()) }
    }

    /// Those of all services that are well and take what `asked` asks for; see
    /// [`Registry::compatible_services`]. Modules of this process have no address and are left
    /// out.
    pub fn compatible(registry: &Registry, asked: Metadata) -> Self {
        let text: Vec<_> = asked.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            name: format!("registry {}", text.join(" ")),
            shared: Arc::downgrade(&registry.shared),
            wanted: Wanted::Compatible(asked),
            _registry: Some(registry.clone()),
        }
    }

    /// The instances of `service`, for a cluster that the registry owns.
    pub(super) fn within(shared: &Arc<Shared>, service: Arc<str>) -> Self {
        Self {
            name: format!("registry {service}"),
            shared: Arc::downgrade(shared),
            wanted: Wanted::Service(service),
            _registry: None,
        }
    }

    fn endpoints(&self, shared: &Shared) -> Vec<EndpointSpec> {
        let view = shared.view.load();
        match &self.wanted {
            Wanted::Service(name) => {
                view.get(name).map(|service| service.endpoints()).unwrap_or_default()
            }
            Wanted::Compatible(asked) => {
                let head = any_head();
                let services = view.values().filter(|service| service.takes(&head, asked));
                services.flat_map(|service| service.endpoints()).collect()
            }
        }
    }
}

impl Discover for RegistrySource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, publisher: Publisher) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        shared.start();
        let mut changes = shared.changes.subscribe();
        drop(shared);
        let mut before = None;
        loop {
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            let endpoints = self.endpoints(&shared);
            drop(shared);
            if before.as_ref() != Some(&endpoints) {
                publisher.publish(endpoints.clone());
                before = Some(endpoints);
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for RegistrySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegistrySource").field(&self.name).finish()
    }
}
