//! What remains of a request's time, for the upstream.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use crate::context::{GRPC_TIMEOUT, REQUEST_DEADLINE_MS};

/// Tells the upstream what remains, in the words in which the client stated its own limit. A
/// client that stated none is not spoken for: its upstream may not know these words.
pub(super) fn pass_on(headers: &mut HeaderMap, remaining: Duration) {
    let milliseconds = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX).max(1);
    if headers.contains_key(&GRPC_TIMEOUT)
        && let Ok(value) = HeaderValue::from_str(&grpc(milliseconds))
    {
        headers.insert(&GRPC_TIMEOUT, value);
    }
    if headers.contains_key(&REQUEST_DEADLINE_MS) {
        headers.insert(&REQUEST_DEADLINE_MS, HeaderValue::from(milliseconds));
    }
}

/// In gRPC's syntax: at most eight digits and a unit, never more than remains.
fn grpc(milliseconds: u64) -> String {
    const MOST: u64 = 99_999_999;
    match milliseconds {
        0..=MOST => format!("{milliseconds}m"),
        _ => format!("{}S", (milliseconds / 1000).min(MOST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stated_is_told_what_remains() {
        let mut headers = HeaderMap::new();
        pass_on(&mut headers, Duration::from_secs(1));
        assert!(headers.is_empty());
        headers.insert(&GRPC_TIMEOUT, "5S".parse().unwrap());
        headers.insert(&REQUEST_DEADLINE_MS, "5000".parse().unwrap());
        pass_on(&mut headers, Duration::from_micros(1_999_900));
        assert_eq!(headers[&GRPC_TIMEOUT], "1999m");
        assert_eq!(headers[&REQUEST_DEADLINE_MS], "1999");
        pass_on(&mut headers, Duration::ZERO);
        assert_eq!(headers[&REQUEST_DEADLINE_MS], "1");
    }

    #[test]
    fn eight_digits_at_most() {
        assert_eq!(grpc(99_999_999), "99999999m");
        assert_eq!(grpc(100_000_000), "100000S");
        assert_eq!(grpc(u64::MAX), "99999999S");
    }
}
