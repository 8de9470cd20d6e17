//! [`CsrfFilter`].

use std::sync::Arc;

use gateway_core::context::Scheme;
use gateway_core::{Error, Reason, RequestContext, RequestExt};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request;

use super::config::{CsrfConfig, CsrfConfigError};
use crate::filter::{Filter, Flow};
use crate::origin::{Origin, Origins};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const FOREIGN: &str = "it comes from another origin";
const UNKNOWN: &str = "it does not say which origin it comes from";
const AMBIGUOUS: &str = "it says more than once where it comes from";

/// Rejects what other sites make browsers send; see the [module](super).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrfFilter {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    config: CsrfConfig,
    trusted: Origins,
}

impl CsrfFilter {
    /// Lets in what `config` says.
    ///
    /// # Errors
    ///
    /// When an origin is to be trusted that every site can have: `*`, `https://*` or `null`.
    pub fn new(config: CsrfConfig) -> Result<Self, CsrfConfigError> {
        if let Some(fault) = config.fault() {
            return Err(fault);
        }
        let trusted = Origins::new(config.trusted_origins.iter().cloned());
        Ok(Self { inner: Arc::new(Inner { config, trusted }) })
    }

    /// What it lets in.
    pub fn config(&self) -> &CsrfConfig {
        &self.inner.config
    }

    fn check(&self, head: &request::Parts) -> Result<(), &'static str> {
        let headers = &head.headers;
        let safe = head.method.is_safe() && !headers.contains_key(header::UPGRADE);
        if safe || !self.is_worth_it(headers) {
            return Ok(());
        }
        let origin = only(headers, &header::ORIGIN)?;
        if origin.is_some_and(|origin| self.inner.trusted.takes(origin)) {
            return Ok(());
        }
        if let Some(site) = only(headers, &SEC_FETCH_SITE)? {
            return match site.as_bytes() {
                b"same-origin" | b"none" => Ok(()),
                b"same-site" if self.config().same_site => Ok(()),
                _ => Err(FOREIGN),
            };
        }
        let from = match (origin, only(headers, &header::REFERER)?) {
            (Some(origin), _) => origin.to_str().ok().and_then(Origin::parse),
            (None, Some(url)) => url.to_str().ok().and_then(Origin::of_url),
            (None, None) => return Err(UNKNOWN),
        };
        if from.is_some_and(|from| is_own(&from, head)) { Ok(()) } else { Err(FOREIGN) }
    }

    /// True when the request carries one of the cookies, where some are named.
    fn is_worth_it(&self, headers: &HeaderMap) -> bool {
        let names = &self.config().cookies;
        let mut lines = headers.get_all(header::COOKIE).iter();
        names.is_empty()
            || lines.any(|line| {
                line.as_bytes().split(|&byte| byte == b';').any(|pair| {
                    let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
                    names.iter().any(|known| known.as_bytes() == name.trim_ascii())
                })
            })
    }
}

impl Filter for CsrfFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        let reject = |detail| Error::new(Reason::CrossSite).with_detail(detail);
        self.check(head).map_err(reject).into()
    }
}

/// True when the request is sent to the origin `from`.
fn is_own(from: &Origin<'_>, head: &request::Parts) -> bool {
    let context = head.context();
    let scheme = context.map_or(Scheme::Http, RequestContext::scheme);
    let asked = context.and_then(RequestContext::requested_host);
    let host = asked.or_else(|| head.headers.get(header::HOST));
    let host = host.and_then(|host| host.to_str().ok());
    host.is_some_and(|host| from.is_at(scheme.as_str(), host))
}

/// The only line of a field, where there is one.
fn only<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h HeaderValue>, &'static str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next();
    if lines.next().is_some() { Err(AMBIGUOUS) } else { Ok(line) }
}
