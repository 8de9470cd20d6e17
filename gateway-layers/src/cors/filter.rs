//! [`CorsFilter`].

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

use gateway_core::route::preflight_method;
use gateway_core::{Body, Error, Reason, RequestExt, Response, respond};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, request};

use super::answer::Answer;
use super::config::{Allowed, CorsConfig, CorsConfigError};
use crate::filter::{Filter, Flow};
use crate::origin::Origins;

/// Answers preflights, and lets scripts of allowed origins read answers; see the [module](super).
#[derive(Clone)]
pub struct CorsFilter {
    cors: Arc<Cors>,
}

/// The settings, as they are asked and said.
pub(super) struct Cors {
    config: CorsConfig,
    origins: Origins,
    /// Said of every origin, where that does no harm.
    origin: Option<HeaderValue>,
    /// What preflights are told, where it does not depend on what they ask.
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    pub(super) expose: Option<HeaderValue>,
}

/// What the answer to a preflight depends on.
const PREFLIGHT_VARY: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

const STAR: HeaderValue = HeaderValue::from_static("*");

impl CorsFilter {
    /// Lets in what `config` says.
    ///
    /// # Errors
    ///
    /// When no origin is allowed, or when every origin, `null` or every field of the answer is,
    /// with credentials.
    pub fn new(config: CorsConfig) -> Result<Self, CorsConfigError> {
        if let Some(fault) = config.fault() {
            return Err(fault);
        }
        let origins = Origins::new(config.allow_origins.iter().cloned());
        // With credentials, browsers take a star for a name: what is asked for is said instead.
        let credentials = config.allow_credentials;
        let cors = Cors {
            origin: origins.takes_any().then_some(STAR),
            methods: said(&config.allow_methods, credentials, Method::as_str),
            headers: said(&config.allow_headers, credentials, HeaderName::as_str),
            max_age: config.max_age.map(|age| HeaderValue::from(age.as_secs())),
            expose: said(&config.expose_headers, credentials, HeaderName::as_str),
            origins,
            config,
        };
        Ok(Self { cors: Arc::new(cors) })
    }

    /// What it lets in.
    pub fn config(&self) -> &CorsConfig {
        &self.cors.config
    }

    fn preflight(&self, asked: &Method, origin: Option<&HeaderValue>, head: &HeaderMap) -> Flow {
        match self.cors.preflight(asked, origin, head) {
            Ok(headers) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                *response.headers_mut() = headers;
                Flow::Answer(response)
            }
            Err(detail) => Flow::Reject(
                Error::new(Reason::PreflightRejected)
                    .with_detail(detail)
                    .with_field(header::VARY, PREFLIGHT_VARY),
            ),
        }
    }
}

impl Filter for CorsFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        let origin = self.cors.allowed_origin(&head.headers);
        if let Some(asked) = preflight_method(&head.method, &head.headers) {
            return self.preflight(&asked, origin, &head.headers);
        }
        if let Some(context) = head.context() {
            let answer = Answer { cors: Arc::clone(&self.cors), origin: origin.cloned() };
            context.edit_response(Arc::new(answer));
        }
        Flow::Continue
    }
}

impl Cors {
    /// The request's origin, where it has one and that one is allowed.
    fn allowed_origin<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let mut lines = headers.get_all(header::ORIGIN).iter();
        let origin = lines.next()?;
        (lines.next().is_none() && self.origins.takes(origin)).then_some(origin)
    }

    /// Says that `origin` may read the answer.
    pub(super) fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        let said = self.origin.as_ref().filter(|_| origin != "null").unwrap_or(origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, said.clone());
        if self.config.allow_credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }

    /// The fields of the answer, or what is not allowed.
    fn preflight(
        &self,
        asked: &Method,
        origin: Option<&HeaderValue>,
        head: &HeaderMap,
    ) -> Result<HeaderMap, Cow<'static, str>> {
        let origin = origin.ok_or("the origin is not allowed")?;
        let methods = &self.config.allow_methods;
        if !methods.any && !methods.listed.contains(asked) {
            return Err(format!("the method {asked} is not allowed").into());
        }
        let asked_headers = self.asked_headers(head)?;
        let mut headers = HeaderMap::with_capacity(8);
        self.allow(origin, &mut headers);
        let methods = self.methods.clone().or_else(|| HeaderValue::from_str(asked.as_str()).ok());
        let names = self.headers.clone().or_else(|| HeaderValue::from_str(&asked_headers).ok());
        let fields = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, names.filter(|names| !names.is_empty())),
            (header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone()),
            (header::VARY, Some(PREFLIGHT_VARY)),
            (respond::ORIGIN, Some(HeaderValue::from_static("gateway"))),
        ];
        headers.extend(fields.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Ok(headers)
    }

    /// The names that a preflight asks for, as they are said again where any is allowed; or the one
    /// that is not.
    fn asked_headers(&self, head: &HeaderMap) -> Result<String, Cow<'static, str>> {
        let allowed = &self.config.allow_headers;
        let mut names = String::new();
        for line in head.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            for name in line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                if name.is_empty() {
                    continue;
                }
                let Ok(name) = HeaderName::from_bytes(name) else {
                    return Err("a name that is no header field's is asked for".into());
                };
                let any = allowed.any && name != header::AUTHORIZATION;
                if !any && !allowed.listed.contains(&name) {
                    return Err(format!("the header field {name} is not allowed").into());
                }
                let comma = if names.is_empty() { "" } else { ", " };
                let _ = write!(names, "{comma}{name}");
            }
        }
        Ok(names)
    }
}

/// What is said of `allowed`; `None`: nothing, or what is asked for.
fn said<T>(
    allowed: &Allowed<T>,
    credentials: bool,
    text: impl Fn(&T) -> &str,
) -> Option<HeaderValue> {
    if allowed.any && credentials {
        return None;
    }
    let star = allowed.any.then_some("*");
    let names: Vec<_> = star.into_iter().chain(allowed.listed.iter().map(text)).collect();
    let line = HeaderValue::from_str(&names.join(", ")).ok();
    line.filter(|line| !line.is_empty())
}

impl PartialEq for CorsFilter {
    fn eq(&self, other: &Self) -> bool {
        self.config() == other.config()
    }
}

impl fmt::Debug for CorsFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CorsFilter").field(self.config()).finish()
    }
}
