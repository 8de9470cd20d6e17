//! What a client says about its patience.

use std::time::Duration;

use gateway_core::context::{GRPC_TIMEOUT, REQUEST_DEADLINE_MS};
use gateway_core::grpc::parse_timeout;
use http::HeaderMap;

/// The shortest budget any of the fields states. A field that cannot be read states none: its
/// sender gets the route's timeout, which is all it could have had.
pub(super) fn stated(headers: &HeaderMap) -> Option<Duration> {
    let grpc = headers.get_all(&GRPC_TIMEOUT).into_iter();
    let milliseconds = headers.get_all(&REQUEST_DEADLINE_MS).into_iter();
    let grpc = grpc.map(|value| (&GRPC_TIMEOUT, parse_timeout(value.as_bytes())));
    let milliseconds = milliseconds.map(|value| {
        let value = parse_milliseconds(value.as_bytes());
        (&REQUEST_DEADLINE_MS, value)
    });
    grpc.chain(milliseconds)
        .filter_map(|(field, budget)| {
            if budget.is_none() {
                tracing::debug!(%field, "a client's budget cannot be read");
            }
            budget
        })
        .min()
}

fn parse_milliseconds(text: &[u8]) -> Option<Duration> {
    parse_digits(text).map(Duration::from_millis)
}

/// Digits only: what the standard parser takes beyond them, a sign, is not in the syntax.
fn parse_digits(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_digits() {
        for (text, expected) in [
            ("250", Some(Duration::from_millis(250))),
            ("0", Some(Duration::ZERO)),
            ("", None),
            ("-1", None),
            ("1e3", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(parse_milliseconds(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn the_shortest_counts_and_nonsense_does_not() {
        let mut headers = HeaderMap::new();
        assert_eq!(stated(&headers), None);
        headers.append(&GRPC_TIMEOUT, "soon".parse().unwrap());
        assert_eq!(stated(&headers), None);
        headers.append(&GRPC_TIMEOUT, "2S".parse().unwrap());
        headers.append(&REQUEST_DEADLINE_MS, "1500".parse().unwrap());
        headers.append(&REQUEST_DEADLINE_MS, "1900".parse().unwrap());
        assert_eq!(stated(&headers), Some(Duration::from_millis(1500)));
    }
}
