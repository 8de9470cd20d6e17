//! The connection pool: per endpoint, capped, sharded by worker thread.

mod bound;
mod http1;
mod http2;

use std::time::Duration;

pub(crate) use self::bound::{Binding, BoundConnection};
pub(crate) use self::http1::{Connection, Http1Pool, Lease};
pub(crate) use self::http2::{Http2Lease, Http2Pool};

/// How many connections an endpoint gets, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSettings {
    /// Idle connections kept. Default: 64.
    pub idle: usize,
    /// Connections open at the same time; requests beyond it wait. Default: 256.
    pub total: usize,
    /// Requests that may wait for a connection; one more is answered with 503. Default: 1,024.
    pub pending: usize,
    /// How long a request waits for a connection before it is answered with 503. Default: 1 s.
    pub pending_timeout: Duration,
    /// How long a connection may be idle. Shorter than the upstream's own limit, or requests race
    /// with its closing. Default: 60 s.
    pub idle_timeout: Duration,
    /// How old a connection may get before it is not used again, so that a changed DNS answer or a
    /// rebalanced upstream is noticed. Default: 10 min.
    pub max_age: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            idle: 64,
            total: 256,
            pending: 1024,
            pending_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            max_age: Duration::from_secs(600),
        }
    }
}
