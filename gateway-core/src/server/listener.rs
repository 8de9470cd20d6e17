//! [`Listener`]: where clients come in.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::settings::{Limits, Timeouts};
use crate::context::{ListenerInfo, Scheme};
use crate::stream::NetStream;

/// Connections that the kernel holds before they are accepted.
const BACKLOG: i32 = 4096;

/// After a failed accept (no descriptors left, no memory) the listener rests for this long first,
/// then twice as long each time up to a second.
const FIRST_REST: Duration = Duration::from_millis(20);

/// An address to listen on: `127.0.0.1:8080`, `[::]:8080` or `unix:/run/gateway.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP socket.
    Tcp(SocketAddr),
    /// A Unix socket; a stale socket file at the path is replaced.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some("") => Err(AddressError { found: text.to_owned() }),
            Some(path) => Ok(Self::Unix(path.into())),
            None => {
                text.parse().map(Self::Tcp).map_err(|_| AddressError { found: text.to_owned() })
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What was found is no address to listen on.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no address: expected `IP:PORT` (as 127.0.0.1:8080 or [::1]:8080) or `unix:/PATH`"
)]
pub struct AddressError {
    found: String,
}

/// As `Display`, for a `main` that returns the error.
impl fmt::Debug for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The protocols a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2 with prior knowledge, told apart by the first bytes.
    #[default]
    Auto,
    /// HTTP/1.1 and 1.0 only.
    Http1,
    /// HTTP/2 only, with prior knowledge (RFC 9113, section 3.3).
    Http2,
}

/// A listener: an address and what is allowed on it. Nothing is bound before
/// [`bind`](Self::bind). Clones share the limit of connections: one for each worker.
#[derive(Clone, Debug)]
#[must_use]
pub struct Listener {
    pub(crate) address: Address,
    pub(crate) protocol: Protocol,
    pub(crate) proxy_protocol: Vec<IpNet>,
    pub(crate) limits: Limits,
    /// As many as there may be connections, of all clones together.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) timeouts: Timeouts,
    pub(crate) reuse_port: bool,
    pub(crate) unix_mode: Option<u32>,
    pub(crate) info: ListenerInfo,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<super::tls::ServerTls>,
}

impl Listener {
    /// A listener on `address`, named after it, with default limits and timeouts.
    pub fn new(address: Address) -> Self {
        let info = ListenerInfo { name: address.to_string(), ..ListenerInfo::default() };
        Self {
            address,
            protocol: Protocol::default(),
            proxy_protocol: Vec::new(),
            limits: Limits::default(),
            permits: Arc::new(Semaphore::new(Limits::default().connections)),
            timeouts: Timeouts::default(),
            reuse_port: false,
            unix_mode: None,
            info,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The name routes can be bound to. Default: the address.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.info.name = name.into();
        self
    }

    /// The protocols spoken. Default: HTTP/1.1 and HTTP/2.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Peers in `trusted` begin their connections with a PROXY header (version 1 or 2); they must.
    /// Of everybody else it is not understood. Default: nobody.
    pub fn proxy_protocol(mut self, trusted: Vec<IpNet>) -> Self {
        self.proxy_protocol = trusted;
        self
    }

    /// The address. Its name stays.
    pub fn address(mut self, address: Address) -> Self {
        self.address = address;
        self
    }

    /// How much is taken. Clones made before have a limit of connections of their own.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.permits = Arc::new(Semaphore::new(limits.connections));
        self.limits = limits;
        self
    }

    /// How long clients are waited for.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Shares the port with other listeners of the same address (`SO_REUSEPORT`): one for each
    /// worker, and the kernel spreads the connections. Default: off.
    pub fn reuse_port(mut self, reuse_port: bool) -> Self {
        self.reuse_port = reuse_port;
        self
    }

    /// The permissions of a Unix socket, such as `0o660`; whoever may write to it may connect.
    /// Default: as the umask of the process leaves them.
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.unix_mode = Some(mode);
        self
    }

    /// How paths are normalised and who is trusted about the client: what requests carry along.
    pub fn info(mut self, edit: impl FnOnce(&mut ListenerInfo)) -> Self {
        edit(&mut self.info);
        self
    }

    /// Speaks TLS: which protocol is spoken over it the client chooses by ALPN among those of the
    /// listener. Requests learn that they came by `https`. Default: plain text.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: super::tls::ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    pub(super) fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        return false;
    }

    /// Binds the socket.
    ///
    /// # Errors
    ///
    /// When the address is in use, not ours, or not permitted; the message names the address.
    pub fn bind(self) -> io::Result<BoundListener> {
        let socket = match &self.address {
            Address::Tcp(address) => bind_tcp(*address, self.reuse_port),
            Address::Unix(path) => bind_unix(path, self.unix_mode),
        };
        let socket = socket.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {}: {error}", self.address))
        })?;
        Ok(BoundListener { listener: self, socket })
    }
}

fn bind_tcp(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, Some(SocketProtocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    // Accepted sockets inherit it: no system call for each of them.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<Socket> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    if let Some(mode) = mode {
        // Before it listens: until then no client can connect.
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A listener whose socket is bound: clients can connect, nobody accepts them yet.
#[derive(Debug)]
pub struct BoundListener {
    pub(crate) listener: Listener,
    socket: Socket,
}

impl BoundListener {
    /// The address it is bound to, with the port the system chose when 0 was asked for.
    pub fn local_address(&self) -> Address {
        match self.socket.local_addr().ok().and_then(|address| address.as_socket()) {
            Some(address) => Address::Tcp(address),
            None => self.listener.address.clone(),
        }
    }

    /// The name of the listener.
    pub fn name(&self) -> &str {
        &self.listener.info.name
    }

    pub(crate) fn accepting(mut self) -> io::Result<(Arc<Listener>, Acceptor)> {
        if self.listener.has_tls() {
            self.listener.info.scheme = Scheme::Https;
        }
        let local = match self.local_address() {
            Address::Tcp(local) if !local.ip().is_unspecified() => Some(local),
            _ => None,
        };
        let socket = match &self.listener.address {
            Address::Tcp(_) => AcceptorSocket::Tcp(TcpListener::from_std(self.socket.into())?),
            Address::Unix(path) => AcceptorSocket::Unix(
                UnixListener::from_std(self.socket.into())?,
                UnlinkOnDrop(path.clone()),
            ),
        };
        Ok((Arc::new(self.listener), Acceptor { socket, local, rest: FIRST_REST }))
    }
}

/// Accepts connections, whatever happens.
pub(crate) struct Acceptor {
    socket: AcceptorSocket,
    /// The local address of every connection, when the listener is bound to one: no need to ask
    /// each time.
    local: Option<SocketAddr>,
    rest: Duration,
}

enum AcceptorSocket {
    Tcp(TcpListener),
    Unix(UnixListener, #[allow(dead_code, reason = "held for its drop")] UnlinkOnDrop),
}

struct UnlinkOnDrop(PathBuf);

impl Drop for UnlinkOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A connection as it was accepted.
pub(crate) struct Accepted {
    pub(crate) stream: NetStream,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
}

impl Acceptor {
    /// The next connection. Never fails: a connection that broke before it was accepted is passed
    /// over, and when there is nothing to accept with (descriptors, memory) it rests.
    pub(crate) async fn accept(&mut self) -> Accepted {
        loop {
            let error = match &self.socket {
                AcceptorSocket::Tcp(socket) => match socket.accept().await {
                    Ok((stream, peer)) => {
                        self.rest = FIRST_REST;
                        let local = self.local.or_else(|| stream.local_addr().ok());
                        let stream = NetStream::Tcp(stream);
                        return Accepted { stream, peer: Some(peer), local };
                    }
                    Err(error) => error,
                },
                AcceptorSocket::Unix(socket, _) => match socket.accept().await {
                    Ok((stream, _)) => {
                        self.rest = FIRST_REST;
                        let stream = NetStream::Unix(stream);
                        return Accepted { stream, peer: None, local: None };
                    }
                    Err(error) => error,
                },
            };
            if is_about_one_connection(&error) {
                tracing::debug!(%error, "a connection broke before it was accepted");
                continue;
            }
            tracing::warn!(%error, rest = ?self.rest, "cannot accept connections");
            sleep(self.rest).await;
            self.rest = (self.rest * 2).min(Duration::from_secs(1));
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_and_printed() {
        for text in ["127.0.0.1:80", "[::1]:80", "unix:/run/gateway.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["localhost", "127.0.0.1", "unix:", ":80"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("expected `IP:PORT`"), "{error}");
        }
    }

    #[test]
    fn a_port_in_use_names_the_address() {
        let first = Listener::new("127.0.0.1:0".parse().unwrap()).bind().unwrap();
        let taken = first.local_address();
        let error = Listener::new(taken.clone()).bind().unwrap_err();
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
    }
}
