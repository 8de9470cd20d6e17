//! [`DnsConfig`].

use std::net::SocketAddr;
use std::time::Duration;

use gateway_core::upstream::Transport;

use crate::discovery::{Backoff, Family};

/// Which records make endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsRecords {
    /// A and AAAA, with this port.
    Addresses {
        /// The port.
        port: u16,
    },
    /// SRV, with the addresses of their targets.
    Srv,
}

/// Which name is asked for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsConfig {
    /// The name. One that does not end in a dot is looked for in the system's search domains too.
    pub name: String,
    /// Its records.
    pub records: DnsRecords,
    /// Which addresses are taken. Default: IPv4; IPv6 where there is none.
    pub family: Family,
    /// How endpoints are spoken to. Default: HTTP/1.1 over TCP.
    pub transport: Transport,
    /// The name servers; there are no search domains then. Default: none, what `/etc/resolv.conf`
    /// says, which is read anew after a failure.
    pub servers: Vec<SocketAddr>,
    /// How long a name server may take. Default: 2 s.
    pub timeout: Duration,
    /// How often a question is asked again, 5 times at most. Default: once.
    pub retries: usize,
    /// Answers hold at least this long. Default: 1 s.
    pub min_ttl: Duration,
    /// Answers hold at most this long. Default: 5 min.
    pub max_ttl: Duration,
    /// How long to wait after failures.
    pub backoff: Backoff,
}

impl DnsConfig {
    /// The addresses of `name`, with `port`.
    pub fn new(name: impl Into<String>, port: u16) -> Self {
        Self::of(name.into(), DnsRecords::Addresses { port })
    }

    /// The targets of the SRV records of `name`.
    pub fn srv(name: impl Into<String>) -> Self {
        Self::of(name.into(), DnsRecords::Srv)
    }

    fn of(name: String, records: DnsRecords) -> Self {
        Self {
            name,
            records,
            family: Family::default(),
            transport: Transport::Http,
            servers: Vec::new(),
            timeout: Duration::from_secs(2),
            retries: 1,
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(300),
            backoff: Backoff::default(),
        }
    }

    /// How long an answer holds whose shortest time to live is so many seconds.
    pub(super) fn hold(&self, ttl: u32) -> Duration {
        let ttl = Duration::from_secs(ttl.into());
        // Not `clamp`, which panics where the limits are the wrong way round.
        ttl.min(self.max_ttl).max(self.min_ttl)
    }
}
