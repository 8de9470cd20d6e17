//! Durations and sizes as documents write them.

use std::time::Duration;

use super::reader::Field;

/// The longest duration a document can ask for: a year. More overflows somewhere.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const DURATION: &str = "a duration such as \"250ms\", \"30s\", \"5m\" or \"1h\"";
const SIZE: &str = "a size such as \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"";

/// Reads `"250ms"`, `"30s"`, `"5m"`, `"1h"`; `"0s"` is off where a timeout is meant.
pub(super) fn duration(field: &Field<'_>) -> Option<Duration> {
    let parsed = field.peek_text().and_then(parse_duration);
    match parsed {
        Some(duration) if duration <= LONGEST => Some(duration),
        Some(_) => field.reject("at most a year, \"8760h\""),
        None => field.reject(DURATION),
    }
}

/// As [`duration`], for what cannot be off.
pub(super) fn some_duration(field: &Field<'_>) -> Option<Duration> {
    match duration(field)? {
        Duration::ZERO => field.reject("more than nothing: it cannot be off"),
        duration => Some(duration),
    }
}

/// As [`duration`], for a timeout: off is as long as a duration can be.
pub(super) fn timeout(field: &Field<'_>) -> Option<Duration> {
    duration(field).map(|duration| if duration.is_zero() { LONGEST } else { duration })
}

/// True for a [`timeout`] that never comes.
pub(super) fn is_off(timeout: Duration) -> bool {
    timeout >= LONGEST
}

/// Reads `"512B"`, `"64KiB"`, `"10MiB"`, `"1GiB"`.
pub(super) fn size(field: &Field<'_>) -> Option<u64> {
    field.peek_text().and_then(parse_size).or_else(|| field.reject(SIZE))
}

/// As [`size`], where there must be room for at least a byte of it in memory.
pub(super) fn some_size(field: &Field<'_>) -> Option<usize> {
    match usize::try_from(size(field)?) {
        Ok(size) if size > 0 => Some(size),
        _ => field.reject("more than \"0B\""),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(60 * 60).map(Duration::from_secs),
        _ => None,
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit))
}

/// `duration` as a document writes it, such as `250ms`, `30s`, `5m` or `1h`.
pub fn show_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds == 0 || !milliseconds.is_multiple_of(1000) {
        format!("{milliseconds}ms")
    } else if milliseconds.is_multiple_of(3_600_000) {
        format!("{}h", milliseconds / 3_600_000)
    } else if milliseconds.is_multiple_of(60_000) {
        format!("{}m", milliseconds / 60_000)
    } else {
        format!("{}s", milliseconds / 1000)
    }
}

/// `bytes` as a document writes it, such as `512B`, `64KiB`, `10MiB` or `1GiB`.
pub fn show_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let whole = units.iter().find(|(factor, _)| bytes > 0 && bytes.is_multiple_of(*factor));
    whole.map_or_else(|| format!("{bytes}B"), |(factor, unit)| format!("{}{unit}", bytes / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("250ms", Some(Duration::from_millis(250))),
            ("30s", Some(Duration::from_secs(30))),
            ("5m", Some(Duration::from_secs(300))),
            ("1h", Some(Duration::from_secs(3600))),
            ("0s", Some(Duration::ZERO)),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("5ü", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0B", Some(0)),
            ("64KiB", Some(65_536)),
            ("10MiB", Some(10 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1KB", None),
            ("10", None),
            ("18446744073709551615KiB", None),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for text in ["0B", "512B", "1025B", "64KiB", "10MiB", "1GiB"] {
            assert_eq!(parse_size(text).map(show_size).as_deref(), Some(text));
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["250ms", "1500ms", "30s", "5m", "2h"] {
            assert_eq!(parse_duration(text).map(show_duration).as_deref(), Some(text));
        }
    }
}
