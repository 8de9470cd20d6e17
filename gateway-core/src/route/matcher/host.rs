//! Hosts: exact or `*.rest`.

use crate::route::error::{Place, RouteError};

/// The longest host name (RFC 1035, section 2.3.4), in bytes.
pub(crate) const HOST_LENGTH_LIMIT: usize = 253;

/// The hosts that a route takes. Compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMatch {
    kind: HostKind,
}

/// Lower-cased, without port and trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostKind {
    Exact(Box<str>),
    /// What follows `*.`.
    Wildcard(Box<str>),
}

impl HostMatch {
    /// Reads `api.example.com` or `*.example.com`.
    ///
    /// `*.example.com` takes one or more labels before `example.com`, not `example.com` itself. A
    /// trailing dot is ignored. Addresses are written as in a URL: `10.0.0.1`, `[::1]`.
    ///
    /// # Errors
    ///
    /// When `host` has a port, a `*` elsewhere, an empty label, or characters that a host name
    /// cannot have (names beyond ASCII are written in their `xn--` form).
    pub fn parse(host: &str) -> Result<Self, RouteError> {
        let reject = |expected: &'static str| Err(RouteError::new(Place::Host, host, expected));
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if name.len() > HOST_LENGTH_LIMIT {
            return reject("at most 253 characters");
        }
        if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return reject("an IPv6 address between the brackets");
            }
            return Ok(Self { kind: HostKind::Exact(name.into()) });
        }
        if name.contains(':') {
            return reject("a host without a port");
        }
        let (is_wildcard, rest) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name.as_str()),
        };
        if rest.contains('*') {
            return reject("`*` only as the whole first label, as in `*.example.com`");
        }
        if !rest.split('.').all(is_label) {
            return reject("labels of letters, digits, '-' and '_' between single dots");
        }
        let kind = if is_wildcard { HostKind::Wildcard } else { HostKind::Exact };
        Ok(Self { kind: kind(rest.into()) })
    }

    /// True when it takes `host` (as in a `Host` field: a port and one trailing dot are ignored).
    #[must_use]
    pub fn takes(&self, host: &str) -> bool {
        let host = bare_host(host);
        match &self.kind {
            HostKind::Exact(name) => host.eq_ignore_ascii_case(name),
            HostKind::Wildcard(rest) => {
                let Some(start) = host.len().checked_sub(rest.len()) else {
                    return false;
                };
                match host.split_at_checked(start) {
                    Some((labels, end)) => {
                        end.eq_ignore_ascii_case(rest) && labels.len() > 1 && labels.ends_with('.')
                    }
                    None => false,
                }
            }
        }
    }

    pub(crate) const fn kind(&self) -> &HostKind {
        &self.kind
    }
}

impl std::fmt::Display for HostMatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            HostKind::Exact(name) => formatter.write_str(name),
            HostKind::Wildcard(rest) => write!(formatter, "*.{rest}"),
        }
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The host without its port and one trailing dot.
pub(crate) fn bare_host(host: &str) -> &str {
    if host.starts_with('[') {
        let end = host.find(']').map_or(host.len(), |bracket| bracket + 1);
        return host.get(..end).unwrap_or(host);
    }
    let colon = memchr::memchr(b':', host.as_bytes()).unwrap_or(host.len());
    let name = host.get(..colon).unwrap_or(host);
    name.strip_suffix('.').unwrap_or(name)
}
