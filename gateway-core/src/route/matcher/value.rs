//! Conditions on the value of a header line or a query parameter.

#[cfg(feature = "regex")]
use super::RegexMatch;
#[cfg(feature = "regex")]
use crate::route::error::RouteError;

/// A condition on a value. Values are compared with regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueMatch {
    /// The value is this text.
    Exact(String),
    /// The value begins with this text.
    Prefix(String),
    /// The value ends with this text.
    Suffix(String),
    /// The value has this text in it.
    Contains(String),
    /// The whole value matches. A value that is not UTF-8 never does.
    #[cfg(feature = "regex")]
    Regex(RegexMatch),
    /// `true`: the name is there, whatever its value. `false`: it is absent.
    Present(bool),
    /// The condition inside does not hold; true when the name is absent.
    Not(Box<Self>),
}

impl ValueMatch {
    /// The value is `text`.
    pub fn exact(text: impl Into<String>) -> Self {
        Self::Exact(text.into())
    }

    /// The value begins with `text`.
    pub fn prefix(text: impl Into<String>) -> Self {
        Self::Prefix(text.into())
    }

    /// The value ends with `text`.
    pub fn suffix(text: impl Into<String>) -> Self {
        Self::Suffix(text.into())
    }

    /// The value has `text` in it.
    pub fn contains(text: impl Into<String>) -> Self {
        Self::Contains(text.into())
    }

    /// The whole value matches `pattern`.
    ///
    /// # Errors
    ///
    /// When `pattern` is not a regular expression.
    #[cfg(feature = "regex")]
    pub fn regex(pattern: &str) -> Result<Self, RouteError> {
        RegexMatch::new(pattern).map(Self::Regex)
    }

    /// The name is there (`true`) or absent (`false`).
    #[must_use]
    pub const fn present(present: bool) -> Self {
        Self::Present(present)
    }

    /// `condition` does not hold.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // The word of the document; not an operator.
    pub fn not(condition: Self) -> Self {
        Self::Not(Box::new(condition))
    }

    /// True when the condition holds for the values of one name.
    ///
    /// With several values it holds if one fulfils it, `Not` if none does.
    pub fn holds<'v>(&self, values: impl IntoIterator<Item = &'v [u8]>) -> bool {
        let mut condition = self;
        let mut wanted = true;
        while let Self::Not(inner) = condition {
            condition = inner;
            wanted = !wanted;
        }
        let mut values = values.into_iter();
        let holds = match condition {
            Self::Present(present) => values.next().is_some() == *present,
            _ => values.any(|value| condition.fits(value)),
        };
        holds == wanted
    }

    fn fits(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Contains(text) => memchr::memmem::find(value, text.as_bytes()).is_some(),
            #[cfg(feature = "regex")]
            Self::Regex(pattern) => {
                std::str::from_utf8(value).is_ok_and(|text| pattern.takes(text))
            }
            Self::Present(present) => *present,
            Self::Not(inner) => !inner.fits(value),
        }
    }
}

impl std::fmt::Display for ValueMatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(text) => write!(formatter, "exact {text:?}"),
            Self::Prefix(text) => write!(formatter, "prefix {text:?}"),
            Self::Suffix(text) => write!(formatter, "suffix {text:?}"),
            Self::Contains(text) => write!(formatter, "contains {text:?}"),
            #[cfg(feature = "regex")]
            Self::Regex(pattern) => write!(formatter, "regex {pattern}"),
            Self::Present(true) => formatter.write_str("present"),
            Self::Present(false) => formatter.write_str("absent"),
            Self::Not(inner) => write!(formatter, "not {inner}"),
        }
    }
}
