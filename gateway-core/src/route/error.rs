//! What is wrong with a part of a route, said where it is written.

use std::borrow::Cow;

/// A part of a route that cannot be used: where it stands, what was found, what was expected.
///
/// Displays as one line such as ``path: found `orders`, expected a path that begins with '/'``.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: found `{found}`, expected {expected}")]
pub struct RouteError {
    place: Place,
    found: String,
    expected: Cow<'static, str>,
}

/// As `Display`, for a `main` that returns the error.
impl std::fmt::Debug for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl RouteError {
    /// Says that `found` stands at `place` where `expected` should.
    pub fn new(
        place: Place,
        found: impl Into<String>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { place, found: found.into(), expected: expected.into() }
    }

    /// The part of the route.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// The text that was found there.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

/// The part of a route that a [`RouteError`] speaks of; displays as the key of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// `match.host`
    Host,
    /// `match.path`
    Path,
    /// `match.prefix`
    Prefix,
    /// A regular expression.
    Regex,
    /// `match.methods`
    Methods,
    /// `match.headers`
    Headers,
    /// `rewrite.path`
    RewritePath,
    /// `rewrite.prefix`
    RewritePrefix,
    /// `rewrite.host`
    RewriteHost,
    /// `redirect.status`
    RedirectStatus,
    /// `redirect.scheme`
    RedirectScheme,
    /// `redirect.host`
    RedirectHost,
    /// `redirect.port`
    RedirectPort,
    /// `redirect.path`
    RedirectPath,
    /// `redirect.prefix`
    RedirectPrefix,
    /// The name of an edited header.
    EditName,
    /// The value of an edited header.
    EditValue,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Host => "host",
            Self::Path => "path",
            Self::Prefix => "prefix",
            Self::Regex => "regex",
            Self::Methods => "methods",
            Self::Headers => "headers",
            Self::RewritePath => "rewrite.path",
            Self::RewritePrefix => "rewrite.prefix",
            Self::RewriteHost => "rewrite.host",
            Self::RedirectStatus => "redirect.status",
            Self::RedirectScheme => "redirect.scheme",
            Self::RedirectHost => "redirect.host",
            Self::RedirectPort => "redirect.port",
            Self::RedirectPath => "redirect.path",
            Self::RedirectPrefix => "redirect.prefix",
            Self::EditName => "header name",
            Self::EditValue => "header value",
        })
    }
}
