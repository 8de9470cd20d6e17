//! [`OriginPattern`]: which origins are meant.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::parse::{Origin, default_port, is_host, is_scheme, parse_port, split_port};

const EXPECTED: &str =
    "an origin such as \"https://app.example.com\", \"https://*.example.com\" or \"*\"";

/// Which origins are meant.
///
/// | pattern | takes |
/// | --- | --- |
/// | `https://app.example.com` | this origin, on the scheme's own port |
/// | `https://*.example.com` | every name below, of one or more labels, not the apex |
/// | `https://*` | every host, on the scheme's own port |
/// | `http://localhost:8080`, `http://localhost:*` | this port, every port |
/// | `null` | documents without an origin: sandboxed frames, files |
/// | `*` | every origin but `null` |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginPattern {
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Any,
    Null,
    Of { scheme: Box<str>, host: Host, port: Port },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Host {
    Any,
    Exact(Box<str>),
    /// What stands behind the star, with its dot.
    Below(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Port {
    Any,
    /// `None`: the scheme's own.
    Exact(Option<u16>),
}

impl OriginPattern {
    /// Every origin but `null`.
    pub const fn any() -> Self {
        Self { kind: Kind::Any }
    }

    /// True for a pattern that takes every host: whoever has a domain has such an origin.
    #[must_use]
    pub fn takes_every_host(&self) -> bool {
        matches!(self.kind, Kind::Any | Kind::Of { host: Host::Any, .. })
    }

    /// True for `null`, an origin that every site can give its documents.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// True when it takes `origin`, which is not `null`.
    pub(super) fn takes(&self, origin: &Origin<'_>) -> bool {
        let Kind::Of { scheme, host, port } = &self.kind else {
            return self.kind == Kind::Any;
        };
        let host_fits = match host {
            Host::Any => true,
            Host::Exact(name) => **name == *origin.host,
            Host::Below(rest) => {
                origin.host.strip_suffix(&**rest).is_some_and(|labels| !labels.is_empty())
            }
        };
        let port_fits = match port {
            Port::Any => true,
            Port::Exact(port) => *port == origin.port,
        };
        host_fits && port_fits && **scheme == *origin.scheme
    }

    /// True when it takes more than one origin.
    pub(super) fn is_wild(&self) -> bool {
        match &self.kind {
            Kind::Any | Kind::Null => false,
            Kind::Of { host, port, .. } => {
                !matches!((host, port), (Host::Exact(_), Port::Exact(_)))
            }
        }
    }
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let kind = match text {
            "*" => Kind::Any,
            "null" => Kind::Null,
            _ => parse(text).map_err(|expected| OriginError { found: text.into(), expected })?,
        };
        Ok(Self { kind })
    }
}

fn parse(text: &str) -> Result<Kind, &'static str> {
    let (scheme, authority) = text.split_once("://").ok_or(EXPECTED)?;
    let scheme = scheme.to_ascii_lowercase();
    if !is_scheme(&scheme) {
        return Err(EXPECTED);
    }
    if authority.contains(['/', '?', '#']) {
        return Err("an origin, which ends with its host or port");
    }
    if authority.contains('@') {
        return Err("an origin, which has no user");
    }
    if !authority.is_ascii() {
        return Err("a host in ASCII, as browsers send it (xn--...)");
    }
    let (host, port) = split_port(authority).ok_or(EXPECTED)?;
    let port = match port {
        None => Port::Exact(None),
        Some("*") => Port::Any,
        Some(digits) => {
            let port = parse_port(digits).ok_or("a port from 1 to 65535, or \"*\"")?;
            // As browsers write it: without one that is the scheme's own.
            Port::Exact(Some(port).filter(|port| Some(*port) != default_port(&scheme)))
        }
    };
    Ok(Kind::Of { scheme: scheme.into(), host: parse_host(host)?, port })
}

fn parse_host(host: &str) -> Result<Host, &'static str> {
    const STAR: &str = "\"*\" alone or as the first label, as in \"https://*.example.com\"";
    if host == "*" {
        return Ok(Host::Any);
    }
    let name = host.to_ascii_lowercase();
    if let Some(rest) = name.strip_prefix("*.") {
        let fits = is_host(rest) && !rest.starts_with('[');
        return if fits { Ok(Host::Below(format!(".{rest}").into())) } else { Err(STAR) };
    }
    if name.contains('*') {
        return Err(STAR);
    }
    if !is_host(&name) {
        return Err(EXPECTED);
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let address = address.and_then(|address| address.parse::<Ipv6Addr>().ok());
    Ok(Host::Exact(address.map_or(name, |address| format!("[{address}]")).into()))
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kind::Of { scheme, host, port } = &self.kind else {
            return f.write_str(if self.is_null() { "null" } else { "*" });
        };
        match host {
            Host::Any => write!(f, "{scheme}://*")?,
            Host::Exact(name) => write!(f, "{scheme}://{name}")?,
            Host::Below(rest) => write!(f, "{scheme}://*{rest}")?,
        }
        match port {
            Port::Any => f.write_str(":*"),
            Port::Exact(None) => Ok(()),
            Port::Exact(Some(port)) => write!(f, ":{port}"),
        }
    }
}

/// A text that is no pattern of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError {
    found: String,
    expected: &'static str,
}

impl OriginError {
    /// What was found.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// What was expected.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "found `{}`, expected {}", self.found, self.expected)
    }
}

impl std::error::Error for OriginError {}
