//! `Retry-After` (RFC 9110, section 10.2.3), read.

use std::time::Duration;

use gateway_core::Clock;
use http::header::{HeaderMap, RETRY_AFTER};

/// The wait that `headers` ask for: seconds, or the time until a date. The longest of several.
/// What cannot be read asks for nothing.
pub(super) fn asked_for(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).into_iter();
    values.filter_map(|value| parse(value.to_str().ok()?.trim(), clock)).max()
}

fn parse(text: &str, clock: &dyn Clock) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than can be expressed are as good as forever.
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(clock.now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    struct Fixed(SystemTime);

    impl Clock for Fixed {
        fn now(&self) -> SystemTime {
            self.0
        }
    }

    #[test]
    fn seconds_dates_and_nonsense() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let clock = Fixed(UNIX_EPOCH + Duration::from_secs(784_111_777));
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            (" 120 ", Some(Duration::from_secs(120))),
            ("99999999999999999999999", Some(Duration::MAX)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(Duration::from_secs(3))),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(Duration::ZERO)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            assert_eq!(asked_for(&headers, &clock), None);
            headers.append(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(asked_for(&headers, &clock), expected, "{text:?}");
        }
    }

    #[test]
    fn the_longest_of_several() {
        let mut headers = HeaderMap::new();
        for text in ["1", "soon", "3", "2"] {
            headers.append(RETRY_AFTER, text.parse().unwrap());
        }
        let clock = Fixed(UNIX_EPOCH);
        assert_eq!(asked_for(&headers, &clock), Some(Duration::from_secs(3)));
    }
}
