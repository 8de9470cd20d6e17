//! [`KubernetesConfig`].

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use gateway_core::EndpointAddress;
use gateway_core::upstream::Transport;

use crate::discovery::{Backoff, DiscoveryError, Family, Secret, entry};

/// Where a pod finds the token of its service account.
pub const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Where a pod finds the certificate of the authority that the API server is trusted by.
pub const CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// Where a pod finds the namespace that it is in.
pub const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Which port of a service's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KubernetesPort {
    /// The only one. An endpoint with several is a failure.
    #[default]
    Only,
    /// The one that the service calls so.
    Name(String),
    /// This number, whatever the slices list.
    Number(u16),
}

impl From<u16> for KubernetesPort {
    fn from(number: u16) -> Self {
        Self::Number(number)
    }
}

impl FromStr for KubernetesPort {
    type Err = Infallible;

    /// A number, or else a name.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let number = text.parse().map(Self::Number);
        Ok(number.unwrap_or_else(|_| Self::Name(text.to_owned())))
    }
}

/// Which service of which API server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KubernetesConfig {
    /// The API server.
    pub address: EndpointAddress,
    /// The namespace of the service.
    pub namespace: String,
    /// The service.
    pub service: String,
    /// The port. Default: the only one.
    pub port: KubernetesPort,
    /// Which addresses are taken. Default: IPv4; IPv6 where there is none.
    pub family: Family,
    /// How endpoints are spoken to. Default: HTTP/1.1 over TCP.
    pub transport: Transport,
    /// A bearer token. Default: none.
    pub token: Option<Secret>,
    /// A file with the bearer token, read anew for every question, since it is replaced now and
    /// then; comes before [`token`](Self::token). Default: none.
    pub token_file: Option<PathBuf>,
    /// How long an answer may take. Default: 10 s.
    pub timeout: Duration,
    /// How long one watch lasts. Default: 5 min.
    pub watch: Duration,
    /// How long to wait after failures.
    pub backoff: Backoff,
}

impl KubernetesConfig {
    /// The endpoints of `service` in `namespace`, from the API server at `address`.
    pub fn new(
        address: EndpointAddress,
        namespace: impl Into<String>,
        service: impl Into<String>,
    ) -> Self {
        Self {
            address,
            namespace: namespace.into(),
            service: service.into(),
            port: KubernetesPort::default(),
            family: Family::default(),
            transport: Transport::Http,
            token: None,
            token_file: None,
            timeout: Duration::from_secs(10),
            watch: Duration::from_secs(300),
            backoff: Backoff::default(),
        }
    }

    /// The endpoints of `service` in the namespace of the pod that this runs in, asked for with its
    /// service account: `host` and `port` are what `KUBERNETES_SERVICE_HOST` and
    /// `KUBERNETES_SERVICE_PORT` say. Reads [`NAMESPACE_FILE`]; blocks.
    ///
    /// # Errors
    ///
    /// Outside of a pod, and for a host that is none.
    pub fn in_cluster(
        host: &str,
        port: u16,
        service: impl Into<String>,
    ) -> Result<Self, DiscoveryError> {
        let address = entry::at(Transport::Https, host, port)?;
        let namespace = std::fs::read_to_string(NAMESPACE_FILE).map_err(|problem| {
            let (path, problem) = (NAMESPACE_FILE.to_owned(), problem.to_string());
            DiscoveryError::ServiceAccount { path, problem }
        })?;
        let mut config = Self::new(address, namespace.trim(), service);
        config.token_file = Some(TOKEN_FILE.into());
        Ok(config)
    }

    /// The path and query of the list.
    pub(super) fn target(&self) -> String {
        use crate::http_client::encoded;

        format!(
            "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector={}",
            encoded(&self.namespace),
            encoded(&format!("kubernetes.io/service-name={}", self.service)),
        )
    }
}
