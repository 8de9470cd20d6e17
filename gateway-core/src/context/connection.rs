//! What is known about the client's connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// One accepted connection, as every request on it sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The listener that accepted it.
    pub listener: Arc<ListenerInfo>,
    /// The address of the peer, after the PROXY protocol; `None` on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// The local address, after the PROXY protocol; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
}

impl ConnectionInfo {
    /// A connection that `listener` accepted.
    pub fn new(
        listener: Arc<ListenerInfo>,
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    ) -> Self {
        Self { listener, peer, local }
    }

    /// The peer's IP address, an IPv4-mapped one as IPv4.
    pub fn peer_ip(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip().to_canonical())
    }
}

/// What requests need to know about the listener they came through.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListenerInfo {
    /// The listener's name; routes can be bound to it.
    pub name: String,
    /// How clients reach it.
    pub scheme: Scheme,
}

/// The scheme clients use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
