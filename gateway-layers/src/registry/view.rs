//! [`View`]: what is registered as of one moment, for the request path.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use gateway_core::context::Metadata;
use gateway_core::upstream::EndpointSpec;
use gateway_core::{Cluster, EndpointAddress, Module};
use http::request;
use tokio::time::Instant;

use super::capability::Capabilities;
use super::registration::{At, Record};
use super::state::{Instance, InstanceState};

/// All services that have an instance, by name.
pub(super) type View = BTreeMap<Arc<str>, Arc<ServiceView>>;

/// One service as of one moment.
pub(super) struct ServiceView {
    pub(super) name: Arc<str>,
    /// Its instances that take requests.
    pub(super) active: Vec<Arc<Record>>,
    pub(super) live: Arc<Swap>,
}

/// What lives on from view to view.
#[derive(Default)]
pub(super) struct Swap {
    /// What forwards to its instances; made when it is needed first.
    pub(super) cluster: OnceLock<Cluster>,
    /// Requests that a module of this process has.
    pub(super) in_flight: Arc<AtomicUsize>,
}

impl ServiceView {
    pub(super) fn new<'a>(
        name: Arc<str>,
        live: Arc<Swap>,
        instances: impl Iterator<Item = &'a Instance>,
    ) -> Self {
        let active = instances.filter(|instance| instance.state == InstanceState::Active);
        let active = active.map(|instance| Arc::clone(&instance.record)).collect();
        Self { name, active, live }
    }

    /// True when it has somebody to answer, and every one of them takes what is asked for.
    ///
    /// Every one: requests are spread over all instances, so while a service is replaced by one
    /// that takes more or less, it takes what both do.
    pub(super) fn takes(&self, head: &request::Parts, asked: &Metadata) -> bool {
        self.takes_for(head, asked, asked)
    }

    /// The same, where modules of this process are told what the `route` says about itself.
    pub(super) fn takes_for(
        &self,
        head: &request::Parts,
        asked: &Metadata,
        route: &Metadata,
    ) -> bool {
        let takes = |record: &Arc<Record>| {
            record.capabilities.take(asked)
                && match &record.at {
                    At::Module(module) => module.accepts(head, route),
                    At::Address(_) => true,
                }
        };
        !self.active.is_empty() && self.active.iter().all(takes)
    }

    /// The module of this process that it is, if it is one.
    pub(super) fn module(&self) -> Option<&Module> {
        self.active.iter().find_map(|record| match &record.at {
            At::Module(module) => Some(module),
            At::Address(_) => None,
        })
    }

    /// Its instances at addresses.
    pub(super) fn endpoints(&self) -> Vec<EndpointSpec> {
        self.active.iter().filter_map(|record| record.endpoint()).collect()
    }

    /// Requests under way, for each instance, in thousandths.
    pub(super) fn load(&self) -> usize {
        let endpoints = self.live.cluster.get().map(Cluster::endpoints).unwrap_or_default();
        let requests: usize = endpoints.iter().map(|endpoint| endpoint.in_flight()).sum();
        let requests = requests + self.live.in_flight.load(Ordering::Relaxed);
        requests * 1000 / self.active.len().max(1)
    }
}

/// One registered instance as of one moment.
#[derive(Clone)]
#[non_exhaustive]
pub struct InstanceStatus {
    /// Its id.
    pub id: Arc<str>,
    /// The service it is an instance of.
    pub service: Arc<str>,
    /// Its address as it was judged; `None` for a module of this process.
    pub address: Option<EndpointAddress>,
    /// How it is.
    pub state: InstanceState,
    /// What its last check found wrong.
    pub problem: Option<Arc<str>>,
    /// When its lease ends; `None`: it has none.
    pub expires: Option<Instant>,
    /// What it takes.
    pub capabilities: Capabilities,
    /// What else it says about itself.
    pub metadata: Metadata,
}

impl InstanceStatus {
    pub(super) fn of(instance: &Instance) -> Self {
        let record = &instance.record;
        Self {
            id: Arc::clone(&record.id),
            service: Arc::clone(&record.service),
            address: record.address().cloned(),
            state: instance.state,
            problem: instance.problem.clone(),
            expires: instance.expires,
            capabilities: record.capabilities.clone(),
            metadata: record.metadata.clone(),
        }
    }
}

impl fmt::Debug for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceStatus")
            .field("id", &self.id)
            .field("service", &self.service)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
