//! Media types of messages (RFC 9110, section 8.3.1): their case does not count.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The media type of `Content-Type` as it was sent, without parameters.
///
/// ```
/// use gateway_core::media_type;
/// use http::{HeaderMap, HeaderValue, header};
///
/// let mut headers = HeaderMap::new();
/// headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("Text/HTML; charset=utf-8"));
/// assert_eq!(media_type::essence(&headers), Some("Text/HTML"));
/// assert!(media_type::is(&headers, "text/html"));
/// ```
#[must_use]
pub fn essence(headers: &HeaderMap) -> Option<&str> {
    let line = headers.get(CONTENT_TYPE)?.as_bytes();
    let essence = line.split(|byte| *byte == b';').next()?;
    std::str::from_utf8(essence).ok().map(str::trim_ascii)
}

/// Whether `Content-Type` has the media type `expected`, whatever its case and parameters.
#[must_use]
pub fn is(headers: &HeaderMap, expected: &str) -> bool {
    essence(headers).is_some_and(|found| found.eq_ignore_ascii_case(expected))
}

/// Whether `Content-Type` is gRPC: `application/grpc` with any suffix but `-web`.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &str = "application/grpc";
    essence(headers).is_some_and(|found| {
        let (start, rest) = found.split_at_checked(GRPC.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(GRPC) && (rest.is_empty() || rest.starts_with('+'))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(text.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn case_and_parameters_do_not_count() {
        for same in ["text/event-stream", "Text/Event-Stream", "TEXT/EVENT-STREAM ; charset=utf-8"]
        {
            assert!(is(&of(same), "text/event-stream"), "{same}");
        }
        for other in ["text/event-streams", "text/plain; x=text/event-stream", "", "text/ä"] {
            assert!(!is(&of(other), "text/event-stream"), "{other}");
        }
        assert!(!is(&HeaderMap::new(), "text/event-stream"));
    }

    #[test]
    fn grpc_has_suffixes() {
        for grpc in ["application/grpc", "Application/gRPC", "application/GRPC+proto; a=b"] {
            assert!(is_grpc(&of(grpc)), "{grpc}");
        }
        for other in ["application/grpc-web", "application/grp", "application/grpcx", "text/plain"]
        {
            assert!(!is_grpc(&of(other)), "{other}");
        }
    }
}
