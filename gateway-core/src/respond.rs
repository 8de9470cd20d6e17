//! Where failures become answers: the one place.
//!
//! HTTP callers get a problem document (RFC 9457) with `Proxy-Status` (RFC 9209), gRPC callers a
//! trailers-only answer with HTTP status 200.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::body::Body;
use crate::error::{Error, GRPC_STATUS, Reason};
use crate::grpc::is_call;
use crate::message::Response;

/// Says who made a response: `gateway` or `upstream`. See
/// [`OriginHeader`](crate::forwarded::OriginHeader).
pub const ORIGIN: HeaderName = crate::forwarded::ORIGIN;

/// RFC 9209.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The name the gateway goes by in `Proxy-Status`.
pub const PROXY_NAME: &str = "gateway";

/// The problem `type` of a reason is this with the reason's code behind it.
pub const PROBLEM_TYPE: &str = "urn:gateway:problem:";

/// The reason of an answer that the gateway made: an extension of the response, for whoever
/// counts and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayGenerated(pub Reason);

/// Marks `response`, which was made of `error` in a form of its own, as made by the gateway: logs,
/// metrics and audit then know the reason and the detail.
pub fn mark(response: &mut Response, error: Error) {
    let extensions = response.extensions_mut();
    extensions.insert(GatewayGenerated(error.reason()));
    extensions.insert(ErrorSource(Arc::new(error)));
}

/// The error that a [marked](mark) response was made of.
#[derive(Clone)]
pub(crate) struct ErrorSource(pub(crate) Arc<Error>);

/// The answer to `error` for an HTTP caller.
pub fn problem(error: &Error) -> Response {
    let reason = error.reason();
    let mut response = Response::new(Body::full(document(error)));
    *response.status_mut() = reason.status();
    let headers = response.headers_mut();
    headers.reserve(6);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    common_fields(headers, error);
    if !error.allow().is_empty() || reason == Reason::ConnectNotAllowed {
        headers.insert(header::ALLOW, allow(error.allow()));
    }
    if reason.closes_connection() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.extensions_mut().insert(GatewayGenerated(reason));
    response
}

/// The answer to `error` for a gRPC caller: trailers only.
pub fn grpc(error: &Error) -> Response {
    let reason = error.reason();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(&GRPC_STATUS, HeaderValue::from(u16::from(reason.grpc_status().code())));
    let message = percent_encoded(&sentence(error));
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert("grpc-message", message);
    }
    common_fields(headers, error);
    response.extensions_mut().insert(GatewayGenerated(reason));
    response
}

/// The answer to `error` in the protocol the caller speaks.
pub fn answer(error: &Error, caller: ClientProtocol) -> Response {
    match caller {
        ClientProtocol::Http => problem(error),
        ClientProtocol::Grpc => grpc(error),
    }
}

/// The protocol a caller speaks above HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientProtocol {
    /// Plain HTTP.
    Http,
    /// gRPC: `content-type: application/grpc` in any case, with any suffix but `-web`.
    Grpc,
}

impl ClientProtocol {
    /// Who sent a request with these `headers`.
    pub fn of(method: &Method, headers: &HeaderMap) -> Self {
        if is_call(method, headers) { Self::Grpc } else { Self::Http }
    }
}

fn common_fields(headers: &mut HeaderMap, error: &Error) {
    headers.insert(ORIGIN, HeaderValue::from_static("gateway"));
    let reason = error.reason();
    let status =
        format!("{PROXY_NAME}; error={}; details=\"{}\"", reason.proxy_error(), reason.code());
    if let Ok(status) = HeaderValue::from_str(&status) {
        headers.insert(PROXY_STATUS, status);
    }
    for (name, value) in error.fields() {
        headers.append(name, value.clone());
    }
    let retry_after = error.retry_after().map(|delay| delay.as_secs_f64().ceil() as u64);
    let default = (reason.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
    if let Some(seconds) = retry_after.or(default) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// The problem document, written by hand: four members do not need a serialiser in the core.
fn document(error: &Error) -> Bytes {
    let reason = error.reason();
    let mut text = format!(
        "{{\"type\":\"{PROBLEM_TYPE}{}\",\"title\":\"{}\",\"status\":{}",
        reason.code(),
        reason.title(),
        reason.status().as_u16(),
    );
    if !error.detail().is_empty() {
        text.push_str(",\"detail\":\"");
        escape_json(error.detail(), &mut text);
        text.push('"');
    }
    text.push_str("}\n");
    text.into()
}

fn escape_json(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => {
                out.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
}

fn sentence(error: &Error) -> String {
    match error.detail() {
        "" => error.reason().title().to_owned(),
        detail => format!("{}: {detail}", error.reason().title()),
    }
}

/// `grpc-message` is percent-encoded: anything but printable ASCII, and the percent sign.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7f.. => out.push_str(&format!("%{byte:02X}")),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

fn allow(methods: &[Method]) -> HeaderValue {
    let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&list).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn every_reason_has_its_problem_document() {
        for &reason in Reason::ALL {
            let error = Error::new(reason).with_detail("a \"quoted\"\tdetail");
            let response = problem(&error);
            assert_eq!(response.status(), reason.status());
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            assert_eq!(response.headers()["x-gateway-origin"], "gateway");
            let proxy_status = response.headers()["proxy-status"].to_str().unwrap();
            assert!(proxy_status.contains(reason.proxy_error()), "{proxy_status}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let text = std::str::from_utf8(&body).unwrap();
            assert!(text.contains(&format!("\"type\":\"urn:gateway:problem:{}\"", reason.code())));
            assert!(text.contains("\"detail\":\"a \\\"quoted\\\"\\u0009detail\""), "{text}");
        }
    }

    #[test]
    fn grpc_callers_get_trailers_only() {
        let response = grpc(&Error::new(Reason::NoEndpoint).with_detail("100 %"));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert!(response.headers()["grpc-message"].to_str().unwrap().ends_with("100 %25"));
        assert_eq!(response.headers()["retry-after"], "1");
    }

    #[test]
    fn methods_that_would_be_taken_are_listed() {
        let error = Error::new(Reason::MethodNotAllowed).with_allow(vec![Method::GET, Method::PUT]);
        assert_eq!(problem(&error).headers()["allow"], "GET, PUT");
    }
}
