//! Connection-level fields: what belongs to one connection and must not travel (RFC 9110, 7.6.1).
//!
//! Removed from requests and answers are `Connection` and the fields it names, `Keep-Alive`,
//! `Proxy-Connection`, `Proxy-Authenticate`, `Proxy-Authentication-Info`, `Proxy-Authorization`,
//! `TE`, `Transfer-Encoding`, `Upgrade` and `HTTP2-Settings`. What the gateway needs of them it
//! gets back as [`RequestHop`] or [`ResponseHop`], and writes its own for the next connection.
//! `Content_Length` and `Transfer_Encoding` are removed too: servers that read `_` as `-` would take
//! them for framing.
//!
//! **Order.** A client may take back a field by naming it in `Connection`; the standard wants it
//! removed. That is harmless exactly when it happens at the door: framing has been judged, the
//! client's address resolved, but no route matched, no identity read, and *nothing of ours added*.
//! Everything behind the door then agrees that the field was never sent, and a client cannot
//! remove what the gateway adds later. Never call these functions behind a layer.
//!
//! **Not removed by naming** are `Host` and `Content-Length`, which are no connection options by
//! their meaning and decide routing and framing, and the fields the gateway owns
//! ([`is_reserved`]): a client behind a trusted proxy must not be able to
//! delete what that proxy wrote. Strangers' owned fields go by
//! [`strip_reserved`](crate::forwarded::strip_reserved).
//!
//! **Kept** is `Trailer`: it announces fields of the message, not of the connection (RFC 9110,
//! 6.6.2), and HTTP/1.1 senders emit only announced trailers.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE,
};
use smallvec::SmallVec;

use crate::forwarded::is_reserved;
use crate::keep_alive::{self, KEEP_ALIVE};

/// What a request's connection-level fields asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestHop {
    /// The client reads trailers: `TE` contained `trailers` (RFC 9110, 10.1.4).
    pub te_trailers: bool,
    /// The protocol the client wants to change to.
    ///
    /// Set where `Connection` contained `upgrade` and one `Upgrade` line named one protocol other
    /// than `h2c`, `h2`, `HTTP` and `TLS`, which concern the client's own connection. The version
    /// is not looked at: over anything but HTTP/1.1 it has no meaning (RFC 9110, 7.8).
    pub upgrade: Option<HeaderValue>,
    named: Named,
}

impl RequestHop {
    /// The headers that `Connection` named, which may not be trailers either; `None`: it named
    /// none.
    pub fn named(&self) -> Option<Arc<[HeaderName]>> {
        names(&self.named)
    }
}

/// What an answer's connection-level fields said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseHop {
    /// The protocol the upstream changes to, by the rules of [`RequestHop::upgrade`].
    pub upgrade: Option<HeaderValue>,
    /// The connection ends with this response: `Connection` contained `close` (RFC 9112, section 9.6).
    pub close: bool,
    /// How long the upstream keeps the connection when it is idle, as `Keep-Alive` says.
    pub keep_alive: Option<Duration>,
    named: Named,
}

impl ResponseHop {
    /// The headers that `Connection` named, which may not be trailers either; `None`: it named
    /// none.
    pub fn named(&self) -> Option<Arc<[HeaderName]>> {
        names(&self.named)
    }
}

/// `Connection` lines that name fields; the values share the message's buffer.
type Named = SmallVec<[HeaderValue; 1]>;

/// Removes the connection-level fields of a request and says what they asked for.
///
/// Called once, at the door; see the module's words on order. Allocates nothing unless there are
/// several `Connection` lines that name fields.
pub fn strip_request(headers: &mut HeaderMap) -> RequestHop {
    let found = connection_level(headers);
    if found.is_empty() {
        return RequestHop::default();
    }
    let te_trailers = found.contains(&TE)
        && headers.get_all(TE).iter().flat_map(list).any(|item| is(item, "trailers"));
    let (upgrade, named) = strip(headers, &found);
    RequestHop { te_trailers, upgrade, named }
}

/// Removes the connection-level fields of an answer and says what they meant.
///
/// Called before anything of ours is added to the answer.
pub fn strip_response(headers: &mut HeaderMap) -> ResponseHop {
    let found = connection_level(headers);
    if found.is_empty() {
        return ResponseHop::default();
    }
    let keep_alive = if found.contains(&KEEP_ALIVE) { keep_alive::timeout(headers) } else { None };
    let close = found.contains(&CONNECTION) && says_close(headers);
    let (upgrade, named) = strip(headers, &found);
    ResponseHop { upgrade, close, keep_alive, named }
}

/// Whether `name`, in lower case, is a field of the connection and not of the message.
pub(crate) fn is_connection_level(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn connection_level(headers: &HeaderMap) -> SmallVec<[HeaderName; 4]> {
    let goes = |name: &&HeaderName| {
        let name = name.as_str();
        is_connection_level(name) || matches!(name, "content_length" | "transfer_encoding")
    };
    headers.keys().filter(goes).cloned().collect()
}

fn strip(headers: &mut HeaderMap, found: &[HeaderName]) -> (Option<HeaderValue>, Named) {
    let mut named = Named::new();
    let mut upgrade = None;
    if found.contains(&CONNECTION) {
        let mut asked = false;
        for line in headers.get_all(CONNECTION) {
            asked = asked || list(line).any(|option| is(option, "upgrade"));
            if list(line).any(names_field) {
                named.push(line.clone());
            }
        }
        if asked {
            upgrade = wanted_protocol(headers);
        }
    }
    for name in found {
        headers.remove(name);
    }
    remove_named(&named, headers);
    (upgrade, named)
}

/// Whether a connection option can be the name of a field that goes because of it.
fn names_field(option: &[u8]) -> bool {
    !option.is_empty()
        && !["close", "keep-alive", "upgrade", "te", "http2-settings"]
            .iter()
            .any(|known| is(option, known))
}

fn remove_named(lines: &[HeaderValue], headers: &mut HeaderMap) {
    for name in named(lines) {
        // The map ignores what is no name.
        headers.remove(name);
    }
}

/// The options of `Connection` that name a header which goes because of it.
fn named(lines: &[HeaderValue]) -> impl Iterator<Item = &str> {
    let options = lines.iter().flat_map(list).filter(|option| names_field(option));
    // What is not UTF-8 is no field name.
    let names = options.filter_map(|option| std::str::from_utf8(option).ok());
    names.filter(|name| {
        let kept = ["host", "content-length"].iter().any(|kept| name.eq_ignore_ascii_case(kept));
        !kept && !is_reserved(name)
    })
}

fn names(lines: &[HeaderValue]) -> Option<Arc<[HeaderName]>> {
    if lines.is_empty() {
        // An empty slice in an `Arc` would be allocated.
        return None;
    }
    let names: Arc<[_]> = named(lines).filter_map(|name| name.parse().ok()).collect();
    (!names.is_empty()).then_some(names)
}

fn wanted_protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(UPGRADE).iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let mut parts = line.as_bytes().split(|&byte| byte == b'/');
    let (name, version) = (parts.next()?, parts.next());
    let own = ["h2c", "h2", "http", "tls"].iter().any(|known| is(name, known));
    let one = parts.next().is_none() && is_token(name) && version.is_none_or(is_token);
    (one && !own).then(|| line.clone())
}

/// The elements of a comma-separated list, without the blanks around them.
fn list(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn is(element: &[u8], word: &str) -> bool {
    element.eq_ignore_ascii_case(word.as_bytes())
}

/// RFC 9110, 5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(tchar)
}

/// True when the message says that the connection ends with it (RFC 9112, section 9.6).
pub(crate) fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| {
        let mut options = value.as_bytes().split(|&byte| byte == b',');
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
    })
}

/// Joins the lines of `Cookie`, which HTTP/2 clients may send apart (RFC 9113, section 8.2.3):
/// upstreams and modules look for one.
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Removes what must not appear in HTTP/2 (RFC 9113, section 8.2.2).
pub(crate) fn strip_for_http2(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    headers.remove(UPGRADE);
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn left(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_stays() {
        type Lines = &'static [(&'static str, &'static str)];
        let cases: &[(&str, Lines, &[&str])] = &[
            ("nothing to do", &[("host", "a"), ("accept", "*/*")], &["accept", "host"]),
            ("keep-alive", &[("connection", "keep-alive"), ("keep-alive", "5")], &[]),
            (
                "every connection-level field",
                &[
                    ("connection", "close"),
                    ("proxy-connection", "close"),
                    ("proxy-authenticate", "Basic"),
                    ("proxy-authentication-info", "x"),
                    ("proxy-authorization", "Basic x"),
                    ("te", "gzip"),
                    ("transfer-encoding", "chunked"),
                    ("upgrade", "x"),
                    ("http2-settings", "AAMAAABkAAQAAP__"),
                    ("trailer", "x-sum"),
                ],
                &["trailer"],
            ),
            ("named", &[("connection", "X-A, x-b ,,"), ("x-a", "1"), ("x-b", "2")], &[]),
            (
                "named in a second line, several values",
                &[("connection", "close"), ("connection", "x-a"), ("x-a", "1"), ("x-a", "2")],
                &[],
            ),
            (
                "routing, framing and owned fields",
                &[
                    ("connection", "Host, Content-Length, X-Forwarded-For, x_gateway_a, forwarded"),
                    ("host", "a"),
                    ("content-length", "1"),
                    ("x-forwarded-for", "192.0.2.1"),
                    ("x_gateway_a", "1"),
                    ("forwarded", "for=192.0.2.1"),
                ],
                &["content-length", "forwarded", "host", "x-forwarded-for", "x_gateway_a"],
            ),
            ("end to end", &[("connection", "authorization"), ("authorization", "x")], &[]),
            ("not UTF-8", &[("connection", "x-a, \u{e9}, x b"), ("x-a", "1"), ("x-b", "1")], {
                &["x-b"]
            }),
        ];
        for (name, lines, expected) in cases {
            let mut request = map(lines);
            strip_request(&mut request);
            assert_eq!(left(&request), *expected, "{name}");
            let mut response = map(lines);
            strip_response(&mut response);
            assert_eq!(left(&response), *expected, "{name}");
        }
    }

    #[test]
    fn trailers_wanted() {
        let cases: &[(&[&str], bool)] = &[
            (&["trailers"], true),
            (&["gzip;q=0.5, Trailers"], true),
            (&["gzip", "trailers"], true),
            (&["trailers;q=1"], false),
            (&["xtrailers"], false),
            (&[""], false),
            (&[], false),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(TE, HeaderValue::from_static(line));
            }
            assert_eq!(strip_request(&mut headers).te_trailers, *expected, "{lines:?}");
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn upgrades() {
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("upgrade", &["websocket"], Some("websocket")),
            ("keep-alive, Upgrade", &["WebSocket"], Some("WebSocket")),
            ("upgrade", &["proto/1.0"], Some("proto/1.0")),
            ("close", &["websocket"], None),
            ("", &["websocket"], None),
            ("upgrade", &[], None),
            ("upgrade", &["h2c"], None),
            ("upgrade, http2-settings", &["H2C"], None),
            ("upgrade", &["HTTP/2.0"], None),
            ("upgrade", &["TLS/1.2"], None),
            ("upgrade", &["h2c, websocket"], None),
            ("upgrade", &["websocket, websocket"], None),
            ("upgrade", &["websocket", "websocket"], None),
            ("upgrade", &["a/b/c"], None),
            ("upgrade", &["a/"], None),
            ("upgrade", &[""], None),
        ];
        for (connection, lines, expected) in cases {
            let mut headers = map(&[("connection", connection)]);
            for line in *lines {
                headers.append(UPGRADE, HeaderValue::from_static(line));
            }
            let mut response = headers.clone();
            let hop = strip_request(&mut headers);
            assert_eq!(hop.upgrade.as_ref().map(|value| value.to_str().unwrap()), *expected);
            assert_eq!(strip_response(&mut response).upgrade, hop.upgrade);
            assert!(headers.is_empty() && response.is_empty());
        }
    }

    #[test]
    fn named_fields_leave_the_trailers_too() {
        let mut headers = map(&[("connection", "close, x-a")]);
        let hop = strip_request(&mut headers);
        assert_eq!(hop.named().as_deref(), Some(&[HeaderName::from_static("x-a")][..]));
        assert_eq!(RequestHop::default().named(), None);
    }

    #[test]
    fn framing_spelled_with_underscores_goes() {
        let lines = [("content_length", "1"), ("transfer_encoding", "chunked"), ("a_b", "1")];
        let (mut request, mut response) = (map(&lines), map(&lines));
        strip_request(&mut request);
        strip_response(&mut response);
        assert_eq!((left(&request), left(&response)), (vec!["a_b"], vec!["a_b"]));
    }

    proptest! {
        #[test]
        fn any_connection_value_is_survived(
            value in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let mut headers = map(&[("host", "a"), ("x-forwarded-for", "b")]);
            headers.insert(CONNECTION, value);
            strip_request(&mut headers);
            prop_assert_eq!(left(&headers), ["host", "x-forwarded-for"]);
        }
    }
}
