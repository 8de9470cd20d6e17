//! [`AllowList`]: which addresses may be registered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::AddressError;

/// Which addresses may be registered. An empty list allows nothing.
///
/// An entry is a network (`10.0.0.0/8`), one address (`10.0.0.7`) or a host name
/// (`orders.internal`). Some addresses are rejected whatever network they are in, because they
/// lead to the gateway's own machine or to what only it can reach: loopback, link-local (with the
/// metadata services of clouds), unspecified, multicast, broadcast and reserved ones, and IPv6
/// forms that carry one of those. Such an address is taken only where it is an entry by itself.
///
/// ```
/// use gateway_layers::registry::AllowList;
///
/// let allow = AllowList::new(["10.0.0.0/8", "orders.internal", "127.0.0.1"])?.ports(8000..=8999);
/// assert!(AllowList::new(["127.0.0.0/8"]).is_err());
/// # Ok::<(), gateway_layers::registry::AllowError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    networks: Vec<IpNet>,
    exact: Vec<IpAddr>,
    names: Vec<String>,
    ports: Vec<RangeInclusive<u16>>,
    https: bool,
}

/// An entry of an [`AllowList`] cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` cannot be allowed: {problem}")]
pub struct AllowError {
    entry: String,
    problem: &'static str,
}

impl AllowList {
    /// Those that `entries` name.
    ///
    /// # Errors
    ///
    /// For an entry that is neither network, address nor host name, and for a network that has
    /// nothing but addresses which must be listed one by one.
    pub fn new<E: AsRef<str>>(entries: impl IntoIterator<Item = E>) -> Result<Self, AllowError> {
        let mut list = Self::default();
        for entry in entries {
            list.add(entry.as_ref())?;
        }
        Ok(list)
    }

    /// Only at these ports. May be called again for more. Default: any port.
    #[must_use]
    pub fn ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports.push(ports);
        self
    }

    /// Takes `https` addresses as well, which want a TLS configuration for the clusters
    /// ([`RegistryBuilder::clusters`](super::super::RegistryBuilder::clusters)). Certificates are
    /// verified against the IP address that was judged, so they must name it.
    #[must_use]
    pub fn https(mut self) -> Self {
        self.https = true;
        self
    }

    fn add(&mut self, entry: &str) -> Result<(), AllowError> {
        let wrong = |problem| AllowError { entry: entry.to_owned(), problem };
        if let Ok(ip) = entry.parse::<IpAddr>() {
            self.exact.push(ip.to_canonical());
            return Ok(());
        }
        if let Ok(network) = entry.parse::<IpNet>() {
            let network = network.trunc();
            if network.prefix_len() == network.max_prefix_len() {
                self.exact.push(network.addr().to_canonical());
                return Ok(());
            }
            if is_wholly_special(&network) {
                return Err(wrong("such addresses are allowed one by one"));
            }
            self.networks.push(network);
            return Ok(());
        }
        let name = entry.strip_suffix('.').unwrap_or(entry).to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_name = !name.is_empty()
            && name.bytes().all(plain)
            && name.rsplit('.').next().is_some_and(|last| !last.starts_with(char::is_numeric));
        if !is_name {
            return Err(wrong("expected a network, an address or a host name"));
        }
        self.names.push(name);
        Ok(())
    }

    pub(super) fn takes_https(&self) -> bool {
        self.https
    }

    pub(super) fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    pub(super) fn name(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    pub(super) fn port(&self, port: u16) -> Result<(), AddressError> {
        let allowed = self.ports.is_empty() || self.ports.iter().any(|ports| ports.contains(&port));
        if allowed { Ok(()) } else { Err(AddressError::Port(port)) }
    }

    /// Judges an address that was given as one, or that an unlisted name leads to.
    pub(super) fn ip(&self, ip: IpAddr) -> Result<(), AddressError> {
        self.not_special(ip)?;
        let inside = self.exact.contains(&ip) || self.networks.iter().any(|net| net.contains(&ip));
        if inside { Ok(()) } else { Err(AddressError::NotAllowed(ip.to_string())) }
    }

    /// Judges an address that a listed name leads to.
    pub(super) fn not_special(&self, ip: IpAddr) -> Result<(), AddressError> {
        match special(ip) {
            Some(kind) if !self.exact.contains(&ip) => {
                Err(AddressError::Special(ip.to_string(), kind))
            }
            _ => Ok(()),
        }
    }
}

/// Addresses of metadata services outside of the link-local networks.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

/// What is special about `ip`; `None`: nothing.
fn special(ip: IpAddr) -> Option<&'static str> {
    if METADATA.contains(&ip) {
        return Some("a metadata service's");
    }
    match ip {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<&'static str> {
    match ip.octets() {
        [127, ..] => Some("loopback"),
        [169, 254, ..] => Some("link-local"),
        [0, ..] => Some("unspecified"),
        [224..=239, ..] => Some("multicast"),
        [240..=255, ..] => Some("reserved"),
        _ => None,
    }
}

fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if ip.is_loopback() {
        return Some("loopback");
    }
    if ip.is_unspecified() {
        return Some("unspecified");
    }
    match ip.segments() {
        [0xfe80..=0xfebf, ..] => return Some("link-local"),
        [0xfec0..=0xfeff, ..] => return Some("site-local"),
        [0xff00..=0xffff, ..] => return Some("multicast"),
        _ => {}
    }
    let carried = carried(ip)?;
    if METADATA.contains(&IpAddr::V4(carried)) {
        return Some("a metadata service's");
    }
    special_v4(carried)
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, translated (RFC 6052),
/// 6to4 (RFC 3056).
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            Some(of(high, low))
        }
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

/// Its first and its last address are special, and for the same reason.
fn is_wholly_special(network: &IpNet) -> bool {
    let first = special(network.network());
    first.is_some() && first == special(network.broadcast())
}
