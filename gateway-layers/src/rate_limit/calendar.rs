//! Days and months in UTC.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::civil::{self, DAY};

/// A day or a month, by its number, and how long it still lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) number: u64,
    pub(super) left: Duration,
}

/// The day of `now`.
pub(super) fn day(now: SystemTime) -> Period {
    let since = since_1970(now);
    let number = since.as_secs() / DAY;
    Period { number, left: Duration::from_secs((number + 1) * DAY).saturating_sub(since) }
}

/// The month of `now`.
pub(super) fn month(now: SystemTime) -> Period {
    let since = since_1970(now);
    let (year, month, _) = civil::date(since.as_secs() / DAY);
    let number = year * 12 + month - 1;
    let end = first_day(number + 1) * DAY;
    Period { number, left: Duration::from_secs(end).saturating_sub(since) }
}

fn since_1970(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The day on which a month begins, counted from 1970.
fn first_day(month: u64) -> u64 {
    let (year, month) = (month / 12, month % 12 + 1);
    let year = if month <= 2 { year - 1 } else { year };
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5;
    days.saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        httpdate::parse_http_date(text).unwrap()
    }

    #[test]
    fn months_end_where_the_calendar_says() {
        for (now, next) in [
            ("Sat, 21 Nov 2026 11:00:00 GMT", "Tue, 01 Dec 2026 00:00:00 GMT"),
            ("Thu, 31 Dec 2026 23:59:59 GMT", "Fri, 01 Jan 2027 00:00:00 GMT"),
            ("Thu, 01 Feb 2024 00:00:00 GMT", "Fri, 01 Mar 2024 00:00:00 GMT"),
            ("Wed, 01 Feb 2023 00:00:00 GMT", "Wed, 01 Mar 2023 00:00:00 GMT"),
            ("Mon, 28 Feb 2000 12:00:00 GMT", "Wed, 01 Mar 2000 00:00:00 GMT"),
        ] {
            let period = month(at(now));
            assert_eq!(at(now) + period.left, at(next), "{now}");
            assert_eq!(month(at(next)).number, period.number + 1);
            assert_eq!(month(at(next) - Duration::from_nanos(1)).number, period.number);
        }
    }

    #[test]
    fn days_end_at_midnight() {
        let now = at("Sat, 21 Nov 2026 11:00:00 GMT");
        assert_eq!(day(now).left, Duration::from_secs(13 * 3600));
        assert_eq!(day(now + day(now).left).number, day(now).number + 1);
    }
}
