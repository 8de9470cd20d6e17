//! What is known about the client's connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::StatusCode;

use super::challenges::HttpChallenges;
use super::owned::Owned;
use super::tls::TlsInfo;
use crate::forwarded::{ForwardedPolicy, Peer, TrustedProxies};
use crate::path::PathOptions;

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
    /// How it is secured; `None` without TLS.
    pub tls: Option<Arc<TlsInfo>>,
    hop: Peer,
    pub(crate) owned: Owned,
}

impl ConnectionInfo {
    /// A connection that `listener` accepted.
    pub fn new(
        listener: Arc<ListenerInfo>,
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    ) -> Self {
        let ip = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip().to_canonical());
        Self { listener, peer, local, tls: None, hop: Peer::new(ip), owned: Owned::default() }
    }

    /// The same, secured.
    #[must_use]
    pub fn with_tls(mut self, tls: TlsInfo) -> Self {
        self.tls = Some(Arc::new(tls));
        self
    }

    /// The peer as `X-Forwarded-For` names it, made once for the connection. Whoever connects
    /// through a Unix socket is on this machine: `127.0.0.1`.
    pub fn hop(&self) -> &Peer {
        &self.hop
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
    /// How paths are normalised.
    pub path: PathOptions,
    /// Whose word about the client is believed.
    pub trusted: TrustedProxies,
    /// What upstreams are told about the client.
    pub forwarded: ForwardedPolicy,
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
