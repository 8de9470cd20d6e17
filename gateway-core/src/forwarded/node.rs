//! One element of `X-Forwarded-For` and of `Forwarded`: reading and writing an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest text of an address with a port, in bytes: bracketed IPv6 with an embedded IPv4 part
/// and five digits, and some room for an obfuscated port.
const NODE_LIMIT: usize = 80;

/// Reads an element of `X-Forwarded-For`: an address, with or without port and brackets.
///
/// No standard: proxies write `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` and
/// `[2001:db8::1]:80`. The result is canonical: mapped IPv4 is IPv4.
pub(super) fn parse_address(element: &[u8]) -> Option<IpAddr> {
    let text = text(element.trim_ascii())?;
    if let Ok(ip) = text.parse::<Ipv6Addr>() {
        return Some(IpAddr::V6(ip).to_canonical());
    }
    parse_node(text)
}

/// Reads an element of `Forwarded` (RFC 7239, 4): the address of its one `for` parameter.
///
/// `None` without such a parameter, with several, for `unknown` and obfuscated identifiers, and
/// where the element breaks the grammar.
pub(super) fn parse_forwarded_element(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = element.trim_ascii();
    while !rest.is_empty() {
        let equals = rest.iter().position(|&byte| byte == b'=')?;
        let (name, value_on) = rest.split_at(equals);
        let (value, after) = split_value(value_on.get(1..)?)?;
        if name.trim_ascii().eq_ignore_ascii_case(b"for") {
            // A parameter must not occur twice (RFC 7239, 4).
            if found.is_some() {
                return None;
            }
            found = Some(value);
        }
        rest = match after.trim_ascii_start() {
            [] => break,
            [b';', rest @ ..] => rest.trim_ascii_start(),
            _ => return None,
        };
    }
    parse_node(text(found?)?)
}

/// Splits a token or the content of a quoted string from what stands behind it.
///
/// Escapes are kept as they are: no address has one.
fn split_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if let [b'"', content @ ..] = bytes {
        let mut escaped = false;
        let end = content.iter().position(|&byte| {
            let closes = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            closes
        })?;
        return Some((content.get(..end)?, content.get(end + 1..)?));
    }
    let end = bytes.iter().position(|byte| b"; \t\"".contains(byte)).unwrap_or(bytes.len());
    Some(bytes.split_at(end))
}

/// The last element of a list whose quoted strings may hold commas, and what stands before it.
///
/// Read from the right, because the right end is what trusted proxies wrote: an open quote of a
/// client further left cannot swallow it.
pub(super) fn split_last_element(list: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut quoted = false;
    for (index, &byte) in list.iter().enumerate().rev() {
        match byte {
            b'"' if quoted && backslashes_before(list, index) % 2 == 1 => {}
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                let (before, comma_on) = list.split_at(index);
                return (Some(before), comma_on.get(1..).unwrap_or_default());
            }
            _ => {}
        }
    }
    (None, list)
}

fn backslashes_before(list: &[u8], index: usize) -> usize {
    list.iter().take(index).rev().take_while(|&&byte| byte == b'\\').count()
}

fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.len() > NODE_LIMIT { None } else { std::str::from_utf8(bytes).ok() }
}

/// `node` of RFC 7239, 6: IPv4 or bracketed IPv6, with an optional port.
fn parse_node(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        let ip: Ipv6Addr = address.parse().ok()?;
        return port_fits.then_some(IpAddr::V6(ip).to_canonical());
    }
    let (address, port_fits) = match text.split_once(':') {
        Some((address, port)) => (address, is_port(port)),
        None => (text, true),
    };
    let ip: Ipv4Addr = address.parse().ok()?;
    port_fits.then_some(IpAddr::V4(ip))
}

/// `node-port` of RFC 7239, 6: digits or an obfuscated port.
fn is_port(text: &str) -> bool {
    let obfuscated = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text.strip_prefix('_') {
        Some(rest) => !rest.is_empty() && rest.bytes().all(obfuscated),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses() {
        let cases = [
            ("192.0.2.1", Some("192.0.2.1")),
            (" 192.0.2.1\t", Some("192.0.2.1")),
            ("192.0.2.1:8080", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[::ffff:192.0.2.1]:1", Some("192.0.2.1")),
            ("192.0.2.1:", None),
            ("192.0.2.1:123456", None),
            ("192.0.2.1:+1", None),
            ("192.0.02.1", None),
            ("192.0.2", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]443", None),
            ("[192.0.2.1]", None),
            ("fe80::1%eth0", None),
            ("unknown", None),
            ("_hidden", None),
            ("example.com", None),
            ("\"192.0.2.1\"", None),
            ("", None),
        ];
        for (input, expected) in cases {
            let expected = expected.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(parse_address(input.as_bytes()), expected, "{input}");
        }
        assert_eq!(parse_address(b"\xff"), None);
    }

    #[test]
    fn forwarded_elements() {
        let cases = [
            ("for=192.0.2.60", Some("192.0.2.60")),
            ("For=192.0.2.60;proto=http;by=203.0.113.43", Some("192.0.2.60")),
            ("proto=http ; for=192.0.2.60", Some("192.0.2.60")),
            ("for=\"192.0.2.60:80\"", Some("192.0.2.60")),
            ("for=\"[2001:db8:cafe::17]:4711\"", Some("2001:db8:cafe::17")),
            ("for=\"[2001:db8:cafe::17]:_port\"", Some("2001:db8:cafe::17")),
            ("host=\"a;for=192.0.2.1\";for=192.0.2.60", Some("192.0.2.60")),
            ("host=\"a\\\";for=192.0.2.1\";for=192.0.2.60", Some("192.0.2.60")),
            ("for=192.0.2.60;", Some("192.0.2.60")),
            ("for=unknown", None),
            ("for=_hidden", None),
            ("for=\"_SEVKISEK\"", None),
            ("for=192.0.2.60;for=192.0.2.61", None),
            ("for=192.0.2.60;by", None),
            ("for=\"192.0.2.60", None),
            ("for=\"192.0.2.60\"x", None),
            ("for=192.0.2.60 x", None),
            ("for=2001:db8::1", None),
            ("proto=http", None),
            ("192.0.2.60", None),
            ("", None),
        ];
        for (input, expected) in cases {
            let expected = expected.map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(parse_forwarded_element(input.as_bytes()), expected, "{input}");
        }
    }

    #[test]
    fn elements_from_the_right() {
        let cases = [
            ("a", (None, "a")),
            ("", (None, "")),
            ("a,b", (Some("a"), "b")),
            ("a,b,", (Some("a,b"), "")),
            ("a,\"b,c\"", (Some("a"), "\"b,c\"")),
            ("a,\"b\\\",c\"", (Some("a"), "\"b\\\",c\"")),
            ("a,\"b\\\\\"", (Some("a"), "\"b\\\\\"")),
            ("for=\"evil, for=b", (Some("for=\"evil"), " for=b")),
            ("for=\"\\, for=\"b\"", (Some("for=\"\\"), " for=\"b\"")),
        ];
        for (input, (before, last)) in cases {
            let expected = (before.map(str::as_bytes), last.as_bytes());
            assert_eq!(split_last_element(input.as_bytes()), expected, "{input}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            parse_address(&bytes);
            parse_forwarded_element(&bytes);
            let (before, last) = split_last_element(&bytes);
            let length = before.map_or(0, |before| before.len() + 1) + last.len();
            prop_assert_eq!(length, bytes.len());
        }

        #[test]
        fn what_is_written_is_read(ip in any::<IpAddr>(), port in any::<u16>()) {
            let canonical = Some(ip.to_canonical());
            let socket = std::net::SocketAddr::new(ip, port).to_string();
            prop_assert_eq!(parse_address(ip.to_string().as_bytes()), canonical);
            prop_assert_eq!(parse_address(socket.as_bytes()), canonical);
            let element = format!("for=\"{socket}\"");
            prop_assert_eq!(parse_forwarded_element(element.as_bytes()), canonical);
        }
    }
}
