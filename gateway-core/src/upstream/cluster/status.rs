//! [`ClusterStatus`]: what is going on in a cluster, for people and metrics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::PickMode;
use super::shared::Shared;
use crate::module::Health;
use crate::upstream::discovery::DiscoveryStatus;
use crate::upstream::health::{Ejected, Probed};

/// What is going on in a cluster as of one moment. `Display` is for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// Its name.
    pub name: Arc<str>,
    /// How endpoints are picked.
    pub balance: &'static str,
    /// From which endpoints is picked.
    pub mode: PickMode,
    /// Where its endpoints come from; `None`: they are given.
    pub discovery: Option<DiscoveryStatus>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointStatus>,
}

/// What is known about one endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointStatus {
    /// Its address.
    pub name: Arc<str>,
    /// Its configured share.
    pub weight: u32,
    /// Its zone.
    pub zone: Option<Arc<str>>,
    /// Its priority.
    pub priority: u32,
    /// It may be picked.
    pub pickable: bool,
    /// What its health checks say.
    pub health: Health,
    /// What the latest probe found.
    pub probed: Option<Probed>,
    /// Why, and until when, it is left out.
    pub ejected: Option<Ejected>,
    /// Failures in a row, if the latest request failed.
    pub failures_in_a_row: u32,
    /// Requests whose answers have not ended.
    pub in_flight: usize,
    /// Connections, busy and idle.
    pub connections: usize,
    /// The moving average of its delays, where it is measured.
    pub latency: Option<Duration>,
}

impl Shared {
    pub(super) fn status(&self) -> ClusterStatus {
        let available = self.available();
        let pickable = |name: &Arc<str>| {
            available.candidates().any(|candidate| Arc::ptr_eq(candidate.endpoint.name(), name))
        };
        let members = self.members();
        let endpoints = members.iter().map(|member| {
            let endpoint = &member.endpoint;
            EndpointStatus {
                name: Arc::clone(endpoint.name()),
                weight: member.spec.weight,
                zone: member.spec.zone.clone(),
                priority: member.spec.priority,
                pickable: pickable(endpoint.name()),
                health: endpoint.health(),
                probed: endpoint.vitals.probed(),
                ejected: endpoint.vitals.ejected(),
                failures_in_a_row: endpoint.vitals.failures_in_a_row(),
                in_flight: endpoint.in_flight(),
                connections: endpoint.connections(),
                latency: endpoint.latency(),
            }
        });
        ClusterStatus {
            name: Arc::clone(&self.name),
            balance: self.settings.balance.name(),
            mode: available.mode,
            discovery: self.discovery_status(),
            endpoints: endpoints.collect(),
        }
    }
}

impl fmt::Display for ClusterStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster `{}`: {}, picks from {}", self.name, self.balance, self.mode.name())?;
        if let Some(discovery) = &self.discovery {
            write!(f, ", from {}", discovery.source)?;
            match (&discovery.failure, discovery.published) {
                (Some(failure), _) => write!(f, " (fails: {failure})")?,
                (None, None) => f.write_str(" (nothing found yet)")?,
                (None, Some(_)) => {}
            }
        }
        for endpoint in &self.endpoints {
            write!(f, "\n  {endpoint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for EndpointStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = Instant::now();
        write!(f, "{}: {}", self.name, if self.pickable { "picked" } else { "not picked" })?;
        write!(f, ", {}", self.health.name())?;
        if let Some(problem) = self.probed.as_ref().and_then(|probed| probed.problem.as_ref()) {
            write!(f, " ({problem})")?;
        }
        if let Some(ejected) = &self.ejected {
            let left = ejected.until.saturating_duration_since(now).as_secs_f32();
            write!(f, ", left out for {left:.1} s ({})", ejected.cause)?;
        }
        write!(f, ", weight {}", self.weight)?;
        if self.priority > 0 {
            write!(f, ", priority {}", self.priority)?;
        }
        if let Some(zone) = &self.zone {
            write!(f, ", zone {zone}")?;
        }
        write!(f, ", {} in flight, {} connections", self.in_flight, self.connections)?;
        if let Some(latency) = self.latency {
            write!(f, ", {latency:.1?}")?;
        }
        Ok(())
    }
}
