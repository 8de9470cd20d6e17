//! What is known about the client's connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use super::challenges::HttpChallenges;
use super::owned::Owned;
use super::tls::TlsInfo;
use crate::forwarded::{ForwardedPolicy, OriginHeader, Peer, TrustedProxies, Via};
use crate::path::PathOptions;

/// One accepted connection, as every request on it sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The listener that accepted it.
    pub listener: Arc<ListenerInfo>,
    /// The address of the peer, after the PROXY protocol; `None` on a Unix socket, and for a request
    /// of another server that did not pass it on.
    pub peer: Option<SocketAddr>,
    /// The local address, after the PROXY protocol; `None` on a Unix socket.
    pub local: Option<SocketAddr>,
    /// How it is secured; `None` without TLS.
    pub tls: Option<Arc<TlsInfo>>,
    hop: Option<Peer>,
    /// Its server has run out of time to end its connections.
    cut: Option<Arc<AtomicBool>>,
    pub(crate) owned: Owned,
}

impl ConnectionInfo {
    /// A connection that `listener` accepted. Without a `peer` the client's address is unknown:
    /// policies that need it reject the request.
    pub fn new(
        listener: Arc<ListenerInfo>,
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    ) -> Self {
        Self {
            listener,
            peer,
            local,
            tls: None,
            hop: peer.map(|peer| Peer::new(peer.ip())),
            cut: None,
            owned: Owned::default(),
        }
    }

    /// A connection through a Unix socket. The peer is a process of this machine, and counts as
    /// `127.0.0.1`.
    pub fn unix(listener: Arc<ListenerInfo>) -> Self {
        let hop = Some(Peer::new(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        Self { hop, ..Self::new(listener, None, None) }
    }

    /// The same, secured.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsInfo) -> Self {
        self.tls = Some(Arc::new(tls));
        self
    }

    /// The same, of a server that sets `cut` before it ends connections without waiting for them.
    pub(crate) fn cut_by(mut self, cut: Arc<AtomicBool>) -> Self {
        self.cut = Some(cut);
        self
    }

    /// True once the server ends this connection without waiting for its requests.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.load(Ordering::Acquire))
    }

    /// The peer as `X-Forwarded-For` names it, made once for the connection; `127.0.0.1` on a Unix
    /// socket, `None` when it is unknown.
    pub fn hop(&self) -> Option<&Peer> {
        self.hop.as_ref()
    }

    /// The peer's IP address, an IPv4-mapped one as IPv4.
    pub fn peer_ip(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip().to_canonical())
    }
}

/// The address of the client's connection, as a server around the gateway passes it on: an extension
/// that the server, or a middleware of it, inserts into each request.
///
/// The gateway's own listeners need none. See also
/// [`GatewayBuilder::peer_from`](crate::GatewayBuilder::peer_from).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// What requests need to know about the listener they came through.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListenerInfo {
    /// The listener's name; routes can be bound to it.
    pub name: String,
    /// How clients reach it.
    pub scheme: Scheme,
    /// How paths are normalised.
    pub path: PathOptions,
    /// Whose word about the client is believed.
    pub trusted: TrustedProxies,
    /// What upstreams are told about the client.
    pub forwarded: ForwardedPolicy,
    /// The `Via` of requests to upstreams.
    pub via: Via,
    /// The header by which responses say who made them.
    pub origin: OriginHeader,
    /// Sends every request to `https` instead of answering it. Default: none.
    pub redirect: Option<HttpsRedirect>,
    /// Answers authorities that check in plain text who owns a name. Default: none.
    pub challenges: Option<HttpChallenges>,
}

/// A listener that answers nothing itself and sends clients to `https`: same host, path and query.
///
/// What proves that the host is ours (`/.well-known/acme-challenge/`, RFC 8555, section 8.3) is
/// asked for in plain text, and goes to routes as ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpsRedirect {
    /// The port where `https` is spoken. Default: 443, which is not written.
    pub port: u16,
    /// 301, 302, 303, 307 or 308. Default: 308, which keeps method and body.
    pub status: StatusCode,
}

impl Default for HttpsRedirect {
    fn default() -> Self {
        Self { port: 443, status: StatusCode::PERMANENT_REDIRECT }
    }
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
