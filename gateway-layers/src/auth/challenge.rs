//! [`Challenge`]: what `WWW-Authenticate` says.

use std::fmt::Write as _;

use http::HeaderValue;

/// A challenge of `WWW-Authenticate` (RFC 9110, section 11.6.1): a scheme, what is protected, and
/// why what was sent is not taken.
///
/// ```
/// use gateway_layers::auth::Challenge;
///
/// let challenge = Challenge::new("Bearer", "orders").parameter("error", "invalid_token");
/// assert_eq!(challenge.value(), "Bearer realm=\"orders\", error=\"invalid_token\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Challenge {
    text: String,
}

impl Challenge {
    /// Credentials of `scheme` are wanted for `realm`. Of texts here and below, quotes, backslashes
    /// and what is not printable are left away.
    pub fn new(scheme: &str, realm: &str) -> Self {
        let scheme: String = scheme.chars().filter(|letter| is_token(*letter)).collect();
        Self { text: format!("{scheme} realm=\"{}\"", quotable(realm)) }
    }

    /// Says `value` under `name` as well.
    pub fn parameter(mut self, name: &'static str, value: &str) -> Self {
        // Writing to a string does not fail.
        let _ = write!(self.text, ", {name}=\"{}\"", quotable(value));
        self
    }

    /// The field's value.
    pub fn value(&self) -> HeaderValue {
        // What is left of any text is printable.
        HeaderValue::from_str(&self.text).unwrap_or_else(|_| HeaderValue::from_static("Bearer"))
    }
}

fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

/// What of `text` may stand between quotes as it is.
fn quotable(text: &str) -> String {
    let may = |letter: &char| (' '..='~').contains(letter) && !matches!(letter, '"' | '\\');
    text.chars().filter(may).collect()
}
