//! `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).

use std::fmt::Write;

use http::{HeaderName, HeaderValue};

use super::rule::{Level, Rule};

/// What is left of each limit now (section 4 of the draft).
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The limits (section 3 of the draft).
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Room for one limit in either field.
const ROOM: usize = 64;

/// `"name";q=100;w=60` of each limit. A window that is no whole number of seconds, or none of a
/// fixed length, is left out.
pub(super) fn policy<'a>(
    count: usize,
    limits: impl Iterator<Item = (&'a str, &'a Rule)>,
) -> Option<HeaderValue> {
    let mut text = String::with_capacity(ROOM * count);
    for (name, rule) in limits {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}\"{name}\";q={}", rule.limit);
        if let Some(seconds) = rule.window() {
            let _ = write!(text, ";w={seconds}");
        }
    }
    value(text)
}

/// `"name";r=99;t=1` of each limit: how many more pass now, and in how many seconds there are more
/// than that.
pub(super) fn state<'a>(
    count: usize,
    limits: impl Iterator<Item = (&'a str, &'a Level)>,
) -> Option<HeaderValue> {
    let mut text = String::with_capacity(ROOM * count);
    for (name, level) in limits {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}\"{name}\";r={}", level.remaining);
        if let Some(more) = level.more_after {
            let seconds = more.as_secs() + u64::from(more.subsec_nanos() > 0);
            let _ = write!(text, ";t={seconds}");
        }
    }
    value(text)
}

fn value(text: String) -> Option<HeaderValue> {
    if text.is_empty() { None } else { text.try_into().ok() }
}
