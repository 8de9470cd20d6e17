//! Times as they are written: RFC 3339, in UTC and whole seconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// The end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// `time` as `2026-11-26T04:07:24Z`. Before 1970 and after 9999 the nearest that can be written.
pub fn write_time(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(LAST);
    let (days, rest) = (seconds / DAY, seconds % DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The time that `text` says (RFC 3339, section 5.6), from 1970 to 9999. Fractions of a second are
/// left away; a date alone is its first second in UTC.
pub fn read_time(text: &str) -> Option<SystemTime> {
    let (date, time) = match text.get(..10).zip(text.get(10..)) {
        Some((date, "")) => (date, "T00:00:00Z"),
        Some(parts) => parts,
        None => return None,
    };
    let days = read_date(date)?;
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = (time.get(..8)?, time.get(8..)?);
    let seconds = read_clock(clock)?;
    let rest = match rest.strip_prefix('.') {
        Some(fraction) => {
            let end = fraction.find(|digit: char| !digit.is_ascii_digit())?;
            (end > 0).then(|| &fraction[end..])?
        }
        None => rest,
    };
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('+') { 1 } else { -1 };
            let offset = rest.strip_prefix(['+', '-'])?;
            let clock = (offset.len() == 5).then(|| format!("{offset}:00"))?;
            sign * i64::try_from(read_clock(&clock)?).ok()?
        }
    };
    let seconds = i64::try_from(days * DAY + seconds).ok()? - offset;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds <= LAST)?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn read_date(date: &str) -> Option<u64> {
    let mut parts = date.split('-');
    let (year, month, day) =
        (number(parts.next()?, 4)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    if parts.next().is_some() || year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let days = days_of(year, month, day)?;
    // The thirtieth of February would be the second of March.
    (civil(days) == (year, month, day)).then_some(days)
}

fn read_clock(clock: &str) -> Option<u64> {
    let mut parts = clock.split(':');
    let (hour, minute, second) =
        (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    // A leap second is the one before.
    let good = parts.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    good.then(|| hour * 3600 + minute * 60 + second.min(59))
}

fn number(text: &str, digits: usize) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Days since 1970 of a date in the Gregorian calendar. Years begin in March here, so that the day
/// that is not always there comes last.
fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    days.checked_sub(719_469)
}

/// The date so many days after the first of January 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day = days % 146_097;
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        Some(read_time(text)?.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn times_are_read_as_rfc_3339_has_them() {
        // Section 5.8, and what `date -u +%s` says.
        assert_eq!(seconds("1985-04-12T23:20:50.52Z"), Some(482_196_050));
        assert_eq!(seconds("1996-12-19T16:39:57-08:00"), Some(851_042_397));
        assert_eq!(seconds("1990-12-31T23:59:60Z"), Some(662_687_999));
        assert_eq!(seconds("2024-02-29 12:00:00+01:00"), Some(1_709_204_400));
        assert_eq!(seconds("2026-01-01"), Some(1_767_225_600));
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("9999-12-31T23:59:59Z"), Some(LAST));
        for wrong in [
            "",
            "2026",
            "2026-1-1",
            "2026-02-29T00:00:00Z",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00Z ",
            "+026-01-01",
            "1969-12-31",
            "1970-01-01T00:00:00+00:01",
            "2026-01-01T0é:00Z",
        ] {
            assert_eq!(read_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for days in 0..(LAST / DAY) {
            // Each day until 9999, at another second.
            let time = UNIX_EPOCH + Duration::from_secs(days * DAY + days % DAY);
            assert_eq!(read_time(&write_time(time)), Some(time));
        }
        assert_eq!(write_time(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
    }
}
