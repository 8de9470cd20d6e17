//! What is logged, as lines of text.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use gateway_core::{Clock, Reason, RequestRejected, SystemClock};

use super::{Finished, TARGET, detail, escape, failed};
use crate::civil;

pub(super) fn finished(line: &mut String, finished: &Finished<'_>) {
    let Finished { event, attempt, variant, fallback } = finished;
    let context = event.context;
    let mut line = Line::begin(line, SystemClock.now(), "request");
    line.text("method", event.method.as_str());
    line.text("path", event.path);
    line.number("status", event.status.as_u16());
    if let Some(status) = event.grpc_status {
        line.number("grpc_status", status.code());
    }
    line.text_of("reason", event.reason.map(Reason::code));
    line.text_of("detail", finished.detail());
    if let Some(cause) = finished.cause() {
        line.shown("cause", cause);
    }
    line.text_of("route", context.route().map(|route| &*route.id));
    line.text_of("variant", variant.as_deref());
    if let Some(attempt) = attempt {
        line.text("cluster", &attempt.cluster);
        line.text("endpoint", &attempt.endpoint);
    }
    line.number("attempts", context.record().attempts());
    if let Some(fallback) = fallback {
        line.text("fallback", &fallback.name);
        line.text("fallback_for", failed(fallback));
        line.text_of("fallback_failure", fallback.failure.as_deref());
    }
    if let Some(client) = context.client_ip() {
        line.address("client", client);
    }
    line.milliseconds("duration_ms", event.duration);
    if let Some(head_after) = event.head_after {
        line.milliseconds("head_ms", head_after);
    }
    line.number("bytes", event.bytes);
    line.text("end", finished.end());
    line.number("generation", context.generation());
    line.end();
}

pub(super) fn rejected(line: &mut String, event: &RequestRejected<'_>) {
    let mut line = Line::begin(line, SystemClock.now(), "rejected");
    let reason = event.error.reason();
    line.number("status", reason.status().as_u16());
    line.text("reason", reason.code());
    line.text_of("detail", detail(event.error));
    if let Some(client) = event.connection.peer_ip() {
        line.address("client", client);
    }
    line.end();
}

/// A line that is being written.
struct Line<'a> {
    out: &'a mut String,
}

impl<'a> Line<'a> {
    /// Writes what stands before the fields.
    fn begin(out: &'a mut String, now: SystemTime, message: &str) -> Self {
        let mut line = Self { out };
        line.time(now);
        line.out.push_str("  INFO ");
        line.out.push_str(TARGET);
        line.out.push_str(": ");
        line.out.push_str(message);
        line
    }

    fn end(self) {
        self.out.push('\n');
    }

    fn name(&mut self, name: &str) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push('=');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        escape::text(self.out, text);
    }

    fn text_of(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn shown(&mut self, name: &str, shown: impl fmt::Display) {
        self.name(name);
        escape::shown(self.out, shown);
    }

    fn number(&mut self, name: &str, number: impl itoa::Integer) {
        self.name(name);
        self.out.push_str(itoa::Buffer::new().format(number));
    }

    /// With three places, rounded.
    fn milliseconds(&mut self, name: &str, duration: Duration) {
        let micros = (duration.as_nanos() + 500) / 1000;
        self.number(name, micros / 1000);
        self.out.push('.');
        self.digits((micros % 1000) as u32, 3);
    }

    fn address(&mut self, name: &str, address: IpAddr) {
        self.name(name);
        match address {
            IpAddr::V4(address) => {
                for (place, byte) in address.octets().into_iter().enumerate() {
                    if place > 0 {
                        self.out.push('.');
                    }
                    self.out.push_str(itoa::Buffer::new().format(byte));
                }
            }
            // Writing to a string does not fail.
            IpAddr::V6(address) => drop(write!(self.out, "{address}")),
        }
    }

    /// As RFC 3339 has it, in UTC with microseconds.
    fn time(&mut self, now: SystemTime) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs();
        let (year, month, day) = civil::date(second / civil::DAY);
        let of_day = (second % civil::DAY) as u32;
        self.digits(year as u32, 4);
        for (before, number) in [
            ('-', month as u32),
            ('-', day as u32),
            ('T', of_day / 3600),
            (':', of_day / 60 % 60),
            (':', of_day % 60),
        ] {
            self.out.push(before);
            self.digits(number, 2);
        }
        self.out.push('.');
        self.digits(since.subsec_micros(), 6);
        self.out.push('Z');
    }

    /// In so many places, with zeros in front.
    fn digits(&mut self, number: u32, places: u32) {
        let mut power = 10_u32.pow(places - 1);
        while power > 0 {
            self.out.push(char::from(b'0' + (number / power % 10) as u8));
            power /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(make: impl FnOnce(&mut Line<'_>)) -> String {
        let mut out = String::new();
        make(&mut Line { out: &mut out });
        out
    }

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (text, second) in [
            ("1970-01-01T00:00:00", 0),
            ("2000-02-29T23:59:59", 951_868_799),
            ("2026-11-26T09:01:09", 1_795_683_669),
            ("2100-03-01T00:00:00", 4_107_542_400),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::new(second, 45_678);
            assert_eq!(line(|line| line.time(at)), format!("{text}.000045Z"));
        }
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for (nanos, text) in
            [(0, "0.000"), (499, "0.000"), (1_234_500, "1.235"), (9_999_999_600, "10000.000")]
        {
            let written = line(|line| line.milliseconds("ms", Duration::from_nanos(nanos)));
            assert_eq!(written, format!(" ms={text}"));
        }
        for address in ["127.0.0.1", "255.10.0.99", "2001:db8::1"] {
            let written = line(|line| line.address("client", address.parse().unwrap()));
            assert_eq!(written, format!(" client={address}"));
        }
        assert_eq!(line(|line| line.number("bytes", u64::MAX)), format!(" bytes={}", u64::MAX));
    }
}
