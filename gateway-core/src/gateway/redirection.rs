//! [`Redirection`]: the module that sends clients elsewhere.

use std::future::{Future, ready};

use http::header::{self, HeaderValue};

use crate::body::Body;
use crate::context::{RequestContext, Scheme};
use crate::error::{Error, Reason};
use crate::message::{Outcome, Request, RequestExt, Response};
use crate::module::ModuleService;
use crate::respond;
use crate::route::{Redirect, RedirectRequest};

/// Answers with a redirect (RFC 9110, section 15.4). `Location` is absolute.
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
        let connection = context.map(RequestContext::connection);
        let scheme = connection.map_or(Scheme::Http, |connection| connection.listener.scheme);
        let local = connection.and_then(|connection| connection.local);
        let default_port = if scheme == Scheme::Https { 443 } else { 80 };
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let path = request.uri().path();
        let location = self.redirect.location(&RedirectRequest {
            scheme: scheme.as_str(),
            host: host.unwrap_or("localhost"),
            listener_port: local.map_or(default_port, |local| local.port()),
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
