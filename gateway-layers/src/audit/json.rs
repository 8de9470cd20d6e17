//! [`Line`]: a JSON object in a line of ASCII.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::SystemTime;

use crate::civil;

/// An object that is being written. What is not ASCII is escaped, so that no reader, terminal or
/// log between takes it for something else.
pub(super) struct Line(String);

impl Line {
    pub(super) fn begin() -> Self {
        Self("{".to_owned())
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.0.push('"');
        escape(&mut self.0, text);
        self.0.push('"');
    }

    pub(super) fn text_of(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub(super) fn number(&mut self, name: &str, number: impl itoa::Integer) {
        self.name(name);
        self.0.push_str(itoa::Buffer::new().format(number));
    }

    /// Something whose text needs no escaping.
    pub(super) fn plain(&mut self, name: &str, plain: impl fmt::Display) {
        self.name(name);
        // Writing to a string does not fail.
        let _ = write!(self.0, "\"{plain}\"");
    }

    pub(super) fn address(&mut self, name: &str, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.plain(name, address);
        }
    }

    /// As RFC 3339 has it, in UTC with milliseconds.
    pub(super) fn time(&mut self, name: &str, time: SystemTime) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs();
        let (year, month, day) = civil::date(second / civil::DAY);
        let of_day = second % civil::DAY;
        let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
        let (second, milli) = (of_day % 60, since.subsec_millis());
        self.plain(
            name,
            format_args!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
            ),
        );
    }
}

/// Writes `text` as RFC 8259, section 7, has it.
fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            ' '..='~' => out.push(letter),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    // Writing to a string does not fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn text(text: &str) -> String {
        let mut line = Line::begin();
        line.text("a", text);
        line.end()
    }

    #[test]
    fn what_clients_say_stays_in_its_place() {
        assert_eq!(text("a\",\"b\":\"\\"), r#"{"a":"a\",\"b\":\"\\"}"#);
        assert_eq!(
            text("\r\n\u{1b}\u{202e}\u{1f512}"),
            r#"{"a":"\u000d\u000a\u001b\u202e\ud83d\udd12"}"#
        );
    }

    proptest! {
        #[test]
        fn every_text_is_a_line_of_ascii_that_reads_back(said in any::<String>()) {
            let line = text(&said);
            prop_assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            let read: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read["a"].as_str(), Some(&*said));
        }
    }

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (second, text) in [
            (0, "1970-01-01T00:00:00.045Z"),
            (951_868_799, "2000-02-29T23:59:59.045Z"),
            (1_795_683_669, "2026-11-26T09:01:09.045Z"),
        ] {
            let mut line = Line::begin();
            line.time("at", SystemTime::UNIX_EPOCH + Duration::new(second, 45_999_999));
            assert_eq!(line.end(), format!("{{\"at\":\"{text}\"}}"));
        }
    }
}
