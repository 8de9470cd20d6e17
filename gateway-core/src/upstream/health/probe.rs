//! [`Probe`]: what an endpoint is asked.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};

use super::{GrpcProbe, HttpProbe};
use crate::error::Error;
use crate::upstream::address::{EndpointAddress, Transport};
use crate::upstream::connect::Connector;

/// What an endpoint is asked. Each probe has a connection of its own, and carries nothing of any
/// client.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Probe {
    /// A request, and what the answer is to be.
    Http(Box<HttpProbe>),
    /// The gRPC health checking protocol.
    Grpc(GrpcProbe),
    /// Whether it accepts a connection; for `https` endpoints also the TLS handshake.
    Tcp,
    /// Whatever a [`CheckHealth`] asks.
    Custom(CustomProbe),
}

impl Default for Probe {
    fn default() -> Self {
        HttpProbe::default().into()
    }
}

impl From<HttpProbe> for Probe {
    fn from(probe: HttpProbe) -> Self {
        Self::Http(Box::new(probe))
    }
}

impl From<GrpcProbe> for Probe {
    fn from(probe: GrpcProbe) -> Self {
        Self::Grpc(probe)
    }
}

impl<C: CheckHealth> From<C> for Probe {
    fn from(check: C) -> Self {
        Self::Custom(CustomProbe { check: Arc::new(check) })
    }
}

/// A way to ask an endpoint how it is.
///
/// ```
/// use gateway_core::upstream::EndpointAddress;
/// use gateway_core::upstream::health::{CheckHealth, HealthCheck};
///
/// /// Asks whoever moves the endpoints about.
/// struct Deployed;
///
/// impl CheckHealth for Deployed {
///     async fn check(&self, endpoint: &EndpointAddress) -> Result<(), String> {
///         if endpoint.port() == 9000 { Ok(()) } else { Err("it is being replaced".to_owned()) }
///     }
/// }
///
/// let check = HealthCheck::new(Deployed);
/// ```
pub trait CheckHealth: Send + Sync + 'static {
    /// Is the endpoint well? Otherwise says, for people, what is wrong. Dropped when it takes
    /// longer than [`HealthCheck::timeout`](super::HealthCheck::timeout); a panic is a bad answer.
    fn check(&self, endpoint: &EndpointAddress) -> impl Future<Output = Result<(), String>> + Send;
}

/// A [`CheckHealth`], erased. Cheap to clone.
#[derive(Clone)]
pub struct CustomProbe {
    check: Arc<dyn Erased>,
}

impl PartialEq for CustomProbe {
    /// The same check, not one that is made alike.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.check, &other.check)
    }
}

impl fmt::Debug for CustomProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomProbe")
    }
}

type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

trait Erased: Send + Sync {
    fn check<'a>(&'a self, endpoint: &'a EndpointAddress) -> Checking<'a>;
}

impl<C: CheckHealth> Erased for C {
    fn check<'a>(&'a self, endpoint: &'a EndpointAddress) -> Checking<'a> {
        Box::pin(CheckHealth::check(self, endpoint))
    }
}

impl Probe {
    /// False for gRPC over TLS.
    pub(in crate::upstream) fn can_ask(&self, address: &EndpointAddress) -> bool {
        !matches!(self, Self::Grpc(_)) || address.transport() != Transport::Https
    }

    /// Asks the endpoint at `address`. Otherwise says what is wrong.
    pub(in crate::upstream) async fn ask(
        &self,
        connector: &Connector,
        address: &EndpointAddress,
        within: Duration,
    ) -> Result<(), String> {
        if !self.can_ask(address) {
            return Err("it cannot be asked over gRPC: HTTP/2 over TLS is not spoken".to_owned());
        }
        let by = Instant::now() + within;
        let asked: Checking<'_> = match self {
            Self::Http(probe) => Box::pin(probe.ask(connector, address, by)),
            Self::Grpc(probe) => Box::pin(probe.ask(connector, address, by)),
            Self::Tcp => Box::pin(async move {
                connector.connect(address, by).await.map(drop).map_err(|error| told(&error))
            }),
            Self::Custom(probe) => probe.check.check(address),
        };
        match timeout_at(by, AssertUnwindSafe(asked).catch_unwind()).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Err("the check panicked".to_owned()),
            Err(_) => Err(format!("no answer within {within:?}")),
        }
    }
}

/// `error` with what led to it.
pub(super) fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
