//! `Expect` (RFC 9110, section 10.1.1).

use http::{HeaderMap, HeaderValue, header};

/// The only expectation that there is.
pub(super) const CONTINUE: HeaderValue = HeaderValue::from_static("100-continue");

/// Whether all that the client expects is `100-continue`; `None` when it expects nothing.
pub(super) fn is_continue(headers: &HeaderMap) -> Option<bool> {
    let mut expectations = headers.get_all(header::EXPECT).iter().peekable();
    expectations.peek()?;
    Some(expectations.all(|value| {
        let mut members = value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        members.all(|member| member.is_empty() || member.eq_ignore_ascii_case(b"100-continue"))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expectation_counts() {
        for (lines, expected) in [
            (&[][..], None),
            (&["100-continue"], Some(true)),
            (&["100-Continue", "100-continue"], Some(true)),
            (&["100-continue, 100-continue"], Some(true)),
            (&["100-continue", "a miracle"], Some(false)),
            (&["100-continue, x=1"], Some(false)),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::EXPECT, HeaderValue::from_static(line));
            }
            assert_eq!(is_continue(&headers), expected, "{lines:?}");
        }
    }
}
