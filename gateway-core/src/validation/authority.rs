//! Whom a request is for.

use std::net::Ipv6Addr;

use http::header::{HOST, HeaderMap};
use http::uri::Uri;
use http::{Method, Version};

use super::HeadProblem;

/// Longest host in bytes: a DNS name of 253 and its trailing dot (RFC 1035, 2.3.4).
pub const HOST_LIMIT: usize = 254;

/// Whom a request is for: what `Host`, `:authority` or an absolute target say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host as sent, without port and without one trailing dot. An IPv6 address keeps its
    /// brackets. Never empty; case as sent.
    pub host: &'a str,
    /// The port, where one was given.
    pub port: Option<u16>,
}

/// Says whom a request is for.
///
/// `None` for an HTTP/1.0 request that does not say. The gateway accepts less than the grammar
/// of RFC 3986, 3.2.2: no percent-encoding and no sub-delimiters, which no resolvable name has
/// and which servers read differently, and no empty port. `Host` and the authority of the target
/// may differ in case, in one trailing dot and in a port that is the scheme's own.
///
/// # Errors
///
/// A [`HeadProblem`] of the host, the port or the target; each is a 400.
///
/// ```
/// use gateway_core::validation::{authority, HeadProblem};
/// use http::{HeaderMap, HeaderValue, Method, Uri, Version, header::HOST};
///
/// let (method, uri) = (Method::GET, Uri::from_static("/orders"));
/// let mut headers = HeaderMap::new();
/// headers.insert(HOST, HeaderValue::from_static("Api.example.com.:8080"));
/// let found = authority(Version::HTTP_11, &method, &uri, &headers)?.expect("host");
/// assert_eq!((found.host, found.port), ("Api.example.com", Some(8080)));
/// # Ok::<(), HeadProblem>(())
/// ```
pub fn authority<'a>(
    version: Version,
    method: &Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<Authority<'a>>, HeadProblem> {
    target_form(version, method, uri)?;
    let mut lines = headers.get_all(HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(HeadProblem::HostRepeated);
    }
    let host = line.map(|line| parse(line.as_bytes())).transpose()?;
    let target = uri.authority().map(|text| parse(text.as_str().as_bytes())).transpose()?;
    match (target, host) {
        (Some(target), Some(host)) if !same(target, host, uri) => Err(HeadProblem::HostMismatch),
        // RFC 9112, 3.2: HTTP/1.1 wants a Host line whatever the target says.
        (_, None) if version == Version::HTTP_11 => Err(HeadProblem::HostMissing),
        (None, None) if version > Version::HTTP_11 => Err(HeadProblem::HostMissing),
        (Some(target), _) if *method == Method::CONNECT && target.port.is_none() => {
            // RFC 9110, 9.3.6. Extended CONNECT has a scheme and its port (RFC 8441, 4).
            if uri.scheme().is_some() { Ok(Some(target)) } else { Err(HeadProblem::Port) }
        }
        (target, host) => Ok(target.or(host)),
    }
}

/// RFC 9112, 3.2: which form of target goes with which method.
fn target_form(version: Version, method: &Method, uri: &Uri) -> Result<(), HeadProblem> {
    if let Some(scheme) = uri.scheme_str()
        && !matches!(scheme, "http" | "https")
    {
        return Err(HeadProblem::Scheme);
    }
    let authority_form = uri.authority().is_some() && uri.scheme().is_none();
    let fits = if *method == Method::CONNECT {
        let extended = version >= Version::HTTP_2 && uri.scheme().is_some();
        authority_form || extended
    } else if uri.path() == "*" {
        *method == Method::OPTIONS
    } else {
        !authority_form
    };
    if fits { Ok(()) } else { Err(HeadProblem::TargetForm) }
}

fn same(left: Authority<'_>, right: Authority<'_>, uri: &Uri) -> bool {
    let default = match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    left.host.eq_ignore_ascii_case(right.host) && left.port.or(default) == right.port.or(default)
}

fn parse(bytes: &[u8]) -> Result<Authority<'_>, HeadProblem> {
    if bytes.is_empty() {
        return Err(HeadProblem::HostEmpty);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| HeadProblem::HostInvalid)?;
    if memchr::memchr(b'@', bytes).is_some() {
        return Err(HeadProblem::HostUserinfo);
    }
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or(HeadProblem::HostInvalid)?;
        text.split_at_checked(end + 1).ok_or(HeadProblem::HostInvalid)?
    } else {
        text.split_at_checked(text.find(':').unwrap_or(text.len())).unwrap_or((text, ""))
    };
    let host = if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or(address);
        address.parse::<Ipv6Addr>().map_err(|_| HeadProblem::HostInvalid)?;
        host
    } else {
        name(host)?
    };
    Ok(Authority { host, port: parse_port(port)? })
}

/// A name or an IPv4 address, without one trailing dot.
fn name(text: &str) -> Result<&str, HeadProblem> {
    if text.is_empty() {
        return Err(HeadProblem::HostEmpty);
    }
    if text.len() > HOST_LIMIT {
        return Err(HeadProblem::HostInvalid);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    // Starts as if behind a dot, so that a leading one counts as an empty label too.
    let mut previous = b'.';
    for byte in name.bytes() {
        let allowed = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
        if !allowed && (byte != b'.' || previous == b'.') {
            return Err(HeadProblem::HostInvalid);
        }
        previous = byte;
    }
    if previous == b'.' { Err(HeadProblem::HostInvalid) } else { Ok(name) }
}

/// Nothing, or `:` and a number of 1 to 65,535 without leading zero.
fn parse_port(text: &str) -> Result<Option<u16>, HeadProblem> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(':').ok_or(HeadProblem::HostInvalid)?;
    let starts = digits.bytes().next().is_some_and(|first| matches!(first, b'1'..=b'9'));
    match digits.parse() {
        Ok(port) if starts => Ok(Some(port)),
        _ => Err(HeadProblem::Port),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn with_hosts(hosts: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        headers
    }

    type Expected = Result<Option<(&'static str, Option<u16>)>, HeadProblem>;

    fn check(version: Version, method: &Method, target: &str, hosts: &[&str], expected: Expected) {
        let uri: Uri = target.parse().unwrap();
        let headers = with_hosts(hosts);
        let found = authority(version, method, &uri, &headers)
            .map(|found| found.map(|found| (found.host, found.port)));
        assert_eq!(found, expected, "{version:?} {method} {target} {hosts:?}");
    }

    #[test]
    fn host_values() {
        use HeadProblem::{HostEmpty, HostInvalid, HostUserinfo, Port};
        let longest = format!("{}.", "a".repeat(253));
        let too_long = "a".repeat(255);
        type Found<'a> = Result<(&'a str, Option<u16>), HeadProblem>;
        let cases: &[(&str, Found<'_>)] = &[
            ("a.example", Ok(("a.example", None))),
            ("A.Example", Ok(("A.Example", None))),
            ("a.example.", Ok(("a.example", None))),
            ("a.example.:80", Ok(("a.example", Some(80)))),
            ("a_b-c~d.example:65535", Ok(("a_b-c~d.example", Some(65535)))),
            ("192.0.2.1:1", Ok(("192.0.2.1", Some(1)))),
            ("[2001:db8::1]", Ok(("[2001:db8::1]", None))),
            ("[::1]:8080", Ok(("[::1]", Some(8080)))),
            (&longest, Ok((&longest[..253], None))),
            (&too_long, Err(HostInvalid)),
            ("", Err(HostEmpty)),
            (":80", Err(HostEmpty)),
            (".", Err(HostInvalid)),
            ("..", Err(HostInvalid)),
            (".a", Err(HostInvalid)),
            ("a..b", Err(HostInvalid)),
            ("a..", Err(HostInvalid)),
            ("a b", Err(HostInvalid)),
            (" a", Err(HostInvalid)),
            ("a\t", Err(HostInvalid)),
            ("a,b", Err(HostInvalid)),
            ("a, b", Err(HostInvalid)),
            ("a/b", Err(HostInvalid)),
            ("a?b", Err(HostInvalid)),
            ("a#b", Err(HostInvalid)),
            ("a\\b", Err(HostInvalid)),
            ("a%2eb", Err(HostInvalid)),
            ("a!b", Err(HostInvalid)),
            ("*", Err(HostInvalid)),
            ("\u{e9}.example", Err(HostInvalid)),
            ("http://a", Err(Port)),
            ("user@a", Err(HostUserinfo)),
            ("user:secret@a:80", Err(HostUserinfo)),
            ("a@", Err(HostUserinfo)),
            ("a:", Err(Port)),
            ("a:0", Err(Port)),
            ("a:080", Err(Port)),
            ("a:65536", Err(Port)),
            ("a:+80", Err(Port)),
            ("a:-1", Err(Port)),
            ("a:80:80", Err(Port)),
            ("a:x", Err(Port)),
            ("a: 80", Err(Port)),
            ("::1", Err(HostEmpty)),
            ("[::1", Err(HostInvalid)),
            ("[::1]x", Err(HostInvalid)),
            ("[::1]:", Err(Port)),
            ("[::1].", Err(HostInvalid)),
            ("[]", Err(HostInvalid)),
            ("[192.0.2.1]", Err(HostInvalid)),
            ("[fe80::1%25eth0]", Err(HostInvalid)),
            ("[v1.a]", Err(HostInvalid)),
            ("[[::1]]", Err(HostInvalid)),
        ];
        for (value, expected) in cases {
            let found = parse(value.as_bytes()).map(|found| (found.host, found.port));
            assert_eq!(found, *expected, "{value:?}");
        }
        assert_eq!(parse(b"a\xff"), Err(HostInvalid));
    }

    #[test]
    fn http_1() {
        use HeadProblem::{HostEmpty, HostMismatch, HostMissing, HostRepeated, HostUserinfo};
        let a = Ok(Some(("a", None)));
        let cases: &[(&str, &[&str], Expected)] = &[
            ("/", &["a"], a),
            ("/", &[], Err(HostMissing)),
            ("/", &[""], Err(HostEmpty)),
            ("/", &["a", "a"], Err(HostRepeated)),
            ("/", &["a", "b"], Err(HostRepeated)),
            ("http://a/", &["a"], a),
            ("http://A/", &["a."], Ok(Some(("A", None)))),
            ("http://a:80/", &["a"], Ok(Some(("a", Some(80))))),
            ("https://a/", &["a:443"], a),
            ("https://a/", &["a:80"], Err(HostMismatch)),
            ("http://a/", &["b"], Err(HostMismatch)),
            ("http://a:81/", &["a"], Err(HostMismatch)),
            ("http://a/", &[], Err(HostMissing)),
            ("http://u@a/", &["a"], Err(HostUserinfo)),
            ("ftp://a/", &["a"], Err(HeadProblem::Scheme)),
        ];
        for (target, hosts, expected) in cases {
            check(Version::HTTP_11, &Method::GET, target, hosts, *expected);
        }
        check(Version::HTTP_10, &Method::GET, "/", &[], Ok(None));
        check(Version::HTTP_10, &Method::GET, "/", &["a:8"], Ok(Some(("a", Some(8)))));
        check(Version::HTTP_10, &Method::GET, "/", &["a", "a"], Err(HostRepeated));
        check(Version::HTTP_10, &Method::GET, "/", &["a,b"], Err(HeadProblem::HostInvalid));
        check(Version::HTTP_10, &Method::GET, "http://a/", &[], a);
    }

    #[test]
    fn http_2() {
        use HeadProblem::{HostInvalid, HostMismatch, HostMissing, HostRepeated, HostUserinfo};
        let cases: &[(&str, &[&str], Expected)] = &[
            ("https://a/", &[], Ok(Some(("a", None)))),
            ("https://a:443/", &["a"], Ok(Some(("a", Some(443))))),
            ("https://a/", &["a"], Ok(Some(("a", None)))),
            ("/", &["a"], Ok(Some(("a", None)))),
            ("/", &[], Err(HostMissing)),
            ("https://a/", &["b"], Err(HostMismatch)),
            ("https://a/", &["a", "a"], Err(HostRepeated)),
            ("https://u@a/", &[], Err(HostUserinfo)),
            ("https://a,b/", &[], Err(HostInvalid)),
        ];
        for (target, hosts, expected) in cases {
            check(Version::HTTP_2, &Method::GET, target, hosts, *expected);
        }
    }

    #[test]
    fn target_forms() {
        use HeadProblem::{HostMismatch, Port, TargetForm};
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        let tunnel = Ok(Some(("a", Some(443))));
        check(one, &Method::CONNECT, "a:443", &["a:443"], tunnel);
        check(one, &Method::CONNECT, "a:443", &["a"], Err(HostMismatch));
        check(one, &Method::CONNECT, "a", &["a"], Err(Port));
        check(one, &Method::CONNECT, "/", &["a"], Err(TargetForm));
        check(one, &Method::CONNECT, "http://a/", &["a"], Err(TargetForm));
        check(one, &Method::CONNECT, "*", &["a"], Err(TargetForm));
        check(one, &Method::GET, "a:443", &["a:443"], Err(TargetForm));
        check(one, &Method::GET, "*", &["a"], Err(TargetForm));
        check(one, &Method::OPTIONS, "*", &["a"], Ok(Some(("a", None))));
        check(one, &Method::OPTIONS, "/", &["a"], Ok(Some(("a", None))));
        check(two, &Method::CONNECT, "a:443", &[], tunnel);
        check(two, &Method::CONNECT, "https://a/chat", &[], Ok(Some(("a", None))));
        check(two, &Method::CONNECT, "/", &["a"], Err(TargetForm));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(found) = parse(&bytes) {
                prop_assert!(!found.host.is_empty());
                prop_assert!(bytes.starts_with(found.host.as_bytes()));
            }
        }

        #[test]
        fn what_is_accepted_is_stable(host in "[a-zA-Z0-9._~-]{1,12}", port in 1u16..) {
            if let Ok(found) = parse(host.as_bytes()) {
                prop_assert_eq!(parse(found.host.as_bytes()), Ok(found));
                let with_port = format!("{host}:{port}");
                let again = parse(with_port.as_bytes()).unwrap();
                prop_assert_eq!(again, Authority { host: found.host, port: Some(port) });
            }
        }
    }
}
