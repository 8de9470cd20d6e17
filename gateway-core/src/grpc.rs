//! [`GrpcCall`]: a call of gRPC, whose status decides how it went.
//!
//! Nearly every gRPC response has the HTTP status 200. How the call went stands in `grpc-status`:
//! in the head of a response without messages, or in the trailers behind them.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use crate::body::{End, Ended};
use crate::error::{Error, GrpcStatus, Verdict};
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

    /// The verdict of the call's status, which comes now.
    pub fn verdict(self, status: GrpcStatus) -> Verdict {
        let hurried = || self.hurried_from.is_some_and(|from| Instant::now() >= from);
        if status == GrpcStatus::DeadlineExceeded && hurried() {
            return Verdict::Neither;
        }
        Verdict::of_grpc(status)
    }

    /// The verdict of a failure, or of the head of a response; `None`: the status is behind it.
    pub fn head<B: Body>(self, outcome: Result<&Response<B>, &Error>) -> Option<Verdict> {
        let response = match outcome {
            Ok(response) => response,
            Err(error) => return Some(error.reason().verdict()),
        };
        if let Some(status) = head_status(response) {
            return Some(self.verdict(status));
        }
        let is_behind = response.status() == StatusCode::OK && !response.body().is_end_stream();
        (!is_behind).then(|| Verdict::of_status(response.status()))
    }

    /// The verdict of the end of a response whose head had none.
    pub fn end(self, ended: Ended) -> Verdict {
        match (ended.grpc_status, ended.end) {
            (Some(status), _) => self.verdict(status),
            (None, End::Complete) => Verdict::Success,
            (None, End::Broken(reason)) => reason.verdict(),
            (None, End::Dropped) => Verdict::Neither,
        }
    }
}

/// The verdict of an outcome of `call`, or of a request that is none; `None`: the response is the
/// beginning of a call's, and its [end](GrpcCall::end) decides.
pub fn verdict<B: Body>(
    call: Option<GrpcCall>,
    outcome: Result<&Response<B>, &Error>,
) -> Option<Verdict> {
    match call {
        None => Some(Verdict::of(outcome)),
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
            (&[("grpc-status", "14")][..], body::Body::empty(), Some(Verdict::Failure)),
            (&[("grpc-status", "0")], body::Body::empty(), Some(Verdict::Success)),
            (&[("grpc-status", "5")], body::Body::empty(), Some(Verdict::Success)),
            (&[("grpc-status", "1")], body::Body::empty(), Some(Verdict::Neither)),
            (&[], body::Body::empty(), Some(Verdict::Success)),
            (&[], body::Body::full("a message"), None),
        ] {
            let mut response = Response::new(body);
            *response.headers_mut() = headers(lines);
            assert_eq!(call.head(Ok(&response)), expected, "{lines:?}");
        }
        let mut response = Response::new(body::Body::full("no endpoint"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(call.head(Ok(&response)), Some(Verdict::Failure));
        let closed = Error::new(Reason::UpstreamClosed);
        assert_eq!(call.head::<body::Body>(Err(&closed)), Some(Verdict::Failure));
    }

    #[test]
    fn trailers_decide_where_the_head_does_not() {
        let call = call(&[]).unwrap();
        let ended = |end, grpc_status| Ended { end, bytes: 0, grpc_status };
        for (end, status, expected) in [
            (End::Complete, Some(GrpcStatus::Ok), Verdict::Success),
            (End::Complete, Some(GrpcStatus::Internal), Verdict::Failure),
            (End::Dropped, Some(GrpcStatus::Internal), Verdict::Failure),
            (End::Complete, None, Verdict::Success),
            (End::Broken(Reason::UpstreamIncomplete), None, Verdict::Failure),
            (End::Broken(Reason::RequestTimeout), None, Verdict::Neither),
            (End::Dropped, None, Verdict::Neither),
        ] {
            assert_eq!(call.end(ended(end, status)), expected, "{end:?} {status:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stated_time_that_ran_out_blames_nobody() {
        let status = GrpcStatus::DeadlineExceeded;
        assert_eq!(call(&[]).unwrap().verdict(status), Verdict::Failure);
        let call = call(&[("grpc-timeout", "800m")]).unwrap();
        assert_eq!(call.verdict(status), Verdict::Failure, "long before its time");
        tokio::time::advance(Duration::from_millis(700)).await;
        assert_eq!(call.verdict(status), Verdict::Neither);
        assert_eq!(call.verdict(GrpcStatus::Unavailable), Verdict::Failure);
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
