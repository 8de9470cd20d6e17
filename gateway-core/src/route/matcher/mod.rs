//! What a route asks of a request: host, path, methods, headers and query together.

mod header;
mod host;
mod method;
mod path;
mod query;
#[cfg(feature = "regex")]
mod regex;
mod value;

#[cfg(test)]
mod tests;

use http::Method;

pub use self::header::HeaderMatch;
pub use self::host::HostMatch;
pub use self::method::MethodMatch;
pub use self::path::PathMatch;
pub use self::query::QueryMatch;
#[cfg(feature = "regex")]
pub use self::regex::RegexMatch;
pub use self::value::ValueMatch;
use super::error::RouteError;

pub(super) use self::host::{HostKind, bare_host};
pub(super) use self::path::{Segment, Shape, Tail, is_parameter_name, literal_text, split_segment};

/// One way into a route. All of its parts must hold.
///
/// ```
/// use gateway_core::route::{RouteMatch, ValueMatch};
/// use http::Method;
///
/// let orders = RouteMatch::path("/orders/{id}")?
///     .host("api.example.com")?
///     .method(Method::GET)
///     .header("x-env", ValueMatch::exact("canary"))?
///     .query("v", ValueMatch::exact("2"));
/// # let _ = orders;
/// # Ok::<(), gateway_core::route::RouteError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteMatch {
    /// The hosts it takes. `None`: every host, and requests without one.
    pub host: Option<HostMatch>,
    /// The paths it takes. Default: the prefix `/`, which is every path.
    pub path: PathMatch,
    /// The methods it takes. Empty: every method.
    pub methods: MethodMatch,
    /// Conditions on header lines; all must hold.
    pub headers: Vec<HeaderMatch>,
    /// Conditions on query parameters; all must hold.
    pub query: Vec<QueryMatch>,
}

impl RouteMatch {
    /// Takes every request.
    #[must_use]
    pub fn any() -> Self {
        Self::on(PathMatch::any())
    }

    /// Takes an exact path or, where `{` stands in it, a template; see [`PathMatch::path`].
    ///
    /// # Errors
    ///
    /// When `path` is not a path or template.
    pub fn path(path: &str) -> Result<Self, RouteError> {
        PathMatch::path(path).map(Self::on)
    }

    /// Takes the path `prefix` and all below it; see [`PathMatch::prefix`].
    ///
    /// # Errors
    ///
    /// When `prefix` is not a path.
    pub fn prefix(prefix: &str) -> Result<Self, RouteError> {
        PathMatch::prefix(prefix).map(Self::on)
    }

    /// Takes the paths that `pattern` matches as a whole; see [`PathMatch::regex`].
    ///
    /// # Errors
    ///
    /// When `pattern` is not a regular expression.
    #[cfg(feature = "regex")]
    pub fn regex(pattern: &str) -> Result<Self, RouteError> {
        PathMatch::regex(pattern).map(Self::on)
    }

    /// Takes the paths of `path`.
    #[must_use]
    pub fn on(path: PathMatch) -> Self {
        Self {
            host: None,
            path,
            methods: MethodMatch::default(),
            headers: Vec::new(),
            query: Vec::new(),
        }
    }

    /// Asks for a host: exact, or `*.rest`.
    ///
    /// # Errors
    ///
    /// When `host` is neither; see [`HostMatch::parse`].
    pub fn host(mut self, host: &str) -> Result<Self, RouteError> {
        self.host = Some(HostMatch::parse(host)?);
        Ok(self)
    }

    /// Adds a method to those it takes.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.methods.insert(method);
        self
    }

    /// Adds methods to those it takes.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        for method in methods {
            self.methods.insert(method);
        }
        self
    }

    /// Adds a condition on the lines of the header `name`.
    ///
    /// # Errors
    ///
    /// When `name` is not a field name (RFC 9110, section 5.1).
    pub fn header(mut self, name: &str, value: ValueMatch) -> Result<Self, RouteError> {
        self.headers.push(HeaderMatch::new(name, value)?);
        Ok(self)
    }

    /// Adds a condition on the query parameter `name` (written decoded).
    #[must_use]
    pub fn query(mut self, name: &str, value: ValueMatch) -> Self {
        self.query.push(QueryMatch::new(name, value));
        self
    }
}
