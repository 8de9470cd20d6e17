//! Connections to endpoints.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::address::{EndpointAddress, Transport};
use super::race;
use crate::error::{Error, Reason};
use crate::message::Stream;
use crate::stream::NetStream;

/// A connection on which nothing moves is probed by the kernel after this time, so that an
/// upstream that vanished without a word is noticed.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// How connections to endpoints are made, where TCP and Unix sockets are not meant: through
/// memory, a tunnel, a simulated network.
///
/// ```
/// use std::io;
///
/// use gateway_core::message::Stream;
/// use gateway_core::upstream::{Connect, EndpointAddress};
///
/// /// Nobody is ever there.
/// struct Nobody;
///
/// impl Connect for Nobody {
///     async fn connect(&self, _: &EndpointAddress) -> io::Result<Box<dyn Stream>> {
///         Err(io::ErrorKind::ConnectionRefused.into())
///     }
/// }
/// ```
pub trait Connect: Send + Sync + 'static {
    /// A connection to `address`. TLS for `https` is made over it. The caller gives up after the
    /// cluster's connect timeout.
    fn connect(
        &self,
        address: &EndpointAddress,
    ) -> impl Future<Output = io::Result<Box<dyn Stream>>> + Send;
}

type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// A [`Connect`], erased.
pub(super) trait Erased: Send + Sync {
    fn connect<'a>(&'a self, address: &'a EndpointAddress) -> Connecting<'a>;
}

impl<C: Connect> Erased for C {
    fn connect<'a>(&'a self, address: &'a EndpointAddress) -> Connecting<'a> {
        Box::pin(Connect::connect(self, address))
    }
}

/// Connects to endpoints.
#[derive(Clone, Default)]
pub(super) struct Connector {
    pub(super) custom: Option<Arc<dyn Erased>>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    /// The name that certificates must have; `None`: that of the endpoint's address.
    #[cfg(feature = "tls")]
    pub(super) server_name: Option<rustls::pki_types::ServerName<'static>>,
}

impl Connector {
    /// True when `https` endpoints can be connected to.
    pub(super) fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        return false;
    }

    /// True when connections of both are made in the same way.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let custom = is_same(self.custom.as_ref(), other.custom.as_ref());
        #[cfg(feature = "tls")]
        return custom
            && is_same(self.tls.as_ref(), other.tls.as_ref())
            && self.server_name == other.server_name;
        #[cfg(not(feature = "tls"))]
        return custom;
    }

    /// Connects to `address`, at the latest until `deadline`.
    pub(super) async fn connect(
        &self,
        address: &EndpointAddress,
        deadline: Instant,
    ) -> Result<NetStream, Error> {
        match timeout_at(deadline, self.establish(address)).await {
            Ok(connected) => connected,
            Err(_) => Err(Reason::ConnectTimeout.into()),
        }
    }

    async fn establish(&self, address: &EndpointAddress) -> Result<NetStream, Error> {
        let failed = |error: io::Error| Error::new(Reason::ConnectFailed).with_source(error);
        if let Some(custom) = &self.custom {
            let stream = custom.connect(address).await.map_err(failed)?;
            return match address.transport() {
                Transport::Https => self.secure(address, NetStream::Other(stream)).await,
                _ => Ok(NetStream::Other(stream)),
            };
        }
        match address.transport() {
            Transport::Unix => {
                let stream = UnixStream::connect(address.path()).await.map_err(failed)?;
                Ok(NetStream::Unix(stream))
            }
            Transport::Http | Transport::H2c => {
                let stream = tcp(address).await.map_err(failed)?;
                Ok(NetStream::Tcp(stream))
            }
            Transport::Https => {
                let stream = tcp(address).await.map_err(failed)?;
                self.secure(address, NetStream::Tcp(stream)).await
            }
        }
    }

    #[cfg(feature = "tls")]
    async fn secure(
        &self,
        address: &EndpointAddress,
        stream: NetStream,
    ) -> Result<NetStream, Error> {
        let failed = || Error::new(Reason::TlsFailed);
        let config = self.tls.clone().ok_or_else(failed)?;
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => rustls::pki_types::ServerName::try_from(address.host().to_owned())
                .map_err(|error| failed().with_source(error))?,
        };
        let stream = tokio_rustls::TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| failed().with_source(error))?;
        Ok(NetStream::TlsUpstream(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    #[allow(clippy::unused_async, reason = "the same shape as with TLS")]
    async fn secure(&self, _: &EndpointAddress, _: NetStream) -> Result<NetStream, Error> {
        Err(Error::new(Reason::TlsFailed).with_detail("built without TLS"))
    }
}

fn is_same<T: ?Sized>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

async fn tcp(address: &EndpointAddress) -> io::Result<TcpStream> {
    let stream = match address.host().parse() {
        Ok(ip) => TcpStream::connect(SocketAddr::new(ip, address.port())).await?,
        Err(_) => {
            let addresses = lookup_host((address.host(), address.port())).await?;
            race::first_of(addresses, TcpStream::connect).await?
        }
    };
    stream.set_nodelay(true)?;
    // A system that cannot probe is no reason to go without the connection.
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    Ok(stream)
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("tls", &self.has_tls()).finish()
    }
}
