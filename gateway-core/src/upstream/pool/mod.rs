//! The connection pool: per endpoint, capped, sharded by worker thread.

mod bound;
mod http1;
mod http2;

use std::time::Duration;

pub(crate) use self::bound::{Binding, BoundConnection};
pub(crate) use self::http1::{Connection, Http1Pool, Lease};
pub(crate) use self::http2::{Http2Connection, Http2Lease, Http2Pool, MAX_STREAMS};

/// How many connections an endpoint gets, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Idle connections kept until `idle_timeout`; one more is closed. Default: 1,024, as `total`:
    /// fewer are closed and opened again all the time where requests come in bursts.
    pub idle: usize,
    /// Connections open at the same time; requests beyond it wait. Tunnels and event streams do not
    /// count: they are limited by the connections of the listeners. Default: 1,024.
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

/// More than a slow upstream needs to be busy, and few enough for its own limit of descriptors.
const DEFAULT_TOTAL: usize = 1024;

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            idle: DEFAULT_TOTAL,
            total: DEFAULT_TOTAL,
            pending: 1024,
            pending_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            max_age: Duration::from_secs(600),
        }
    }
}
