//! [`Slices`]: what is known of a service's `EndpointSlice`s.

use std::collections::BTreeMap;

use gateway_core::upstream::EndpointSpec;
use serde::Deserialize;

use super::{KubernetesConfig, KubernetesPort};
use crate::discovery::failure::Failure;
use crate::discovery::feed::Found;
use crate::discovery::{Family, MAX_ENDPOINTS, entry};

/// What is remembered at most: every endpoint with both kinds of address, and as many again that
/// are not ready.
const MAX_KNOWN: usize = 4 * MAX_ENDPOINTS;

#[derive(Deserialize)]
pub(super) struct List {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) items: Option<Vec<Slice>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    name: String,
    pub(super) resource_version: String,
}

/// A slice, as far as it matters here. Lists may be `null` where they are empty.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slice {
    pub(super) metadata: Metadata,
    #[serde(default)]
    address_type: String,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    zone: Option<String>,
}

#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Deserialize)]
struct Port {
    name: Option<String>,
    port: Option<u16>,
}

impl Conditions {
    /// What is not known counts as ready.
    fn is_ready(&self) -> bool {
        self.ready.unwrap_or(true)
    }

    /// Going away, and still answering.
    fn still_serves(&self) -> bool {
        self.terminating.unwrap_or(false) && self.serving.unwrap_or(false)
    }
}

/// The slices of a service by their names.
#[derive(Default)]
pub(super) struct Slices {
    known: BTreeMap<String, Slice>,
}

impl Slices {
    pub(super) fn new(items: Vec<Slice>) -> Result<Self, Failure> {
        let mut slices = Self::default();
        for slice in items {
            slices.put(slice);
        }
        slices.check()?;
        Ok(slices)
    }

    pub(super) fn put(&mut self, slice: Slice) {
        self.known.insert(slice.metadata.name.clone(), slice);
    }

    pub(super) fn remove(&mut self, slice: &Slice) {
        self.known.remove(&slice.metadata.name);
    }

    /// Fails when there is more than is remembered.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let endpoints = |slice: &Slice| slice.endpoints.as_ref().map_or(0, Vec::len);
        let count: usize = self.known.values().map(endpoints).sum();
        if count > MAX_KNOWN || self.known.len() > MAX_KNOWN {
            return Err(Failure::TooMany(count));
        }
        Ok(())
    }

    /// The endpoints that take requests.
    pub(super) fn found(&self, config: &KubernetesConfig) -> Result<Found, Failure> {
        let endpoints = self.of_family(config, Conditions::is_ready)?;
        if endpoints.is_empty() {
            return Ok(self.of_family(config, Conditions::still_serves)?.into());
        }
        Ok(endpoints.into())
    }

    fn of_family(
        &self,
        config: &KubernetesConfig,
        wanted: fn(&Conditions) -> bool,
    ) -> Result<Vec<EndpointSpec>, Failure> {
        let of = |kind| self.of_kind(config, kind, wanted);
        Ok(match config.family {
            Family::V4 => of("IPv4")?,
            Family::V6 => of("IPv6")?,
            Family::V4First => some_or(of("IPv4")?, || of("IPv6"))?,
            Family::V6First => some_or(of("IPv6")?, || of("IPv4"))?,
            Family::Both => {
                let mut both = of("IPv4")?;
                both.extend(of("IPv6")?);
                both
            }
        })
    }

    fn of_kind(
        &self,
        config: &KubernetesConfig,
        kind: &str,
        wanted: fn(&Conditions) -> bool,
    ) -> Result<Vec<EndpointSpec>, Failure> {
        let mut found = Vec::new();
        let mut without = None;
        for slice in self.known.values().filter(|slice| slice.address_type == kind) {
            let endpoints = slice.endpoints.iter().flatten();
            let mut endpoints = endpoints.filter(|one| wanted(&one.conditions)).peekable();
            if endpoints.peek().is_none() {
                continue;
            }
            // While a service is rolled out, some of its slices may not have the port yet.
            let Some(port) = slice.port(&config.port)? else {
                without = Some(&slice.metadata.name);
                continue;
            };
            for endpoint in endpoints {
                // All addresses of an endpoint lead to the same pod: the first is enough.
                let Some(address) = endpoint.addresses.first() else {
                    continue;
                };
                let address = entry::at(config.transport, address, port);
                let address =
                    address.map_err(|problem| Failure::unreadable("a slice", &problem))?;
                let spec = EndpointSpec::new(address);
                found.push(match &endpoint.zone {
                    Some(zone) => spec.zone(zone.as_str()),
                    None => spec,
                });
            }
        }
        match without {
            Some(slice) if found.is_empty() => {
                let port = &config.port;
                Err(Failure::Other(format!("slice `{slice}` has no such port: {port:?}")))
            }
            _ => Ok(found),
        }
    }
}

fn some_or(
    found: Vec<EndpointSpec>,
    other: impl FnOnce() -> Result<Vec<EndpointSpec>, Failure>,
) -> Result<Vec<EndpointSpec>, Failure> {
    if found.is_empty() { other() } else { Ok(found) }
}

impl Slice {
    /// The number of the port, if this slice has it.
    fn port(&self, wanted: &KubernetesPort) -> Result<Option<u16>, Failure> {
        let ports = self.ports.as_deref().unwrap_or_default();
        let found = match wanted {
            KubernetesPort::Number(number) => return Ok(Some(*number)),
            KubernetesPort::Name(name) => {
                ports.iter().find(|port| port.name.as_deref().unwrap_or_default() == name)
            }
            KubernetesPort::Only if ports.len() > 1 => {
                let slice = &self.metadata.name;
                let problem = format!("slice `{slice}` has {} ports: name one", ports.len());
                return Err(Failure::Other(problem));
            }
            KubernetesPort::Only => ports.first(),
        };
        Ok(found.and_then(|port| port.port))
    }
}
