//! The question put to a route table, and its answer.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, Method};

use super::{PathParams, Route};

/// What a route table has to know of a request.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'r> {
    /// The host as received; a port and one trailing dot are ignored.
    pub host: Option<&'r str>,
    /// The path in its normal form ([`crate::path::normalize`]).
    pub path: &'r str,
    /// The text after `?`.
    pub query: Option<&'r str>,
    /// The method.
    pub method: &'r Method,
    /// The method that a CORS preflight asks for, which counts for routes that take preflights
    /// ([`Route::preflight`]); `None`: the request is none. See [`preflight_method`].
    pub preflight: Option<&'r Method>,
    /// The header lines.
    pub headers: &'r HeaderMap,
    /// The name of the listener that took the connection.
    pub listener: &'r str,
}

impl<'r> Lookup<'r> {
    /// A lookup without host and query, on a listener without a name.
    #[must_use]
    pub const fn new(method: &'r Method, path: &'r str, headers: &'r HeaderMap) -> Self {
        Self { host: None, path, query: None, method, preflight: None, headers, listener: "" }
    }

    /// Sets the host.
    #[must_use]
    pub const fn host(mut self, host: &'r str) -> Self {
        self.host = Some(host);
        self
    }

    /// Sets the query, without its `?`.
    #[must_use]
    pub const fn query(mut self, query: &'r str) -> Self {
        self.query = Some(query);
        self
    }

    /// Sets the method that a CORS preflight asks for.
    #[must_use]
    pub const fn preflight(mut self, asked: Option<&'r Method>) -> Self {
        self.preflight = asked;
        self
    }

    /// Sets the name of the listener.
    #[must_use]
    pub const fn listener(mut self, listener: &'r str) -> Self {
        self.listener = listener;
        self
    }
}

impl Lookup<'_> {
    /// The method that decides about a route: the one that is asked for, where the request is a
    /// preflight and the route takes those.
    pub(super) fn method_for(&self, takes_preflights: bool) -> &Method {
        match self.preflight {
            Some(asked) if takes_preflights => asked,
            _ => self.method,
        }
    }
}

/// The method that a CORS preflight asks for (Fetch, "CORS-preflight fetch"); `None`: the request
/// is no preflight.
///
/// A preflight is an `OPTIONS` with an `Origin` and with one line of
/// `Access-Control-Request-Method` that is a method. Anything else is an ordinary request, so that
/// nobody gets round what stands before a target by asking wrongly.
#[must_use]
pub fn preflight_method(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    let mut lines = headers.get_all(ACCESS_CONTROL_REQUEST_METHOD).iter();
    let asked = Method::from_bytes(lines.next()?.as_bytes()).ok()?;
    lines.next().is_none().then_some(asked)
}

/// What a route table says to a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Found<'t, T> {
    /// This route takes it.
    Route(RouteHit<'t, T>),
    /// Some route takes it but for its method: the methods of all those routes, sorted, each once,
    /// for `Allow` (RFC 9110, section 15.5.6).
    MethodNotAllowed(Vec<Method>),
    /// No route takes it.
    NotFound,
}

impl<'t, T> Found<'t, T> {
    /// The hit, if a route takes the request.
    #[must_use]
    pub fn hit(self) -> Option<RouteHit<'t, T>> {
        match self {
            Self::Route(hit) => Some(hit),
            _ => None,
        }
    }
}

/// The route that takes a request, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RouteHit<'t, T> {
    /// The route.
    pub route: &'t Route<T>,
    /// Its place in the table: [`super::RouteTable::routes`].
    pub index: usize,
    /// The place in [`Route::matches`] of the match that took the request.
    pub matched: usize,
    /// The parameters of the path.
    pub params: PathParams,
}
