//! What a client says about its patience.

use std::time::Duration;

use gateway_core::context::{GRPC_TIMEOUT, REQUEST_DEADLINE_MS};
use http::HeaderMap;

/// The gRPC protocol allows this many digits.
const GRPC_DIGITS: usize = 8;

/// The shortest budget any of the fields states. A field that cannot be read states none: its
/// sender gets the route's timeout, which is all it could have had.
pub(super) fn stated(headers: &HeaderMap) -> Option<Duration> {
    let grpc = headers.get_all(&GRPC_TIMEOUT).into_iter();
    let milliseconds = headers.get_all(&REQUEST_DEADLINE_MS).into_iter();
    let grpc = grpc.map(|value| (&GRPC_TIMEOUT, parse_grpc(value.as_bytes())));
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

/// Digits and a unit: hours, minutes, seconds, milli-, micro- or nanoseconds.
fn parse_grpc(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.len() > GRPC_DIGITS {
        return None;
    }
    let number = parse_digits(digits)?;
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
            assert_eq!(parse_grpc(text.as_bytes()), expected, "{text:?}");
        }
    }

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
