//! Whom a request counts for: the client's address behind trusted proxies.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::{IpNet, Ipv4Net};

use super::node::{parse_address, parse_forwarded_element, split_last_element};

/// Most elements of `X-Forwarded-For` or `Forwarded` that are looked at, from the right.
///
/// A chain of 64 trusted proxies does not exist; a header of 64 KiB with 30,000 addresses does.
pub const FORWARDED_ELEMENTS_LIMIT: usize = 64;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Leading bits of an IPv6 address that make it a mapped IPv4 address (RFC 4291, 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// The proxies in front of a listener whose word about the client is taken.
///
/// The default trusts nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    hops: usize,
}

impl TrustedProxies {
    /// Trusts the addresses in `networks`.
    ///
    /// Networks of mapped IPv4 addresses (`::ffff:10.0.0.0/104`) count as their IPv4 network.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self { networks: networks.into_iter().map(canonical).collect(), hops: 0 }
    }

    /// Counts proxies instead of comparing their addresses: `hops` of them, the peer included,
    /// stand in front, and the client is the element of that number from the right.
    ///
    /// For proxies without fixed addresses. The peer must still be in the networks, where there
    /// are any; without networks every peer is believed, so nobody else may reach the listener.
    /// Zero (the default) compares addresses; more than [`FORWARDED_ELEMENTS_LIMIT`] is that.
    #[must_use]
    pub fn with_hops(mut self, hops: usize) -> Self {
        self.hops = hops.min(FORWARDED_ELEMENTS_LIMIT);
        self
    }

    /// True when the peer is trusted about the client. Mapped IPv4 addresses count as IPv4; a peer
    /// whose address is unknown is in no network.
    #[must_use]
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        (self.hops > 0 && self.networks.is_empty())
            || peer.is_some_and(|peer| self.contains(peer.to_canonical()))
    }

    /// Says whom a request counts for; see [`resolve_client`].
    #[must_use]
    pub fn resolve_client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> ClientAddress {
        resolve_client(peer, headers, self)
    }

    fn contains(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }
}

fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_PREFIX));
    mapped.and_then(|(ip, prefix)| Ipv4Net::new(ip, prefix).ok()).map_or(network, IpNet::V4)
}

/// Whom a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// The client's address; never a mapped IPv4 address. `None` when the peer's is unknown, and no
    /// trusted proxy names another.
    pub ip: Option<IpAddr>,
    /// Whether the peer of the connection is a trusted proxy.
    pub trusted_peer: bool,
}

/// Says whom a request from `peer` counts for.
///
/// A peer that is not trusted counts for itself, whatever it sent. From a trusted one, the
/// elements of `X-Forwarded-For` are walked from the right over all lines, and the first address
/// that is not trusted is the client (by count with [`TrustedProxies::with_hops`]). Where every
/// address is trusted, or an element is no address, it is the last good one; with no element at
/// all the peer. `Forwarded` (RFC 7239) is read where there is no `X-Forwarded-For`, so a
/// trusted proxy that writes only `Forwarded` has to drop `X-Forwarded-For` of its clients.
///
/// Called before the head is stripped. Allocates nothing.
#[must_use]
pub fn resolve_client(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    trusted: &TrustedProxies,
) -> ClientAddress {
    let peer = peer.map(|peer| peer.to_canonical());
    if !trusted.trusts(peer) {
        return ClientAddress { ip: peer, trusted_peer: false };
    }
    let ip = if headers.contains_key(&X_FORWARDED_FOR) {
        let lines = headers.get_all(&X_FORWARDED_FOR).iter().rev();
        let elements = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        walk(peer, elements.map(parse_address), trusted)
    } else {
        let lines = headers.get_all(FORWARDED).iter().rev();
        let elements = lines.flat_map(|line| Elements(Some(line.as_bytes())));
        walk(peer, elements.map(parse_forwarded_element), trusted)
    };
    ClientAddress { ip, trusted_peer: true }
}

fn walk(
    peer: Option<IpAddr>,
    elements: impl Iterator<Item = Option<IpAddr>>,
    trusted: &TrustedProxies,
) -> Option<IpAddr> {
    let limit = if trusted.hops > 0 { trusted.hops } else { FORWARDED_ELEMENTS_LIMIT };
    let mut last = peer;
    for element in elements.take(limit) {
        let Some(ip) = element else { break };
        last = Some(ip);
        if trusted.hops == 0 && !trusted.contains(ip) {
            break;
        }
    }
    last
}

/// The elements of a `Forwarded` line from the right.
struct Elements<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (before, last) = split_last_element(self.0?);
        self.0 = before;
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn proxies() -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48", "::ffff:172.16.0.0/108"];
        TrustedProxies::new(networks.map(|network| network.parse().unwrap()))
    }

    fn map(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn x_forwarded_for_by_address() {
        let long = format!("192.0.2.7{}", ", 10.0.0.2".repeat(FORWARDED_ELEMENTS_LIMIT));
        let fits = format!("192.0.2.7{}", ", 10.0.0.2".repeat(FORWARDED_ELEMENTS_LIMIT - 1));
        let cases: &[(&[&str], &str)] = &[
            (&[], "10.0.0.1"),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
            (&["198.51.100.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            (&["192.0.2.1,10.0.0.2,[2001:db8:1::2]:80, ::ffff:10.0.0.3"], "192.0.2.1"),
            (&["192.0.2.1, 172.16.0.9"], "192.0.2.1"),
            (&["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            (&["10.0.0.2", "192.0.2.1"], "192.0.2.1"),
            (&["198.51.100.9", "192.0.2.1"], "192.0.2.1"),
            (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&["unknown, 10.0.0.2"], "10.0.0.2"),
            (&["192.0.2.1, , 10.0.0.2"], "10.0.0.2"),
            (&["192.0.2.1, x"], "10.0.0.1"),
            (&["192.0.2.1,"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&["\u{e9}"], "10.0.0.1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&[&fits], "192.0.2.7"),
            (&[&long], "10.0.0.2"),
        ];
        for (lines, expected) in cases {
            let headers = map(&X_FORWARDED_FOR, lines);
            let client = resolve_client(ip("10.0.0.1"), &headers, &proxies());
            assert_eq!(client, ClientAddress { ip: ip(expected), trusted_peer: true }, "{lines:?}");
        }
    }

    #[test]
    fn hops_count_from_the_right() {
        let cases: &[(usize, &[&str], &str)] = &[
            (1, &["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
            (2, &["198.51.100.9, 192.0.2.1, 192.0.2.2"], "192.0.2.1"),
            (2, &["192.0.2.1", "192.0.2.2"], "192.0.2.1"),
            (3, &["192.0.2.1, 192.0.2.2"], "192.0.2.1"),
            (2, &["x, 192.0.2.2"], "192.0.2.2"),
            (2, &[], "203.0.113.1"),
        ];
        for (hops, lines, expected) in cases {
            let trusted = TrustedProxies::default().with_hops(*hops);
            let headers = map(&X_FORWARDED_FOR, lines);
            let client = trusted.resolve_client(ip("203.0.113.1"), &headers);
            assert_eq!(client, ClientAddress { ip: ip(expected), trusted_peer: true }, "{lines:?}");
        }
        let headers = map(&X_FORWARDED_FOR, &["192.0.2.1"]);
        let trusted = proxies().with_hops(1);
        assert!(!trusted.resolve_client(ip("203.0.113.1"), &headers).trusted_peer);
        assert_eq!(trusted.resolve_client(ip("10.0.0.1"), &headers).ip, ip("192.0.2.1"));
    }

    #[test]
    fn forwarded_where_the_other_is_absent() {
        let cases: &[(&[&str], &str)] = &[
            (&["for=192.0.2.1"], "192.0.2.1"),
            (&["for=198.51.100.9, for=192.0.2.1;proto=https, for=10.0.0.2"], "192.0.2.1"),
            (&["for=\"[2001:db8::5]:80\"", "for=\"[2001:db8:1::2]\""], "2001:db8::5"),
            (&["for=192.0.2.1, for=_hidden, for=10.0.0.2"], "10.0.0.2"),
            (&["for=192.0.2.1, for=unknown"], "10.0.0.1"),
            (&["for=\"open, for=192.0.2.1, for=10.0.0.2"], "192.0.2.1"),
            (&["for=192.0.2.1;host=\"a,b\""], "192.0.2.1"),
            (&[""], "10.0.0.1"),
        ];
        for (lines, expected) in cases {
            let mut headers = map(&FORWARDED, lines);
            let client = resolve_client(ip("10.0.0.1"), &headers, &proxies());
            assert_eq!(client.ip, ip(expected), "{lines:?}");
            headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.200"));
            let client = resolve_client(ip("10.0.0.1"), &headers, &proxies());
            assert_eq!(client.ip, ip("192.0.2.200"));
        }
    }

    #[test]
    fn a_stranger_counts_for_itself() {
        let headers = map(&X_FORWARDED_FOR, &["192.0.2.1"]);
        let stranger = ClientAddress { ip: ip("203.0.113.1"), trusted_peer: false };
        assert_eq!(resolve_client(ip("203.0.113.1"), &headers, &proxies()), stranger);
        assert_eq!(resolve_client(ip("::ffff:203.0.113.1"), &headers, &proxies()), stranger);
        let nobody = TrustedProxies::default();
        assert!(!resolve_client(ip("10.0.0.1"), &headers, &nobody).trusted_peer);
        let mapped = resolve_client(ip("::ffff:10.0.0.1"), &headers, &proxies());
        assert_eq!(mapped, ClientAddress { ip: ip("192.0.2.1"), trusted_peer: true });
    }

    #[test]
    fn unknown_peer_is_trusted_by_count_only() {
        let headers = map(&X_FORWARDED_FOR, &["192.0.2.1"]);
        let unknown = ClientAddress { ip: None, trusted_peer: false };
        assert_eq!(resolve_client(None, &headers, &proxies()), unknown);
        let counted = TrustedProxies::default().with_hops(1);
        let known = ClientAddress { ip: ip("192.0.2.1"), trusted_peer: true };
        assert_eq!(resolve_client(None, &headers, &counted), known);
        assert_eq!(resolve_client(None, &HeaderMap::new(), &counted).ip, None);
    }

    proptest! {
        /// Whatever stands left of what trusted proxies wrote changes nothing.
        #[test]
        fn a_client_cannot_choose_its_address(
            forged in proptest::collection::vec(0x20u8..0x7f, 0..60),
        ) {
            let forged = String::from_utf8(forged).unwrap();
            for (name, written) in [
                (X_FORWARDED_FOR, "192.0.2.1, 10.0.0.2"),
                (FORWARDED, "for=192.0.2.1, for=\"10.0.0.2:80\";host=\"a,b\""),
            ] {
                let joined = format!("{forged},{written}");
                for lines in [&[joined.as_str()][..], &[forged.as_str(), written]] {
                    let client = resolve_client(ip("10.0.0.1"), &map(&name, lines), &proxies());
                    prop_assert_eq!(client.ip, ip("192.0.2.1"));
                }
            }
        }
    }
}
