//! Trailers: fields behind a body, and what may not stand there.

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderName;
use http_body::Frame;

use crate::forwarded::{is_reserved, remove_where, same_field};
use crate::hop_headers::is_connection_level;

/// Fields that change how a message is framed, routed, authenticated or understood.
const FORBIDDEN: [&str; 38] = [
    "accept-encoding",
    "age",
    "authentication-info",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-request-id",
];

/// Every `content-*` field describes a body that has already been read by then.
const CONTENT_PREFIX: &str = "content-";

/// The exceptions, computed while the body is sent (RFC 9530, 2, and its predecessor).
const CONTENT_ALLOWED: [&str; 2] = ["content-digest", "content-md5"];

/// Deletes the fields that may not be trailers, in either direction.
///
/// These are the fields of framing, routing, request control, authentication, response control
/// and content (RFC 9110, 6.5.1), the connection-level fields, those that the gateway owns, and
/// those named in `extra`: the request id and the identity fields. Case does not count and `_`
/// reads as `-`, because receivers merge trailers into variables too. What `Connection` of the
/// head named is deleted by who strips the head ([`RequestHop::named`](crate::hop_headers::RequestHop)).
///
/// Allocates nothing where there is nothing to delete.
pub fn sanitize(trailers: &mut HeaderMap, extra: &[HeaderName]) {
    remove_where(trailers, |name| {
        let text = name.as_str();
        is_forbidden(text) || extra.iter().any(|own| same_field(text, own.as_str()))
    });
}

/// The frame, its trailers [sanitized](sanitize) if it is one of trailers.
pub(crate) fn sanitize_frame(frame: Frame<Bytes>) -> Frame<Bytes> {
    frame.into_trailers().map_or_else(
        |frame| frame,
        |mut trailers| {
            sanitize(&mut trailers, &[]);
            Frame::trailers(trailers)
        },
    )
}

/// Whether `name`, in any spelling, may not be a trailer (RFC 9110, 6.5.1).
#[must_use]
pub fn is_forbidden(name: &str) -> bool {
    let content =
        name.get(..CONTENT_PREFIX.len()).is_some_and(|start| same_field(start, CONTENT_PREFIX));
    if content {
        return !CONTENT_ALLOWED.iter().any(|allowed| name.eq_ignore_ascii_case(allowed));
    }
    FORBIDDEN.iter().any(|forbidden| same_field(name, forbidden))
        || is_connection_level(name)
        || is_reserved(name)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names() {
        let allowed = [
            "grpc-status",
            "grpc-message",
            "grpc-status-details-bin",
            "server-timing",
            "etag",
            "content-digest",
            "Content-MD5",
            "repr-digest",
            "x-checksum",
        ];
        for name in allowed {
            assert!(!is_forbidden(name), "{name}");
        }
        let forbidden = [
            "Content-Length",
            "content_length",
            "content-type",
            "content_digest",
            "Transfer_Encoding",
            "host",
            "authorization",
            "set-cookie",
            "if-none-match",
            "x-forwarded-for",
            "x_forwarded_for",
            "forwarded",
            "x-gateway-origin",
            "connection",
            "te",
        ];
        for name in forbidden {
            assert!(is_forbidden(name), "{name}");
        }
    }

    #[test]
    fn every_connection_level_field_is_listed() {
        for name in ["connection", "http2_settings", "keep_alive", "te", "upgrade"] {
            assert!(is_forbidden(name), "{name}");
        }
    }

    #[test]
    fn sanitized() {
        let mut trailers = HeaderMap::new();
        for name in ["grpc-status", "x-user-id", "x_user_id", "content-length", "x-sum"] {
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("2"));
        }
        sanitize(&mut trailers, &[HeaderName::from_static("x-user-id")]);
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-sum"]);
        assert_eq!(trailers.len(), 4);
    }
}
