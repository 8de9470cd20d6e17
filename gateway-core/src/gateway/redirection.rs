//! [`Redirection`]: the module that sends clients elsewhere.

use std::future::{Future, ready};

use http::header::{self, HeaderValue};
use http::uri::Authority;

use crate::body::Body;
use crate::context::{RequestContext, Scheme};
use crate::error::{Error, Reason};
use crate::message::{Outcome, Request, RequestExt, Response};
use crate::module::ModuleService;
use crate::respond;
use crate::route::{Redirect, RedirectRequest};

/// Answers with a redirect (RFC 9110, section 15.4). `Location` is absolute: scheme, host and port
/// that the redirect does not set are those that the client asked for, by `Host`, or by the
/// `X-Forwarded-*` headers of a trusted proxy.
#[derive(Clone, Debug)]
pub struct Redirection {
    redirect: Redirect,
}

impl Redirection {
    /// Sends clients where `redirect` says.
    pub fn new(redirect: Redirect) -> Self {
        Self { redirect }
    }

    fn answer(&self, request: &Request) -> Outcome {
        let context = request.context();
        let scheme = context.map_or(Scheme::Http, RequestContext::scheme);
        let asked = context.and_then(RequestContext::requested_host).and_then(authority);
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let target = context.and_then(RequestContext::target).unwrap_or(request.uri());
        let path = target.path();
        let location = self.redirect.location(&RedirectRequest {
            scheme: scheme.as_str(),
            host: asked.or(host).unwrap_or("localhost"),
            path,
            query: request.uri().query(),
            after_prefix: context
                .and_then(RequestContext::after_prefix)
                .and_then(|at| path.get(at..)),
        });
        let location = HeaderValue::from_str(&location)
            .map_err(|problem| Error::new(Reason::RewriteFailed).with_source(problem))?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.redirect.status;
        response.headers_mut().insert(header::LOCATION, location);
        response.headers_mut().insert(respond::ORIGIN, HeaderValue::from_static("gateway"));
        Ok(response)
    }
}

/// The host that a trusted proxy reports, where it is one and nothing else.
fn authority(host: &HeaderValue) -> Option<&str> {
    let text = host.to_str().ok()?;
    let authority: Authority = text.parse().ok()?;
    (!text.contains('@') && !authority.host().is_empty()).then_some(text)
}

/// Sends the client of `request` to where its listener says.
pub(super) fn to_https(request: &Request) -> Outcome {
    let context = request.context().map(RequestContext::connection);
    let to = context.and_then(|connection| connection.listener.redirect).unwrap_or_default();
    if !request.headers().contains_key(header::HOST) {
        return Err(Error::new(Reason::HostInvalid).with_detail("no host to redirect to"));
    }
    let mut redirect = Redirect::new();
    redirect.status = to.status;
    redirect.scheme = Some(Scheme::Https.as_str().to_owned());
    redirect.port = Some(to.port);
    Redirection::new(redirect).answer(request)
}

impl ModuleService for Redirection {
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        ready(self.answer(&request))
    }
}
