//! [`Origin`]: an origin as a browser writes it.

use std::net::Ipv6Addr;

/// An origin in its one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'o> {
    pub(crate) scheme: &'o str,
    /// A name, or an address; that of IPv6 in its brackets.
    pub(crate) host: &'o str,
    /// `None`: the scheme's own.
    pub(crate) port: Option<u16>,
}

impl<'o> Origin<'o> {
    /// Reads an origin; `None` for whatever is not in the form in which browsers write it.
    pub(crate) fn parse(text: &'o str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = split_port(authority)?;
        if !is_scheme(scheme) || !is_host(host) {
            return None;
        }
        let port = match port {
            None => None,
            Some(digits) => Some(parse_port(digits)?),
        };
        // Browsers leave out a port that is the scheme's own.
        (port.is_none() || port != default_port(scheme)).then_some(Self { scheme, host, port })
    }

    /// The origin of a document whose URL this is (`Referer`).
    pub(crate) fn of_url(url: &'o str) -> Option<Self> {
        let authority = url.find("://")? + "://".len();
        let length = url.get(authority..)?.find(['/', '?', '#']);
        Self::parse(length.map_or(url, |length| &url[..authority + length]))
    }

    /// True when a request with this `Host` line, by `scheme`, goes to this origin.
    pub(crate) fn is_at(&self, scheme: &str, host: &str) -> bool {
        let Some((name, port)) = split_port(host) else { return false };
        let port = match port.map(parse_port) {
            None => None,
            Some(Some(port)) => Some(port),
            Some(None) => return false,
        };
        let default = default_port(scheme);
        self.scheme == scheme
            && self.host.eq_ignore_ascii_case(name)
            && self.port.or(default) == port.or(default)
    }
}

/// The port that a URL of `scheme` has when it has none.
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Host and port of an authority; `None`: it is none.
pub(super) fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => rest.is_empty().then_some((host, None)),
    }
}

/// A port without leading zeros.
pub(super) fn parse_port(digits: &str) -> Option<u16> {
    let plain = !digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// RFC 3986, section 3.1, in lower case.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'))
}

/// A name of labels that are not empty, in lower case, or an address.
pub(super) fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[') {
        let address = address.strip_suffix(']').and_then(|text| text.parse::<Ipv6Addr>().ok());
        return address.is_some();
    }
    text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let known = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    !label.is_empty() && label.bytes().all(known)
}
