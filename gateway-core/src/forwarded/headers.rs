//! What an upstream is told about the client: `X-Forwarded-*` and `Forwarded`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::Uri;

use super::client::X_FORWARDED_FOR;
use super::reserved::{strip_forwarding, strip_x_forwarded};

pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What happens to a family of forwarding fields.
///
/// What a peer that is not trusted sent is dropped under every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// Add this hop to what trusted proxies said.
    Append,
    /// Say only this hop.
    Set,
    /// Say nothing.
    Remove,
    /// Leave what a trusted peer sent as it is.
    Off,
}

/// How the fields for the upstream are written.
///
/// The default appends to `X-Forwarded-*` and leaves `Forwarded` alone ([`Mode::Off`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedPolicy {
    /// Mode of `X-Forwarded-For`, `-Proto` and `-Host`; `Set` and `Remove` also drop a trusted
    /// peer's `-Port`, `-Prefix`, `-Server` and `X-Real-IP`.
    pub x_forwarded: Mode,
    /// Mode of `Forwarded` (RFC 7239).
    pub rfc7239: Mode,
}

impl Default for ForwardedPolicy {
    fn default() -> Self {
        Self { x_forwarded: Mode::Append, rfc7239: Mode::Off }
    }
}

/// A connection's peer with its address ready to be sent, made once per connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    ip: IpAddr,
    value: HeaderValue,
}

impl Peer {
    /// Prepares the address; a mapped IPv4 address becomes IPv4.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let mut text = BytesMut::with_capacity(MAX_ADDRESS_LENGTH);
        // Writing to a growing buffer cannot fail, nor can an address be no header value.
        let _ = write!(text, "{ip}");
        let value = HeaderValue::from_maybe_shared(text.freeze())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self { ip, value }
    }

    /// The peer's address; never a mapped IPv4 address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip
    }
}

const MAX_ADDRESS_LENGTH: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".len();

/// One hop of a request: what this gateway saw itself.
#[derive(Debug)]
pub struct Hop<'a> {
    /// The peer of the connection. `None` when its address is unknown: `X-Forwarded-For` then does
    /// not name it, and `Forwarded` says `unknown` (RFC 7239, section 6.2).
    pub peer: Option<&'a Peer>,
    /// Whether the peer is a trusted proxy, as
    /// [`ClientAddress::trusted_peer`](super::ClientAddress::trusted_peer) says.
    pub trusted_peer: bool,
    /// `http` or `https`: how the peer reached the gateway.
    pub scheme: &'static str,
    /// The authority the client asked for, as sent; see [`original_host`].
    pub host: Option<HeaderValue>,
    /// The address the peer connected to, for `by` of `Forwarded`; `None` leaves `by` out.
    pub local: Option<SocketAddr>,
}

/// The authority a client asked for: the `Host` line, else the authority of the target.
///
/// For [`Hop::host`], taken before the host is rewritten. `None` for an HTTP/1.0 request without
/// `Host`. Shares the line's bytes; an HTTP/2 authority without `Host` is copied.
#[must_use]
pub fn original_host(headers: &HeaderMap, uri: &Uri) -> Option<HeaderValue> {
    match headers.get(HOST) {
        Some(line) => Some(line.clone()),
        None => HeaderValue::from_str(uri.authority()?.as_str()).ok(),
    }
}

impl ForwardedPolicy {
    /// Writes the fields for the upstream.
    ///
    /// | mode | trusted peer | any other peer |
    /// |---|---|---|
    /// | `Append` | `-For` and `Forwarded` continued, first `-Proto` and `-Host` kept | as `Set` |
    /// | `Set` | replaced | replaced |
    /// | `Remove` | deleted | deleted |
    /// | `Off` | untouched | deleted |
    ///
    /// All lines of a field become one, because many servers read only the first. Allocates
    /// nothing for a peer that is not trusted, unless `Forwarded` is written.
    pub fn apply(&self, headers: &mut HeaderMap, hop: Hop<'_>) {
        if !hop.trusted_peer {
            strip_forwarding(headers);
        }
        match self.rfc7239 {
            Mode::Append if headers.contains_key(FORWARDED) => {
                continue_list(headers, FORWARDED, &forwarded_element(&hop));
            }
            Mode::Append | Mode::Set => put(headers, FORWARDED, forwarded_element(&hop)),
            Mode::Remove => {
                headers.remove(FORWARDED);
            }
            Mode::Off => {}
        }
        match self.x_forwarded {
            Mode::Append if hop.trusted_peer => append_x_forwarded(headers, hop),
            Mode::Append | Mode::Set => set_x_forwarded(headers, hop),
            Mode::Remove => strip_x_forwarded(headers),
            Mode::Off => {}
        }
    }
}

fn append_x_forwarded(headers: &mut HeaderMap, hop: Hop<'_>) {
    match hop.peer {
        Some(peer) if headers.contains_key(&X_FORWARDED_FOR) => {
            continue_list(headers, X_FORWARDED_FOR, peer.value.as_bytes());
        }
        Some(peer) => drop(headers.insert(X_FORWARDED_FOR, peer.value.clone())),
        None => {}
    }
    if !keep_first(headers, X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(hop.scheme));
    }
    if !keep_first(headers, X_FORWARDED_HOST)
        && let Some(host) = hop.host
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

fn set_x_forwarded(headers: &mut HeaderMap, hop: Hop<'_>) {
    if hop.trusted_peer {
        strip_x_forwarded(headers);
    }
    if let Some(peer) = hop.peer {
        headers.insert(X_FORWARDED_FOR, peer.value.clone());
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(hop.scheme));
    if let Some(host) = hop.host {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Reduces a field to the first element of its first line; false, and no field, without one.
fn keep_first(headers: &mut HeaderMap, name: HeaderName) -> bool {
    let mut lines = headers.get_all(&name).iter();
    let Some(line) = lines.next() else {
        return false;
    };
    let single = lines.next().is_none();
    let first = line.as_bytes().split(|&byte| byte == b',').next().unwrap_or_default();
    let first = first.trim_ascii();
    if first.is_empty() {
        headers.remove(name);
        return false;
    }
    if !single || first.len() != line.len() {
        let first = Bytes::copy_from_slice(first);
        put(headers, name, first);
    }
    true
}

/// Joins the lines of a list field and `element` to one line.
fn continue_list(headers: &mut HeaderMap, name: HeaderName, element: &[u8]) {
    let lines = headers.get_all(&name);
    let length: usize = lines.iter().map(|line| line.len() + 2).sum();
    let mut joined = BytesMut::with_capacity(length + element.len());
    for line in lines.iter().filter(|line| !line.is_empty()) {
        joined.put_slice(line.as_bytes());
        joined.put_slice(b", ");
    }
    joined.put_slice(element);
    put(headers, name, joined.freeze());
}

/// Replaces a field; bytes that are no header value leave none rather than the old one.
fn put(headers: &mut HeaderMap, name: HeaderName, value: impl Into<Bytes>) {
    match HeaderValue::from_maybe_shared(value.into()) {
        Ok(value) => headers.insert(name, value),
        Err(_) => headers.remove(name),
    };
}

/// `forwarded-element` of RFC 7239, 4: `for`, `by` where known, `host` where known, `proto`.
fn forwarded_element(hop: &Hop<'_>) -> Bytes {
    let host_length = hop.host.as_ref().map_or(0, HeaderValue::len);
    let mut element = BytesMut::with_capacity(3 * MAX_ADDRESS_LENGTH + host_length);
    // Writing to a growing buffer cannot fail.
    let _ = match hop.peer.map(Peer::ip) {
        Some(IpAddr::V4(ip)) => write!(element, "for={ip}"),
        Some(IpAddr::V6(ip)) => write!(element, "for=\"[{ip}]\""),
        None => element.write_str("for=unknown"),
    };
    if let Some(local) = hop.local {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let _ = write!(element, ";by=\"{local}\"");
    }
    if let Some(host) = &hop.host {
        element.put_slice(b";host=");
        put_value(&mut element, host.as_bytes());
    }
    let _ = write!(element, ";proto={}", hop.scheme);
    element.freeze()
}

/// A token as it is, everything else as a quoted string (RFC 9110, 5.6.4).
fn put_value(out: &mut BytesMut, value: &[u8]) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    if !value.is_empty() && value.iter().all(plain) {
        out.put_slice(value);
        return;
    }
    out.put_u8(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(byte);
    }
    out.put_u8(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    type Lines = &'static [(&'static str, &'static str)];

    fn map(lines: Lines) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        let mut lines: Vec<_> = headers.iter().map(line).collect();
        lines.sort();
        lines
    }

    fn run(policy: ForwardedPolicy, trusted_peer: bool, lines: Lines) -> Vec<String> {
        let mut headers = map(lines);
        let peer = Peer::new("::ffff:192.0.2.1".parse().unwrap());
        let host = Some(HeaderValue::from_static("a.example:8080"));
        let local = Some("10.0.0.9:80".parse().unwrap());
        policy.apply(
            &mut headers,
            Hop { peer: Some(&peer), trusted_peer, scheme: "https", host, local },
        );
        shown(&headers)
    }

    fn x(x_forwarded: Mode) -> ForwardedPolicy {
        ForwardedPolicy { x_forwarded, ..ForwardedPolicy::default() }
    }

    const SENT: Lines = &[
        ("accept", "*/*"),
        ("forwarded", "for=198.51.100.1"),
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-for", "198.51.100.2, 198.51.100.3"),
        ("x-forwarded-host", "b.example , c.example"),
        ("x-forwarded-port", "8443"),
        ("x-forwarded-proto", "http"),
        ("x_forwarded_proto", "http"),
        ("x-real-ip", "198.51.100.1"),
    ];

    const OURS: [&str; 3] = [
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-host: a.example:8080",
        "x-forwarded-proto: https",
    ];

    #[test]
    fn strangers_are_never_quoted() {
        for mode in [Mode::Append, Mode::Set] {
            let expected = [&["accept: */*"], OURS.as_slice()].concat();
            assert_eq!(run(x(mode), false, SENT), expected, "{mode:?}");
        }
        for mode in [Mode::Remove, Mode::Off] {
            assert_eq!(run(x(mode), false, SENT), ["accept: */*"], "{mode:?}");
        }
    }

    #[test]
    fn trusted_peers_are_continued() {
        let expected = [
            "accept: */*",
            "forwarded: for=198.51.100.1",
            "x-forwarded-for: 198.51.100.1, 198.51.100.2, 198.51.100.3, 192.0.2.1",
            "x-forwarded-host: b.example",
            "x-forwarded-port: 8443",
            "x-forwarded-proto: http",
            "x-real-ip: 198.51.100.1",
            "x_forwarded_proto: http",
        ];
        assert_eq!(run(x(Mode::Append), true, SENT), expected);
        assert_eq!(run(x(Mode::Append), true, &[]), OURS);
        let empty: Lines =
            &[("x-forwarded-for", ""), ("x-forwarded-proto", ""), ("x-forwarded-host", ",")];
        assert_eq!(run(x(Mode::Append), true, empty), OURS);
    }

    #[test]
    fn trusted_peers_under_the_other_modes() {
        let rest = ["accept: */*", "forwarded: for=198.51.100.1"];
        let set = [rest.as_slice(), &OURS].concat();
        assert_eq!(run(x(Mode::Set), true, SENT), set);
        assert_eq!(run(x(Mode::Remove), true, SENT), rest);
        assert_eq!(run(x(Mode::Off), true, SENT), shown(&map(SENT)));
    }

    #[test]
    fn forwarded_elements() {
        let only = |rfc7239| ForwardedPolicy { x_forwarded: Mode::Off, rfc7239 };
        let ours = "for=192.0.2.1;by=\"10.0.0.9:80\";host=\"a.example:8080\";proto=https";
        let sent: Lines = &[("forwarded", "for=198.51.100.1"), ("forwarded", "for=_x")];
        let continued = format!("forwarded: for=198.51.100.1, for=_x, {ours}");
        assert_eq!(run(only(Mode::Append), true, sent), [continued]);
        assert_eq!(run(only(Mode::Append), false, sent), [format!("forwarded: {ours}")]);
        assert_eq!(run(only(Mode::Set), true, sent), [format!("forwarded: {ours}")]);
        assert!(run(only(Mode::Remove), true, sent).is_empty());
        assert!(run(only(Mode::Off), false, sent).is_empty());
    }

    #[test]
    fn quoting() {
        let cases = [
            ("2001:db8::1", Some("a.example"), "for=\"[2001:db8::1]\";host=a.example;proto=http"),
            ("192.0.2.1", Some("[::1]:80"), "for=192.0.2.1;host=\"[::1]:80\";proto=http"),
            ("192.0.2.1", Some("a\"\\"), "for=192.0.2.1;host=\"a\\\"\\\\\";proto=http"),
            ("192.0.2.1", Some(""), "for=192.0.2.1;host=\"\";proto=http"),
            ("192.0.2.1", None, "for=192.0.2.1;proto=http"),
        ];
        for (ip, host, expected) in cases {
            let peer = Peer::new(ip.parse().unwrap());
            let host = host.map(HeaderValue::from_static);
            let hop =
                Hop { peer: Some(&peer), trusted_peer: false, scheme: "http", host, local: None };
            assert_eq!(forwarded_element(&hop), expected.as_bytes());
        }
    }

    #[test]
    fn the_host_a_client_asked_for() {
        let uri = Uri::from_static("https://a.example:8443/x");
        assert_eq!(original_host(&map(&[("host", "b")]), &uri).unwrap(), "b");
        assert_eq!(original_host(&map(&[]), &uri).unwrap(), "a.example:8443");
        assert_eq!(original_host(&map(&[]), &Uri::from_static("/x")), None);
    }
}
