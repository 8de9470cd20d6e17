//! [`ExternalAuthBuilder`].

use std::time::Duration;

use gateway_core::Module;
use gateway_core::forwarded::is_reserved;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method};

use super::allowed::PrincipalFields;
use super::cache::Cache;
use super::guard::{ExternalAuth, Settings};
use super::path::{PathInvalid, PathTemplate};
use super::question::OriginalFields;
use crate::auth::forward::Forward;

/// The service has so much time. Default: 1 s.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Most bytes of the body of a rejection that the client gets: 64 KiB. A larger one is left away.
pub const MAX_BODY: usize = 64 * 1024;

/// Nothing takes, or holds for, more than this: an hour.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// Fields that belong to a connection, frame a body or tell where it goes: those of the question
/// are the gateway's own.
const NOT_COPIED: [&str; 17] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Builds an [`ExternalAuth`].
#[derive(Debug)]
#[must_use]
pub struct ExternalAuthBuilder {
    module: Module,
    path: String,
    method: Method,
    timeout: Duration,
    headers: Vec<HeaderName>,
    original: OriginalFields,
    identity: Forward,
    upstream_headers: Vec<HeaderName>,
    response_headers: Vec<HeaderName>,
    rejection_headers: Vec<HeaderName>,
    principal: PrincipalFields,
    cache: Option<(Duration, usize)>,
}

/// Why nobody can be asked as it was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalAuthError {
    /// The path cannot be asked.
    #[error(transparent)]
    Path(#[from] PathInvalid),
    /// Only GET and POST ask without doing anything else.
    #[error("{0} asks nobody, expected GET or POST")]
    Method(Method),
    /// A field that belongs to a connection, frames a body, or is the gateway's own.
    #[error("{0} cannot be in `{1}`")]
    Field(HeaderName, &'static str),
    /// A time, or a number, that cannot be meant.
    #[error("{0}")]
    Setting(&'static str),
}

impl ExternalAuthBuilder {
    pub(super) fn new(module: Module, path: impl Into<String>) -> Self {
        Self {
            module,
            path: path.into(),
            method: Method::GET,
            timeout: DEFAULT_TIMEOUT,
            headers: vec![AUTHORIZATION],
            original: OriginalFields::default(),
            identity: Forward::new(),
            upstream_headers: Vec::new(),
            response_headers: Vec::new(),
            rejection_headers: vec![WWW_AUTHENTICATE, LOCATION, RETRY_AFTER, CACHE_CONTROL],
            principal: PrincipalFields::default(),
            cache: None,
        }
    }

    /// The method of the question, `GET` or `POST`, with an empty body. Default: `GET`.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// How much time the service has; less where the request itself has less. Default: 1 s, at most
    /// an hour.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The fields of the request that the service is told. Default: `authorization`.
    pub fn headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.headers = names.into_iter().collect();
        self
    }

    /// The fields in which the service is told what is asked for. Default: `x-original-method`,
    /// `x-original-uri`, `x-original-host`.
    pub fn original(mut self, original: OriginalFields) -> Self {
        self.original = original;
        self
    }

    /// What the service is told of who is calling, where that is known already. Default: nothing.
    pub fn identity(mut self, identity: Forward) -> Self {
        self.identity = identity;
        self
    }

    /// The fields of the answer that the upstream gets, all lines of each. What the service does
    /// not say of them is removed from the request, in every spelling, and from its trailers.
    /// Default: none.
    pub fn upstream_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.upstream_headers = names.into_iter().collect();
        self
    }

    /// The fields of the answer to an allowed request that the client gets, beside those of the
    /// upstream, such as `set-cookie`. Default: none.
    pub fn response_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.response_headers = names.into_iter().collect();
        self
    }

    /// The fields of a rejection that the client gets, beside its status, its body and what describes
    /// that. Default: `www-authenticate`, `location`, `retry-after` and `cache-control`.
    pub fn rejection_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.rejection_headers = names.into_iter().collect();
        self
    }

    /// The fields of the answer that say who is calling, where nobody is known yet. Default: none.
    pub fn principal(mut self, fields: PrincipalFields) -> Self {
        self.principal = fields;
        self
    }

    /// What the service allows holds for `ttl` for requests about which it would be asked the same,
    /// at most so many. An answer with fields for the client is not kept. Default: it is asked each
    /// time.
    pub fn cache(mut self, ttl: Duration, entries: usize) -> Self {
        self.cache = Some((ttl, entries));
        self
    }

    /// The guard.
    ///
    /// # Errors
    ///
    /// What cannot be meant: see [`ExternalAuthError`].
    pub fn build(self) -> Result<ExternalAuth, ExternalAuthError> {
        let path = PathTemplate::parse(&self.path)?;
        if self.method != Method::GET && self.method != Method::POST {
            return Err(ExternalAuthError::Method(self.method));
        }
        if self.timeout.is_zero() || self.timeout > MAX_DURATION {
            return Err(ExternalAuthError::Setting(
                "timeout is more than nothing, at most an hour",
            ));
        }
        if self
            .cache
            .is_some_and(|(ttl, entries)| ttl.is_zero() || ttl > MAX_DURATION || entries == 0)
        {
            return Err(ExternalAuthError::Setting(
                "a cache has at least one entry, for more than nothing and at most an hour",
            ));
        }
        self.check_fields()?;
        let settings = Settings {
            module: self.module,
            path,
            method: self.method,
            timeout: self.timeout,
            headers: self.headers,
            original: self.original,
            identity: self.identity,
            upstream_headers: self.upstream_headers.into(),
            response_headers: self.response_headers,
            rejection_headers: self.rejection_headers,
            principal: self.principal,
            cache: self.cache.map(|(ttl, entries)| Cache::new(ttl, entries)),
        };
        Ok(ExternalAuth::new(settings))
    }

    fn check_fields(&self) -> Result<(), ExternalAuthError> {
        let lists: [(&'static str, Vec<&HeaderName>); 6] = [
            ("headers", self.headers.iter().collect()),
            ("original", self.original.names().into_iter().flatten().collect()),
            ("identity", self.identity.names().iter().collect()),
            ("upstream_headers", self.upstream_headers.iter().collect()),
            ("response_headers", self.response_headers.iter().collect()),
            ("rejection_headers", self.rejection_headers.iter().collect()),
        ];
        for (list, names) in lists {
            let wrong = names
                .into_iter()
                .find(|name| NOT_COPIED.contains(&name.as_str()) || is_reserved(name.as_str()));
            if let Some(name) = wrong {
                return Err(ExternalAuthError::Field(name.clone(), list));
            }
        }
        Ok(())
    }
}

/// All lines of the fields `names`.
pub(super) fn copied(from: &HeaderMap, names: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
    let mut copied = Vec::new();
    for name in names {
        copied.extend(from.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
    copied
}
