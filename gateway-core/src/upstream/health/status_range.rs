//! [`StatusRange`]: which statuses are good.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;

/// Statuses from one to another, both included: `200` or `200-299`.
///
/// ```
/// use gateway_core::upstream::health::StatusRange;
///
/// let good = StatusRange::list("200-299, 404")?;
/// assert!(good.iter().any(|range| range.contains(http::StatusCode::NOT_FOUND)));
/// # Ok::<(), gateway_core::upstream::health::StatusRangeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// 200 to 299.
    pub const SUCCESS: Self = Self { first: 200, last: 299 };

    /// True when `status` is one of them.
    pub fn contains(self, status: StatusCode) -> bool {
        (self.first..=self.last).contains(&status.as_u16())
    }

    /// The ranges in a list with commas between them, such as `200-299, 404`.
    ///
    /// # Errors
    ///
    /// When one of them is no range.
    pub fn list(text: &str) -> Result<Vec<Self>, StatusRangeError> {
        text.split(',').map(|range| range.trim().parse()).collect()
    }
}

/// What was found is no range of statuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no range of statuses: expected 200 or 200-299, from 200 to 599")]
pub struct StatusRangeError {
    found: String,
}

impl FromStr for StatusRange {
    type Err = StatusRangeError;

    fn from_str(text: &str) -> Result<Self, StatusRangeError> {
        let wrong = || StatusRangeError { found: text.to_owned() };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| {
            // A sign would parse as well.
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.then(|| text.parse().ok()).flatten();
            number.filter(|number| (200..=599).contains(number)).ok_or_else(wrong)
        };
        let (first, last) = (number(first.trim())?, number(last.trim())?);
        if first > last { Err(wrong()) } else { Ok(Self { first, last }) }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_range_is_rejected() {
        for text in ["", "2", "20-30", "299-200", "200-", "-200", "199", "600", "+20", "200-2x9"] {
            let error = text.parse::<StatusRange>().unwrap_err().to_string();
            assert!(error.contains("expected"), "{text}: {error}");
        }
        assert!(StatusRange::list("200,").is_err());
        assert_eq!(StatusRange::list("204 , 200 - 299").unwrap()[1], StatusRange::SUCCESS);
    }

    proptest! {
        #[test]
        fn a_range_is_printed_as_it_is_read(first in 200_u16..600, count in 0_u16..400) {
            let range = StatusRange { first, last: (first + count).min(599) };
            prop_assert_eq!(range.to_string().parse(), Ok(range));
            for status in 200..600 {
                let inside = status >= range.first && status <= range.last;
                prop_assert_eq!(range.contains(StatusCode::from_u16(status).unwrap()), inside);
            }
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,12}") {
            let _ = text.parse::<StatusRange>();
        }
    }
}
