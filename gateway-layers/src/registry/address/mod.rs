//! Where a registered service may be: what stands between a registration and the gateway's own
//! network.

mod allow;
mod resolve;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gateway_core::EndpointAddress;
use gateway_core::upstream::Transport;
use tokio::time::timeout;

pub use self::allow::{AllowError, AllowList};
pub(super) use self::resolve::Erased as ErasedResolver;
pub use self::resolve::{Resolve, SystemResolver};

/// A resolver has this long.
const RESOLVE_WITHIN: Duration = Duration::from_secs(2);

/// No service of one name and one instance has more addresses.
const MAX_RESOLVED: usize = 64;

/// A host name is at most this long (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// Why an address is not taken. `Display` says what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no address of an endpoint.
    #[error("{0}")]
    Malformed(String),
    /// It is spoken to in a way that is not taken.
    #[error("`{0}` is not taken, expected {1}")]
    Scheme(&'static str, &'static str),
    /// It is a number that is not written as addresses are.
    #[error("`{0}` reads as a number, expected four decimal parts, [IPv6] or a host name")]
    Spelling(String),
    /// It is outside of what is allowed.
    #[error("`{0}` is not among the allowed addresses of the registry")]
    NotAllowed(String),
    /// It is of a kind that is only taken where it is listed by itself.
    #[error("`{0}` is {1}, which is only taken where exactly this address is allowed")]
    Special(String, &'static str),
    /// Its port is not among the allowed ones.
    #[error("port {0} is not among the allowed ports of the registry")]
    Port(u16),
    /// Its name was not found.
    #[error("`{0}` was not found")]
    NotFound(String),
    /// Its name was not found in time.
    #[error("`{0}` was not found in time")]
    NotFoundInTime(String),
}

/// Reads `text` and judges it. What is returned names an IP address that was judged, never a name
/// that could mean something else by the time it is connected to.
pub(super) async fn checked(
    text: &str,
    allow: &AllowList,
    resolver: &dyn ErasedResolver,
) -> Result<EndpointAddress, AddressError> {
    let address = parse(text, allow)?;
    let host = host(&address)?;
    let name = match host {
        Host::Ip(ip) => {
            allow.ip(ip)?;
            return pinned(&address, ip);
        }
        Host::Name(name) => name,
    };
    let known = allow.name(&name);
    let found = timeout(RESOLVE_WITHIN, resolver.resolve(&name, address.port())).await;
    let found = found.map_err(|_| AddressError::NotFoundInTime(name.clone()))?;
    let found = found.map_err(|_| AddressError::NotFound(name.clone()))?;
    let found: Vec<IpAddr> = found.iter().map(IpAddr::to_canonical).collect();
    if found.len() > MAX_RESOLVED {
        return Err(AddressError::NotAllowed(name));
    }
    for ip in &found {
        // One bad address among good ones is how a name is used to get in.
        let judged = if known { allow.not_special(*ip) } else { allow.ip(*ip) };
        judged.map_err(|error| error.about(&name))?;
    }
    let first = found.first().ok_or(AddressError::NotFound(name))?;
    pinned(&address, *first)
}

/// Judges the address of a record that came out of a store: it names an IP address.
pub(super) fn judged(address: &EndpointAddress, allow: &AllowList) -> Result<(), AddressError> {
    let text = address.to_string();
    match host(&parse(&text, allow)?)? {
        // That its name was allowed is not known any more; that it is nothing special is.
        Host::Ip(ip) if allow.has_names() => allow.not_special(ip),
        Host::Ip(ip) => allow.ip(ip),
        Host::Name(name) => Err(AddressError::NotAllowed(name)),
    }
}

fn parse(text: &str, allow: &AllowList) -> Result<EndpointAddress, AddressError> {
    let address: EndpointAddress =
        text.parse().map_err(|error| AddressError::Malformed(format!("{error}")))?;
    match address.transport() {
        Transport::Http | Transport::H2c => {}
        Transport::Https if allow.takes_https() => {}
        Transport::Https => return Err(AddressError::Scheme("https", "http or h2c")),
        _ => return Err(AddressError::Scheme("unix", "http or h2c")),
    }
    allow.port(address.port())?;
    Ok(address)
}

enum Host {
    Ip(IpAddr),
    Name(String),
}

fn host(address: &EndpointAddress) -> Result<Host, AddressError> {
    let host = address.host();
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Host::Ip(ip.to_canonical()));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(plain)
    };
    if name.len() > MAX_NAME || !name.split('.').all(label) {
        return Err(AddressError::Malformed(format!(
            "`{host}` is no host, expected an IP address or a host name"
        )));
    }
    // What ends in a number is an address to resolvers: decimal, octal or hexadecimal, in one to
    // four parts.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if is_number {
        return Err(AddressError::Spelling(host.to_owned()));
    }
    Ok(Host::Name(name))
}

/// `address` at the address that was judged.
fn pinned(address: &EndpointAddress, ip: IpAddr) -> Result<EndpointAddress, AddressError> {
    let scheme = match address.transport() {
        Transport::Https => "https",
        Transport::H2c => "h2c",
        _ => "http",
    };
    let text = format!("{scheme}://{}", SocketAddr::new(ip, address.port()));
    text.parse().map_err(|error| AddressError::Malformed(format!("{error}")))
}

impl AddressError {
    /// The same, naming what was registered in place of what it leads to.
    fn about(self, name: &str) -> Self {
        match self {
            Self::NotAllowed(ip) => Self::NotAllowed(format!("{name} ({ip})")),
            Self::Special(ip, kind) => Self::Special(format!("{name} ({ip})"), kind),
            other => other,
        }
    }
}
