//! The one list of field names that the gateway owns.

use http::HeaderMap;
use http::header::HeaderName;
use smallvec::SmallVec;

/// What proxies say about a request's origin. A trusted peer may send these.
const FORWARDING: [&str; 2] = ["forwarded", "x-real-ip"];

/// Everything of this family is such a word too, whatever the rest of the name.
const FORWARDING_PREFIX: &str = "x-forwarded-";

/// What the gateway says about itself. Nobody else may send these.
const GATEWAY_PREFIX: &str = "x-gateway-";

/// Whether the gateway owns the field `name`, in any spelling.
///
/// Owned are `forwarded`, `x-real-ip` and everything that starts with `x-forwarded-` or
/// `x-gateway-`. Case does not count, and `_` reads
/// as `-`: servers that turn fields into variables cannot tell `x_forwarded_for` from the real
/// one. The request id and identity fields have configured names; see `extra` of [`strip_reserved`].
///
/// ```
/// use gateway_core::forwarded::is_reserved;
///
/// assert!(is_reserved("X_Forwarded-For"));
/// assert!(!is_reserved("x-forwarded"));
/// ```
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    is_forwarding(name) || is_gateway(name)
}

/// Deletes the fields that the gateway owns, and those named in `extra`, from a head or from
/// trailers.
///
/// `extra` are the configured names: identity fields and the request id. From a peer that is
/// not trusted every owned field goes, in every spelling. A trusted proxy's forwarding fields
/// stay, but only in their exact spelling: proxies pass `x_forwarded_for` of a client through.
/// Trailers are stripped with `trusted_peer` false, whoever the peer is: no proxy has a reason
/// to send these fields there.
///
/// Allocates nothing where there is nothing to delete: one pass over the names.
pub fn strip_reserved(headers: &mut HeaderMap, extra: &[HeaderName], trusted_peer: bool) {
    remove_where(headers, |name| {
        let text = name.as_str();
        let forwarding = is_forwarding(text) && (!trusted_peer || text.contains('_'));
        forwarding || is_gateway(text) || extra.iter().any(|own| same_field(text, own.as_str()))
    });
}

/// Deletes all forwarding fields in every spelling.
pub(super) fn strip_forwarding(headers: &mut HeaderMap) {
    remove_where(headers, |name| is_forwarding(name.as_str()));
}

/// Deletes the forwarding fields of the `x-` family in every spelling.
pub(super) fn strip_x_forwarded(headers: &mut HeaderMap) {
    remove_where(headers, |name| name.as_str().starts_with('x') && is_forwarding(name.as_str()));
}

/// Deletes every field, with all its lines, whose name fulfils `condition`.
pub(crate) fn remove_where(headers: &mut HeaderMap, condition: impl Fn(&HeaderName) -> bool) {
    let found: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| condition(name)).cloned().collect();
    for name in &found {
        headers.remove(name);
    }
}

/// Whether two names are one to somebody who ignores case and reads `_` as `-`.
pub(crate) fn same_field(left: &str, right: &str) -> bool {
    let mut pairs = left.bytes().zip(right.bytes());
    left.len() == right.len()
        && pairs.all(|(left, right)| left == right || folded(left) == folded(right))
}

fn folded(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

fn is_forwarding(name: &str) -> bool {
    // Most fields are neither x- nor f-: they are out after one byte.
    matches!(name.as_bytes().first(), Some(b'x' | b'X' | b'f' | b'F'))
        && (starts_with(name, FORWARDING_PREFIX)
            || FORWARDING.iter().any(|owned| same_field(name, owned)))
}

fn is_gateway(name: &str) -> bool {
    matches!(name.as_bytes().first(), Some(b'x' | b'X')) && starts_with(name, GATEWAY_PREFIX)
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| same_field(start, prefix))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn map(names: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in names {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name.clone(), HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
        }
        headers
    }

    fn left(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn spellings() {
        let cases = [
            ("x-forwarded-for", true),
            ("X-FORWARDED-FOR", true),
            ("x_forwarded_proto", true),
            ("X-Forwarded_Host", true),
            ("x-forwarded-port", true),
            ("x-forwarded-prefix", true),
            ("x-forwarded-server", true),
            ("x-real-ip", true),
            ("X_Real_IP", true),
            ("Forwarded", true),
            ("x-gateway-origin", true),
            ("x_gateway_", true),
            ("x-gateway", false),
            ("x-gatewayed-by", false),
            ("x-forwarded", false),
            ("x-forwarded-for-", true),
            ("x-forwarded-anything", true),
            ("x-request-id", false),
            ("host", false),
            ("from", false),
            ("", false),
            ("x-gatewä", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_reserved(name), expected, "{name}");
        }
    }

    const SENT: [&str; 8] = [
        "accept",
        "x-forwarded-for",
        "x_forwarded_for",
        "x-gateway-origin",
        "x_user_id",
        "x-user-id",
        "forwarded",
        "x-other",
    ];

    #[test]
    fn an_untrusted_peer_says_nothing() {
        let mut headers = map(&SENT);
        strip_reserved(&mut headers, &[HeaderName::from_static("x-user-id")], false);
        assert_eq!(left(&headers), ["accept", "x-other"]);
        assert_eq!(headers.len(), 4);
    }

    #[test]
    fn a_trusted_peer_forwards_in_the_exact_spelling_only() {
        let mut headers = map(&SENT);
        strip_reserved(&mut headers, &[HeaderName::from_static("x-user-id")], true);
        assert_eq!(left(&headers), ["accept", "forwarded", "x-forwarded-for", "x-other"]);
    }

    #[test]
    fn families() {
        let mut headers = map(&SENT);
        strip_x_forwarded(&mut headers);
        assert!(headers.contains_key("forwarded") && !headers.contains_key("x_forwarded_for"));
        strip_forwarding(&mut headers);
        assert!(!headers.contains_key("forwarded"));
    }
}
