//! What can be set.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::origin::OriginPattern;

/// Methods or names that are allowed: those listed, and others where any is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed<T> {
    /// Whether any is allowed (`*`).
    pub any: bool,
    /// Those that are named.
    pub listed: Vec<T>,
}

impl<T> Allowed<T> {
    /// Any.
    pub const fn any() -> Self {
        Self { any: true, listed: Vec::new() }
    }

    /// These alone.
    pub fn only(listed: impl IntoIterator<Item = T>) -> Self {
        Self { any: false, listed: listed.into_iter().collect() }
    }
}

impl<T, I: IntoIterator<Item = T>> From<I> for Allowed<T> {
    fn from(listed: I) -> Self {
        Self::only(listed)
    }
}

/// Which other origins may ask, for what, and what of the answer their scripts may read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorsConfig {
    /// Origins that may ask. At least one.
    pub allow_origins: Vec<OriginPattern>,
    /// Methods that a preflight may ask for. Default: `GET`, `HEAD`, `POST`, which browsers send
    /// without asking too.
    pub allow_methods: Allowed<Method>,
    /// Header fields that a preflight may ask for. Any does not stand for `Authorization`, which
    /// has to be named (Fetch, "CORS non-wildcard request-header name"). Default: none.
    pub allow_headers: Allowed<HeaderName>,
    /// Fields of the answer that scripts may read, beside those that they always may. Default:
    /// none.
    pub expose_headers: Allowed<HeaderName>,
    /// Whether requests may carry cookies and other credentials of the browser. Default: `false`.
    pub allow_credentials: bool,
    /// How long a browser may remember the answer to a preflight, in whole seconds. Default: `None`,
    /// it is not said; browsers take five seconds.
    pub max_age: Option<Duration>,
}

impl CorsConfig {
    /// These origins may ask, and everything else is as it is by default.
    pub fn new(allow_origins: impl IntoIterator<Item = OriginPattern>) -> Self {
        Self {
            allow_origins: allow_origins.into_iter().collect(),
            allow_methods: Allowed::only([Method::GET, Method::HEAD, Method::POST]),
            allow_headers: Allowed::only([]),
            expose_headers: Allowed::only([]),
            allow_credentials: false,
            max_age: None,
        }
    }

    /// Methods that a preflight may ask for.
    #[must_use]
    pub fn allow_methods(mut self, methods: impl Into<Allowed<Method>>) -> Self {
        self.allow_methods = methods.into();
        self
    }

    /// Header fields that a preflight may ask for.
    #[must_use]
    pub fn allow_headers(mut self, names: impl Into<Allowed<HeaderName>>) -> Self {
        self.allow_headers = names.into();
        self
    }

    /// Fields of the answer that scripts may read.
    #[must_use]
    pub fn expose_headers(mut self, names: impl Into<Allowed<HeaderName>>) -> Self {
        self.expose_headers = names.into();
        self
    }

    /// Whether requests may carry credentials of the browser.
    #[must_use]
    pub fn allow_credentials(mut self, allowed: bool) -> Self {
        self.allow_credentials = allowed;
        self
    }

    /// How long a browser may remember the answer to a preflight.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// What makes it useless or harmful, the first of it.
    pub(super) fn fault(&self) -> Option<CorsConfigError> {
        const ORIGINS: &str = "allow_origins";
        let origins = &self.allow_origins;
        let error = |key, expected| Some(CorsConfigError { key, expected });
        if origins.is_empty() {
            return error(ORIGINS, "at least one origin");
        }
        if !self.allow_credentials {
            return None;
        }
        if origins.iter().any(OriginPattern::takes_every_host) {
            return error(
                ORIGINS,
                "origins by name: with `allow_credentials` every site could act as its visitor",
            );
        }
        if origins.iter().any(OriginPattern::is_null) {
            return error(
                ORIGINS,
                "no `null`: with `allow_credentials` every site could act as its visitor, from a \
                 sandboxed frame",
            );
        }
        if self.expose_headers.any {
            return error(
                "expose_headers",
                "names: with `allow_credentials` browsers take `*` for a name",
            );
        }
        None
    }
}

/// Settings that would be useless or harmful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsConfigError {
    key: &'static str,
    expected: &'static str,
}

impl CorsConfigError {
    /// The setting.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// What was expected of it.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

impl fmt::Display for CorsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}", self.key, self.expected)
    }
}

impl std::error::Error for CorsConfigError {}
