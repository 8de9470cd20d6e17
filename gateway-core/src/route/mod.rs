//! Routes: what a request must be like, and what becomes of it.
//!
//! A [`Route`] has one or several [`RouteMatch`]es, edits, and a target of the embedder's choice.
//! A [`RouteTable`] takes all routes at once, reports every [`TableProblem`], and then finds the
//! route of a request without allocating. [`RouteTable::explain`] says of every route why it did
//! or did not take a request.
//!
//! ```
//! use gateway_core::route::{Found, Lookup, Route, RouteMatch, RouteTable};
//! use http::{HeaderMap, Method};
//!
//! let table = RouteTable::build(vec![
//!     Route::new("orders", "a").matching(RouteMatch::path("/orders/{id}")?),
//!     Route::new("rest", "b").matching(RouteMatch::any()),
//! ])?;
//!
//! let headers = HeaderMap::new();
//! let Found::Route(hit) = table.find(&Lookup::new(&Method::GET, "/orders/7", &headers)) else {
//!     return Err("no route".into());
//! };
//! assert_eq!(hit.route.id, "orders");
//! assert_eq!(hit.params.value("/orders/7", "id"), Some("7"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod explain;
mod headers;
mod lookup;
mod matcher;
mod precedence;
mod redirect;
mod rewrite;
mod table;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::error::{Place, RouteError};
pub use self::explain::{Considered, MatchOutcome, Predicate};
pub use self::headers::HeaderEdits;
pub use self::lookup::{Found, Lookup, RouteHit, preflight_method};
#[cfg(feature = "regex")]
pub use self::matcher::RegexMatch;
pub use self::matcher::{
    HeaderMatch, HostMatch, MethodMatch, PathMatch, QueryMatch, RouteMatch, ValueMatch,
};
pub use self::precedence::TieBreak;
pub use self::redirect::{Redirect, RedirectRequest};
pub use self::rewrite::{PathRewrite, Rewrite, RewriteTemplate};
pub use self::table::{RouteTable, Severity, TableProblem, TableProblems};
pub use crate::context::{Metadata, PathParams};

/// One route: its matches, its edits and its target.
///
/// Setters take the words of the document. `T` is what the route leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route<T> {
    /// The name, unique in a table.
    pub id: String,
    /// The ways into the route; any of them.
    pub matches: Vec<RouteMatch>,
    /// Higher wins before anything else. Default: 0.
    pub priority: i32,
    /// Whether the route takes requests. Default: `true`.
    pub enabled: bool,
    /// What the embedder wants to know of the route.
    pub metadata: Metadata,
    /// The names of the listeners it belongs to. Empty: every listener.
    pub listeners: Vec<String>,
    /// Whether a CORS preflight is matched as the method it asks for, because something in front of
    /// the target answers it. Default: `false`, where it is an `OPTIONS` like any other.
    pub preflight: bool,
    /// How the request is rewritten for the target.
    pub rewrite: Option<Rewrite>,
    /// Edits of the request's header fields.
    pub request_headers: HeaderEdits,
    /// Edits of the response's header fields.
    pub response_headers: HeaderEdits,
    /// The target contains policies and applies [`rewrite`](Self::rewrite) and
    /// [`request_headers`](Self::request_headers) itself, behind them, with
    /// [`TargetEdits`](crate::TargetEdits). Default: `false`, where the gateway applies both
    /// before it calls the target.
    pub target_applies_edits: bool,
    /// How long a tunnel (WebSocket) of the route may be idle before it is closed. `None`: as the
    /// listener has it.
    pub tunnel_idle: Option<Duration>,
    /// What the route leads to.
    pub target: T,
}

impl<T> Route<T> {
    /// A route without matches; [`Route::matching`] adds them.
    pub fn new(id: impl Into<String>, target: T) -> Self {
        Self {
            id: id.into(),
            matches: Vec::new(),
            priority: 0,
            enabled: true,
            metadata: Metadata::default(),
            listeners: Vec::new(),
            preflight: false,
            rewrite: None,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            target_applies_edits: false,
            tunnel_idle: None,
            target,
        }
    }

    /// Adds a way into the route (`match` in the document).
    #[must_use]
    pub fn matching(mut self, matching: RouteMatch) -> Self {
        self.matches.push(matching);
        self
    }

    /// Sets the priority; higher wins before anything else.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Sets whether the route takes requests.
    #[must_use]
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Sets the metadata.
    #[must_use]
    pub fn metadata(mut self, metadata: impl Into<Metadata>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Adds a listener that the route belongs to.
    #[must_use]
    pub fn listener(mut self, listener: impl Into<String>) -> Self {
        self.listeners.push(listener.into());
        self
    }

    /// Sets whether a CORS preflight is matched as the method it asks for.
    #[must_use]
    pub fn preflight(mut self, preflight: bool) -> Self {
        self.preflight = preflight;
        self
    }

    /// Sets how the request is rewritten.
    #[must_use]
    pub fn rewrite(mut self, rewrite: Rewrite) -> Self {
        self.rewrite = Some(rewrite);
        self
    }

    /// Sets the edits of the request's header fields.
    #[must_use]
    pub fn request_headers(mut self, edits: HeaderEdits) -> Self {
        self.request_headers = edits;
        self
    }

    /// Sets the edits of the response's header fields.
    #[must_use]
    pub fn response_headers(mut self, edits: HeaderEdits) -> Self {
        self.response_headers = edits;
        self
    }

    /// Sets whether the target applies rewrite and request header edits itself, behind the policies
    /// that it contains; see [`TargetEdits`](crate::TargetEdits).
    #[must_use]
    pub fn target_applies_edits(mut self, applies: bool) -> Self {
        self.target_applies_edits = applies;
        self
    }

    /// Sets how long a tunnel (WebSocket) of the route may be idle before it is closed. Default: as
    /// the listener has it.
    #[must_use]
    pub fn tunnel_idle(mut self, idle: Duration) -> Self {
        self.tunnel_idle = Some(idle);
        self
    }

    /// True when the route belongs to `listener`.
    #[must_use]
    pub fn is_on(&self, listener: &str) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|name| name == listener)
    }
}
