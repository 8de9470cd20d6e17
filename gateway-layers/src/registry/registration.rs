//! [`Registration`]: what a service says about itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::context::Metadata;
use gateway_core::upstream::{EndpointSpec, MAX_WEIGHT};
use gateway_core::{EndpointAddress, Module};

use super::capability::{ANY, Capabilities};
use super::error::Fault;
use super::secret::Fingerprint;
use super::settings::{LeaseConfig, RegistryLimits};

/// Where a service is: at an address, or in this process.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Place {
    /// At an address as of an endpoint: `http://HOST[:PORT]` or `h2c://HOST[:PORT]`.
    Address(String),
    /// In this process.
    Module(Module),
}

impl From<&str> for Place {
    fn from(address: &str) -> Self {
        Self::Address(address.to_owned())
    }
}

impl From<String> for Place {
    fn from(address: String) -> Self {
        Self::Address(address)
    }
}

impl From<Module> for Place {
    fn from(module: Module) -> Self {
        Self::Module(module)
    }
}

/// What a service says about itself to be registered.
#[derive(Clone, Debug)]
pub struct Registration {
    pub(super) service: String,
    pub(super) place: Place,
    pub(super) capabilities: Capabilities,
    pub(super) metadata: Metadata,
    pub(super) lease: Option<Duration>,
    pub(super) health_path: Option<String>,
    pub(super) weight: u32,
    pub(super) zone: Option<String>,
}

impl Registration {
    /// The service called `service` at `place`.
    pub fn new(service: impl Into<String>, place: impl Into<Place>) -> Self {
        Self {
            service: service.into(),
            place: place.into(),
            capabilities: Capabilities::new(),
            metadata: Metadata::default(),
            lease: None,
            health_path: None,
            weight: 1,
            zone: None,
        }
    }

    /// What it takes. Default: nothing that is asked for.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// What else is to be known about it; says nothing to the gateway.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// How long it lasts without a heartbeat. Default: the registry's.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// What is asked for to check it. Default: the registry's.
    #[must_use]
    pub fn health_path(mut self, path: impl Into<String>) -> Self {
        self.health_path = Some(path.into());
        self
    }

    /// Its share beside the other instances of its service. Default: 1.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// The zone it is in.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Everything that is wrong with it.
    pub(super) fn faults(&self, limits: &RegistryLimits, leases: &LeaseConfig) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !is_name(&self.service) {
            faults.push(Fault::new("/service", quoted(&self.service), NAME));
        }
        self.faults_of_capabilities(limits, &mut faults);
        for (name, value) in self.metadata.iter() {
            let at = format!("/metadata/{}", escaped(name));
            if !is_name(name) {
                faults.push(Fault::new(at, quoted(name), NAME));
            } else if value.chars().any(char::is_control) {
                faults.push(Fault::new(at, "control characters", "text without them"));
            }
        }
        let bytes = self.bytes();
        if bytes > limits.registration {
            let most =
                format!("{} bytes of capabilities and metadata at most", limits.registration);
            faults.push(Fault::new("", format!("{bytes} bytes"), most));
        }
        if let Some(lease) = self.lease
            && !(leases.min..=leases.max).contains(&lease)
        {
            let range = format!("{:?} to {:?}", leases.min, leases.max);
            faults.push(Fault::new("/lease_seconds", format!("{lease:?}"), range));
        }
        if let Some(path) = &self.health_path
            && !is_path(path)
        {
            faults.push(Fault::new("/health_path", quoted(path), PATH));
        }
        if self.weight > MAX_WEIGHT {
            let found = self.weight.to_string();
            faults.push(Fault::new("/weight", found, format!("0 to {MAX_WEIGHT}")));
        }
        if let Some(zone) = &self.zone
            && !is_name(zone)
        {
            faults.push(Fault::new("/zone", quoted(zone), NAME));
        }
        faults
    }

    fn faults_of_capabilities(&self, limits: &RegistryLimits, faults: &mut Vec<Fault>) {
        let count = self.capabilities.len();
        if count > limits.capabilities {
            let most = format!("{} at most", limits.capabilities);
            faults.push(Fault::new("/capabilities", format!("{count} names"), most));
        }
        for (name, mut values) in self.capabilities.iter() {
            let at = format!("/capabilities/{}", escaped(name));
            let count = self.capabilities.count(name);
            if name == ANY && !(count == 1 && values.next() == Some(ANY)) {
                faults.push(Fault::new(at, "values", "`*` alone, since the name is `*`"));
                continue;
            }
            if name != ANY && !is_name(name) {
                faults.push(Fault::new(at, quoted(name), NAME));
            } else if count == 0 || count > limits.values {
                let expected = format!("1 to {}", limits.values);
                faults.push(Fault::new(at, format!("{count} values"), expected));
            } else if let Some(value) = values.find(|value| !is_value(value)) {
                faults.push(Fault::new(at, quoted(value), VALUE));
            }
        }
    }

    /// The bytes of its capabilities and metadata.
    fn bytes(&self) -> usize {
        self.capabilities.bytes() + bytes(&self.metadata)
    }
}

fn bytes(metadata: &Metadata) -> usize {
    metadata.iter().map(|(name, value)| name.len() + value.len()).sum()
}

const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 256;
const MAX_PATH: usize = 256;
const NAME: &str = "1 to 64 letters, digits, `-`, `_`, `.`";
const VALUE: &str = "1 to 256 bytes without control characters";
const PATH: &str = "a path of 1 to 256 visible ASCII characters that begins with `/`";

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(plain)
}

fn is_value(value: &str) -> bool {
    !value.is_empty() && value.len() <= MAX_VALUE && !value.chars().any(char::is_control)
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= MAX_PATH
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\')
        && path.parse::<http::uri::PathAndQuery>().is_ok()
}

/// The text for people: short, and without anything that a terminal would obey.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 64;
    let mut short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// A name as a part of a JSON pointer (RFC 6901, section 3).
pub(super) fn escaped(name: &str) -> String {
    let name: String = name.chars().take(MAX_NAME).collect();
    name.replace('~', "~0").replace('/', "~1")
}

/// What is registered.
#[derive(Clone)]
pub struct Record {
    pub(super) id: Arc<str>,
    pub(super) service: Arc<str>,
    pub(super) at: At,
    pub(super) capabilities: Capabilities,
    pub(super) metadata: Metadata,
    pub(super) lease: Duration,
    pub(super) health_path: Arc<str>,
    pub(super) weight: u32,
    pub(super) zone: Option<Arc<str>>,
    pub(super) secret: Fingerprint,
}

/// Where a record leads.
#[derive(Clone, Debug)]
pub(super) enum At {
    Address(EndpointAddress),
    Module(Module),
}

impl Record {
    /// Its id, made by the registry. No secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The service it is an instance of.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Its address as it was judged; `None` for a module of this process.
    pub fn address(&self) -> Option<&EndpointAddress> {
        match &self.at {
            At::Address(address) => Some(address),
            At::Module(_) => None,
        }
    }

    /// What it takes.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What else it says about itself.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// How long it lasts without a heartbeat.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    pub(super) fn bytes(&self) -> usize {
        self.capabilities.bytes() + bytes(&self.metadata)
    }

    /// What a cluster is told about it.
    pub(super) fn endpoint(&self) -> Option<EndpointSpec> {
        let spec = EndpointSpec::new(self.address()?.clone()).weight(self.weight);
        Some(match &self.zone {
            Some(zone) => spec.zone(Arc::clone(zone)),
            None => spec,
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("service", &self.service)
            .field("address", &self.address().map(ToString::to_string))
            .finish_non_exhaustive()
    }
}
