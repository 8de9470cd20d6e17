//! `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).

use std::cell::RefCell;
use std::fmt::Write;

use http::{HeaderName, HeaderValue};

use super::rule::{Level, Rule};

/// What is left of each limit now (section 4 of the draft).
pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The limits (section 3 of the draft).
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `"name";q=100;w=60` of each limit. A window that is no whole number of seconds, or none of a
/// fixed length, is left out.
pub(super) fn policy<'a>(limits: impl Iterator<Item = (&'a str, &'a Rule)>) -> Option<HeaderValue> {
    value(|text| {
        for (name, rule) in limits {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}\"{name}\";q={}", rule.limit);
            if let Some(seconds) = rule.window() {
                let _ = write!(text, ";w={seconds}");
            }
        }
    })
}

/// `"name";r=99;t=1` of each limit: how many more pass now, and in how many seconds there are more
/// than that.
pub(super) fn state<'a>(limits: impl Iterator<Item = (&'a str, &'a Level)>) -> Option<HeaderValue> {
    value(|text| {
        for (name, level) in limits {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}\"{name}\";r={}", level.remaining);
            if let Some(more) = level.more_after {
                let seconds = more.as_secs() + u64::from(more.subsec_nanos() > 0);
                let _ = write!(text, ";t={seconds}");
            }
        }
    })
}

thread_local! {
    /// Where values are written, so that each allocates once and no more than it needs.
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What is written; `None` where nothing is.
fn value(write: impl FnOnce(&mut String)) -> Option<HeaderValue> {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        write(text);
        if text.is_empty() { None } else { HeaderValue::from_str(text).ok() }
    })
}
