//! The question put to a route table, and its answer.

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
    /// The method. For a CORS preflight: the method it asks for.
    pub method: &'r Method,
    /// The header lines.
    pub headers: &'r HeaderMap,
    /// The name of the listener that took the connection.
    pub listener: &'r str,
}

impl<'r> Lookup<'r> {
    /// A lookup without host and query, on a listener without a name.
    #[must_use]
    pub const fn new(method: &'r Method, path: &'r str, headers: &'r HeaderMap) -> Self {
        Self { host: None, path, query: None, method, headers, listener: "" }
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

    /// Sets the name of the listener.
    #[must_use]
    pub const fn listener(mut self, listener: &'r str) -> Self {
        self.listener = listener;
        self
    }
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
