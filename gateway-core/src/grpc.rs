//! [`GrpcCall`]: a call of gRPC, whose status decides how it went.
//!
//! Nearly every gRPC response has the HTTP status 200. How the call went stands in `grpc-status`:
//! in the head of a response without messages, or in the trailers behind them.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use crate::body::{End, Ended};
use crate::error::{Error, GrpcStatus, HealthSignal};
use crate::media_type;

/// The header in which a gRPC caller states its time (gRPC over HTTP/2, "Requests").
pub static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The gRPC protocol allows this many digits.
const MOST_DIGITS: usize = 8;

/// True for a gRPC call: method POST and the media type `application/grpc`, in any case and with any
/// suffix but `-web`, whose status stands in the body.
pub fn is_call(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::POST && media_type::is_grpc(headers)
}

/// The status in the head of a gRPC response that has no messages.
pub fn head_status<B>(response: &Response<B>) -> Option<GrpcStatus> {
    let status = || GrpcStatus::in_fields(response.headers());
    (response.status() == StatusCode::OK).then(status).flatten()
}

/// The status of a response: for a gRPC call without messages (`is_call`) the HTTP status that means
/// the same as its own.
pub fn effective_status<B>(is_call: bool, response: &Response<B>) -> StatusCode {
    let own = if is_call { head_status(response) } else { None };
    own.map_or(response.status(), GrpcStatus::http_status)
}

/// The time that a gRPC caller states: digits and a unit. `None` for what cannot be read.
pub fn parse_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.len() > MOST_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// A call of gRPC, and how its outcome is judged.
#[derive(Clone, Copy, Debug)]
pub struct GrpcCall {
    /// From this moment on, a `DEADLINE_EXCEEDED` is due to the time that the client stated.
    hurried_from: Option<Instant>,
}

impl GrpcCall {
    /// The call that a request with this head, which came just now, is; `None`: another request.
    pub fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        if !is_call(method, headers) {
            return None;
        }
        let stated = headers.get(&GRPC_TIMEOUT).and_then(|text| parse_timeout(text.as_bytes()));
        // Upstreams measure from later and round: their clocks may run out a little earlier.
        let hurried_from =
            stated.and_then(|stated| Instant::now().checked_add(stated - stated / 8));
        Some(Self { hurried_from })
    }

    /// The signal of the call's status, which comes now.
    pub fn health_signal(self, status: GrpcStatus) -> HealthSignal {
        let hurried = || self.hurried_from.is_some_and(|from| Instant::now() >= from);
        if status == GrpcStatus::DeadlineExceeded && hurried() {
            return HealthSignal::Neutral;
        }
        HealthSignal::of_grpc(status)
    }

    /// The signal of a failure, or of the head of a response; `None`: the status is behind it.
    pub fn head<B: Body>(self, outcome: Result<&Response<B>, &Error>) -> Option<HealthSignal> {
        let response = match outcome {
            Ok(response) => response,
            Err(error) => return Some(error.reason().health_signal()),
        };
        if let Some(status) = head_status(response) {
            return Some(self.health_signal(status));
        }
        let is_behind = response.status() == StatusCode::OK && !response.body().is_end_stream();
        (!is_behind).then(|| HealthSignal::of_status(response.status()))
    }

    /// The signal of the end of a response whose head had none.
    pub fn end(self, ended: Ended) -> HealthSignal {
        match (ended.grpc_status, ended.end) {
            (Some(status), _) => self.health_signal(status),
            (None, End::Complete) => HealthSignal::Success,
            (None, End::Broken(reason)) => reason.health_signal(),
            (None, End::Dropped) => HealthSignal::Neutral,
        }
    }
}

/// The signal of an outcome of `call`, or of a request that is none; `None`: the response is the
/// beginning of a call's, and its [end](GrpcCall::end) decides.
pub fn health_signal<B: Body>(
    call: Option<GrpcCall>,
    outcome: Result<&Response<B>, &Error>,
) -> Option<HealthSignal> {
    match call {
        None => Some(HealthSignal::of(outcome)),
        Some(call) => call.head(outcome),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::body;
    use crate::error::Reason;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn call(lines: &[(&'static str, &'static str)]) -> Option<GrpcCall> {
        let mut headers = headers(lines);
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        GrpcCall::of(&Method::POST, &headers)
    }

    #[test]
    fn calls_are_posted() {
        let headers = headers(&[("content-type", "Application/GRPC+Proto")]);
        assert!(is_call(&Method::POST, &headers));
        assert!(!is_call(&Method::GET, &headers));
        assert!(!is_call(&Method::POST, &HeaderMap::new()));
    }

    #[test]
    fn status_decides_over_http_status() {
        let call = call(&[]).unwrap();
        for (lines, body, expected) in [
            (&[("grpc-status", "14")][..], body::Body::empty(), Some(HealthSignal::Failure)),
            (&[("grpc-status", "0")], body::Body::empty(), Some(HealthSignal::Success)),
            (&[("grpc-status", "5")], body::Body::empty(), Some(HealthSignal::Success)),
            (&[("grpc-status", "1")], body::Body::empty(), Some(HealthSignal::Neutral)),
            (&[], body::Body::empty(), Some(HealthSignal::Success)),
            (&[], body::Body::full("a message"), None),
        ] {
            let mut response = Response::new(body);
            *response.headers_mut() = headers(lines);
            assert_eq!(call.head(Ok(&response)), expected, "{lines:?}");
        }
        let mut response = Response::new(body::Body::full("no endpoint"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(call.head(Ok(&response)), Some(HealthSignal::Failure));
        let closed = Error::new(Reason::UpstreamClosed);
        assert_eq!(call.head::<body::Body>(Err(&closed)), Some(HealthSignal::Failure));
    }

    #[test]
    fn trailers_decide_where_the_head_does_not() {
        let call = call(&[]).unwrap();
        let ended = |end, grpc_status| Ended { end, bytes: 0, grpc_status };
        for (end, status, expected) in [
            (End::Complete, Some(GrpcStatus::Ok), HealthSignal::Success),
            (End::Complete, Some(GrpcStatus::Internal), HealthSignal::Failure),
            (End::Dropped, Some(GrpcStatus::Internal), HealthSignal::Failure),
            (End::Complete, None, HealthSignal::Success),
            (End::Broken(Reason::UpstreamIncomplete), None, HealthSignal::Failure),
            (End::Broken(Reason::RequestTimeout), None, HealthSignal::Neutral),
            (End::Dropped, None, HealthSignal::Neutral),
        ] {
            assert_eq!(call.end(ended(end, status)), expected, "{end:?} {status:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stated_time_that_ran_out_blames_nobody() {
        let status = GrpcStatus::DeadlineExceeded;
        assert_eq!(call(&[]).unwrap().health_signal(status), HealthSignal::Failure);
        let call = call(&[("grpc-timeout", "800m")]).unwrap();
        assert_eq!(call.health_signal(status), HealthSignal::Failure, "long before its time");
        tokio::time::advance(Duration::from_millis(700)).await;
        assert_eq!(call.health_signal(status), HealthSignal::Neutral);
        assert_eq!(call.health_signal(GrpcStatus::Unavailable), HealthSignal::Failure);
    }

    #[test]
    fn the_grpc_syntax_and_nothing_else() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("0S", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("100000000S", None),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("1.5S", None),
            ("-1S", None),
            ("+1S", None),
            (" 1S", None),
            ("1 S", None),
        ] {
            assert_eq!(parse_timeout(text.as_bytes()), expected, "{text:?}");
        }
    }
}
