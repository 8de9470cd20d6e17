//! Conditions on headers.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::ValueMatch;
use crate::route::error::{Place, RouteError};

/// A condition on the lines of one header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderMatch {
    /// The field name; compared without regard to case.
    pub name: HeaderName,
    /// The condition on its lines, each without surrounding blanks.
    pub value: ValueMatch,
}

impl HeaderMatch {
    /// A condition on the lines of `name`.
    ///
    /// # Errors
    ///
    /// When `name` is not a field name (RFC 9110, section 5.1).
    pub fn new(name: &str, value: ValueMatch) -> Result<Self, RouteError> {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| RouteError::new(Place::Headers, name, "a header name"))?;
        Ok(Self { name, value })
    }

    /// True when the condition holds: for one line, or as `not` for none.
    #[must_use]
    pub fn takes(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(&self.name);
        self.value.holds(lines.iter().map(HeaderValue::as_bytes).map(<[u8]>::trim_ascii))
    }
}

impl std::fmt::Display for HeaderMatch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.name, self.value)
    }
}
