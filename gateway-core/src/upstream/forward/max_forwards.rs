//! `Max-Forwards` (RFC 9110, section 7.6.2).

use http::header::{self, HeaderValue};
use http::{Method, StatusCode, request};

use crate::body::Body;
use crate::message::Response;
use crate::respond;

/// The headers of a TRACE that its response repeats: none of them is confidential.
const REFLECTED: [header::HeaderName; 3] = [header::HOST, header::MAX_FORWARDS, header::VIA];

/// Counts one hop of an OPTIONS or TRACE that counts its hops. Returns the response where it has
/// reached its last one, which is the gateway.
///
/// A value that is no number is passed on as it is.
pub(super) fn count(head: &mut request::Parts) -> Option<Response> {
    if !matches!(head.method, Method::OPTIONS | Method::TRACE) {
        return None;
    }
    let left = head.headers.get(header::MAX_FORWARDS)?.to_str().ok()?;
    if left.is_empty() || !left.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number beyond 2^64 is as good as the largest one below.
    match left.parse::<u64>().unwrap_or(u64::MAX) {
        0 => Some(last_hop(head)),
        left => {
            head.headers.insert(header::MAX_FORWARDS, (left - 1).into());
            None
        }
    }
}

fn last_hop(head: &request::Parts) -> Response {
    let mut response = Response::new(Body::empty());
    if head.method == Method::TRACE {
        *response.body_mut() = Body::full(reflection(head));
        let kind = HeaderValue::from_static("message/http");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(respond::ORIGIN, HeaderValue::from_static("gateway"));
    response
}

/// The request as the gateway got it (RFC 9110, section 9.3.8), without what may be confidential.
fn reflection(head: &request::Parts) -> Vec<u8> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut text = format!("TRACE {target} HTTP/1.1\r\n").into_bytes();
    for name in &REFLECTED {
        for value in head.headers.get_all(name) {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
    }
    text.extend_from_slice(b"\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: Method, value: &str) -> request::Parts {
        let request = http::Request::builder().method(method).header("max-forwards", value);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn counts_options_and_trace() {
        for (method, value, expected) in [
            (Method::OPTIONS, "5", Some("4")),
            (Method::TRACE, "1", Some("0")),
            (Method::OPTIONS, "0", None),
            (Method::TRACE, "000", None),
            (Method::GET, "0", Some("0")),
            (Method::OPTIONS, "", Some("")),
            (Method::OPTIONS, "+1", Some("+1")),
            (Method::OPTIONS, "99999999999999999999", Some("18446744073709551614")),
        ] {
            let mut head = head(method, value);
            let forwarded = count(&mut head).is_none();
            let left = head.headers["max-forwards"].to_str().unwrap();
            assert_eq!(forwarded.then_some(left), expected, "{value}");
        }
    }
}
