//! Edits of header fields.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{Place, RouteError};

/// Header fields that are set, added and removed, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HeaderEdits {
    /// Each replaces all lines of its name.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Each becomes one more line.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// All lines of these names go.
    pub remove: Vec<HeaderName>,
}

impl HeaderEdits {
    /// No edits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all lines of `name` by one of `value`.
    ///
    /// # Errors
    ///
    /// When `name` or `value` cannot stand in a header (RFC 9110, section 5), or `name` is one of
    /// framing, hop-by-hop (section 7.6.1) or `host`.
    pub fn set(mut self, name: &str, value: &str) -> Result<Self, RouteError> {
        self.set.push((editable(name)?, field_value(value)?));
        Ok(self)
    }

    /// Adds a line of `name`.
    ///
    /// # Errors
    ///
    /// As [`HeaderEdits::set`].
    pub fn add(mut self, name: &str, value: &str) -> Result<Self, RouteError> {
        self.add.push((editable(name)?, field_value(value)?));
        Ok(self)
    }

    /// Removes all lines of `name`.
    ///
    /// # Errors
    ///
    /// As [`HeaderEdits::set`].
    pub fn remove(mut self, name: &str) -> Result<Self, RouteError> {
        self.remove.push(editable(name)?);
        Ok(self)
    }

    /// True when there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    /// Edits `headers`: set, then add, then remove.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
        for name in &self.remove {
            headers.remove(name);
        }
    }
}

/// Reads a name that edits may touch.
fn editable(name: &str) -> Result<HeaderName, RouteError> {
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| RouteError::new(Place::EditName, name, "a header name"))?;
    if parsed == HOST {
        let expected = "another header (`rewrite.host` sets the host)";
        return Err(RouteError::new(Place::EditName, name, expected));
    }
    let rejected = [CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    if rejected.contains(&parsed) || matches!(parsed.as_str(), "keep-alive" | "proxy-connection") {
        let expected = "a header that does not frame the message or belong to the connection";
        return Err(RouteError::new(Place::EditName, name, expected));
    }
    Ok(parsed)
}

fn field_value(value: &str) -> Result<HeaderValue, RouteError> {
    HeaderValue::from_str(value)
        .map_err(|_| RouteError::new(Place::EditValue, value, "text without control characters"))
}
