//! Redirects: where the client is sent instead.

use http::StatusCode;

use super::error::{Place, RouteError};
use super::matcher::{HostMatch, bare_host, literal_text};
use super::rewrite::{prefix_text, replace_prefix};

/// An answer that sends the client elsewhere (RFC 9110, section 15.4).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308. Default: 302.
    pub status: StatusCode,
    /// `http` or `https`. `None`: the request's.
    pub scheme: Option<String>,
    /// Without port. `None`: the request's.
    pub host: Option<String>,
    /// `None`: the scheme's own where `scheme` or `host` is given, else the request's.
    pub port: Option<u16>,
    /// Replaces the path.
    pub path: Option<String>,
    /// Replaces the matched prefix; needs a prefix match.
    pub prefix: Option<String>,
}

/// What a [`Redirect`] has to know of a request.
#[derive(Debug, Clone, Copy)]
pub struct RedirectRequest<'r> {
    /// `http` or `https`, as the client asked.
    pub scheme: &'r str,
    /// The authority that the client asked for: a host, with a port where it is not the scheme's.
    pub host: &'r str,
    /// The normalised path.
    pub path: &'r str,
    /// The text after `?`.
    pub query: Option<&'r str>,
    /// What follows the matched prefix ([`super::PathMatch::after_prefix`]), if it was a prefix.
    pub after_prefix: Option<&'r str>,
}

impl Redirect {
    /// A redirect to where the request already is, with 302; setters say what differs.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            status: StatusCode::FOUND,
            scheme: None,
            host: None,
            port: None,
            path: None,
            prefix: None,
        }
    }

    /// Sets the status: 301, 302, 303, 307 or 308.
    ///
    /// # Errors
    ///
    /// For any other status.
    pub fn status(mut self, status: u16) -> Result<Self, RouteError> {
        let known = matches!(status, 301 | 302 | 303 | 307 | 308);
        self.status = StatusCode::from_u16(status).ok().filter(|_| known).ok_or_else(|| {
            let expected = "301, 302, 303, 307 or 308";
            RouteError::new(Place::RedirectStatus, status.to_string(), expected)
        })?;
        Ok(self)
    }

    /// Sets the scheme.
    ///
    /// # Errors
    ///
    /// When it is neither `http` nor `https`.
    pub fn scheme(mut self, scheme: &str) -> Result<Self, RouteError> {
        if !matches!(scheme, "http" | "https") {
            return Err(RouteError::new(Place::RedirectScheme, scheme, "`http` or `https`"));
        }
        self.scheme = Some(scheme.to_owned());
        Ok(self)
    }

    /// Sets the host, without port.
    ///
    /// # Errors
    ///
    /// When it is not one host name or address.
    pub fn host(mut self, host: &str) -> Result<Self, RouteError> {
        if host.contains('*') || HostMatch::parse(host).is_err() {
            let expected = "a host name or address without port";
            return Err(RouteError::new(Place::RedirectHost, host, expected));
        }
        self.host = Some(host.to_owned());
        Ok(self)
    }

    /// Sets the port.
    ///
    /// # Errors
    ///
    /// For port 0.
    pub fn port(mut self, port: u16) -> Result<Self, RouteError> {
        if port == 0 {
            return Err(RouteError::new(Place::RedirectPort, "0", "a port from 1 to 65535"));
        }
        self.port = Some(port);
        Ok(self)
    }

    /// Replaces the path; instead of an earlier `prefix`.
    ///
    /// # Errors
    ///
    /// When `path` is no path.
    pub fn path(mut self, path: &str) -> Result<Self, RouteError> {
        self.path = Some(literal_text(Place::RedirectPath, path)?);
        self.prefix = None;
        Ok(self)
    }

    /// Replaces the matched prefix as [`super::Rewrite::prefix`] does, and an earlier `path`.
    ///
    /// # Errors
    ///
    /// When `prefix` is neither empty nor a path.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, RouteError> {
        self.prefix = Some(prefix_text(Place::RedirectPrefix, prefix)?);
        self.path = None;
        Ok(self)
    }

    /// The absolute `Location` for a request (RFC 9110, section 10.2.2). The query is kept.
    #[must_use]
    pub fn location(&self, request: &RedirectRequest<'_>) -> String {
        let scheme = self.scheme.as_deref().unwrap_or(request.scheme);
        let host = self.host.as_deref().unwrap_or_else(|| bare_host(request.host));
        let default_port = if scheme == "https" { 443 } else { 80 };
        let port = match (self.port, &self.scheme, &self.host) {
            (Some(port), ..) => port,
            (None, None, None) => port_of(request.host).unwrap_or(default_port),
            (None, ..) => default_port,
        };
        let mut location = format!("{scheme}://{host}");
        if port != default_port {
            location.push(':');
            location.push_str(&port.to_string());
        }
        match (&self.path, &self.prefix, request.after_prefix) {
            (Some(path), ..) => location.push_str(path),
            (None, Some(prefix), Some(rest)) => location.push_str(&replace_prefix(prefix, rest)),
            _ => location.push_str(request.path),
        }
        if let Some(query) = request.query {
            location.push('?');
            location.push_str(query);
        }
        location
    }
}

/// The port that an authority has behind its host.
fn port_of(authority: &str) -> Option<u16> {
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok().filter(|port| *port != 0)
}

impl Default for Redirect {
    fn default() -> Self {
        Self::new()
    }
}
