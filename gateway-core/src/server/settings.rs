//! What a listener allows: [`Limits`] and [`Timeouts`].

use std::time::Duration;

use crate::http1::head::HeadLimits;
use crate::tunnel;

/// How much of a request a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the request target. Default: 8 KiB. More is answered with 414.
    pub uri: usize,
    /// Bytes of the header section with the start line. Default: 64 KiB. More is answered
    /// with 431.
    pub headers: usize,
    /// Number of header fields. Default: 100. More is answered with 431.
    pub header_count: usize,
    /// Connections open at the same time, of all clones of the listener together. Default: 10,000.
    /// Above it the listener stops accepting until one ends.
    pub connections: usize,
    /// Streams open at the same time on one HTTP/2 connection. Default: 100.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            uri: 8 * 1024,
            headers: 64 * 1024,
            header_count: 100,
            connections: 10_000,
            streams: 100,
        }
    }
}

impl Limits {
    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits { uri: self.uri, bytes: self.headers, fields: self.header_count }
    }
}

/// How long a listener waits for its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the first byte of a request's head to its last; also for the first byte on a new
    /// connection and for the PROXY header. Default: 10 s.
    pub header: Duration,
    /// For the whole TLS handshake. Default: 10 s.
    pub tls: Duration,
    /// Between two requests on a connection. Default: 75 s.
    pub idle: Duration,
    /// A client that neither sends its body nor takes the response for this long is cut off.
    /// Default: 60 s.
    pub body_idle: Duration,
    /// Bytes per second: a client that sends its body at this rate or faster is never too slow. One
    /// that is slower is cut off once it has been waited for, in sum, for `body_idle` longer than
    /// its bytes take at this rate. 0: any byte starts `body_idle` anew. Default:
    /// [`MIN_BODY_RATE`].
    pub min_body_rate: u64,
    /// A tunnel (WebSocket, or another protocol switched to) on which nothing moves in either
    /// direction for this long is closed. [`Route::tunnel_idle`](crate::Route) overrides it.
    /// Default: 1 h.
    pub tunnel_idle: Duration,
    /// After this time a connection is closed between two requests, give or take a tenth.
    /// Default: 10 min.
    pub max_age: Duration,
}

/// The default of [`Timeouts::min_body_rate`], in bytes per second.
pub const MIN_BODY_RATE: u64 = 500;

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            tls: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_idle: Duration::from_secs(60),
            min_body_rate: MIN_BODY_RATE,
            tunnel_idle: tunnel::IDLE,
            max_age: Duration::from_secs(600),
        }
    }
}
