//! [`Question`]: what the service is asked about a request.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::context::Principal;
use gateway_core::{Body, Error, Reason, Request, RequestContext, RequestExt};
use http::header::{HOST, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::guard::Settings;
use super::path::NoPath;
use crate::http_client::question;

/// What the gateway says itself of a client, at its door.
static SAID_BY_US: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];

/// What joins a question to its request where both are looked at. Nobody decides by these.
pub(super) static TRACING: [HeaderName; 3] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];

/// The fields in which the service is told what is asked for; `None`: it is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginalFields {
    /// The method. Default: `x-original-method`.
    pub method: Option<HeaderName>,
    /// Path and query, as the gateway has understood them, before any rewrite. Default:
    /// `x-original-uri`.
    pub uri: Option<HeaderName>,
    /// The host. Default: `x-original-host`.
    pub host: Option<HeaderName>,
    /// The address of the client. Default: not told; proxies have told it in `x-forwarded-for`.
    pub address: Option<HeaderName>,
}

impl Default for OriginalFields {
    fn default() -> Self {
        Self {
            method: Some(HeaderName::from_static("x-original-method")),
            uri: Some(HeaderName::from_static("x-original-uri")),
            host: Some(HeaderName::from_static("x-original-host")),
            address: None,
        }
    }
}

impl OriginalFields {
    pub(super) fn names(&self) -> [Option<&HeaderName>; 4] {
        [self.method.as_ref(), self.uri.as_ref(), self.host.as_ref(), self.address.as_ref()]
    }
}

/// A question, and until when it has to be answered.
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) deadline: Instant,
    /// The time is over for the request itself then.
    pub(super) is_last: bool,
}

impl Settings {
    /// What the service is asked about `request`.
    pub(super) fn question(&self, request: &Request) -> Result<Question, Error> {
        let context = request.context();
        let principal = context.and_then(RequestContext::principal).map(Arc::as_ref);
        let path = self.path.fill(principal).map_err(|why| match why {
            NoPath::Nobody => Error::new(Reason::Unauthenticated),
            NoPath::Unfit => Error::new(Reason::Forbidden),
        })?;
        let mut asked = question(self.method.clone(), path, "*/*", Body::empty());
        let headers = asked.headers_mut();
        let copied = SAID_BY_US.iter().chain(&TRACING).chain(&self.headers);
        for name in copied {
            headers.remove(name);
            for value in request.headers().get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        self.write_original(request, &mut asked);
        self.write_identity(principal, &mut asked)?;
        let (deadline, is_last) = give_time(request.context(), &mut asked, self.timeout);
        Ok(Question { request: asked, deadline, is_last })
    }

    /// In these fields nothing is left of what a client sent.
    fn write_original(&self, request: &Request, asked: &mut Request) {
        let context = request.context();
        let target = context.and_then(RequestContext::target).unwrap_or(request.uri());
        let target = target.path_and_query().map_or("/", |target| target.as_str());
        let requested_host = context.and_then(RequestContext::requested_host);
        let requested_host = requested_host.or_else(|| request.headers().get(HOST));
        let address = context.and_then(RequestContext::client_ip).map(|ip| ip.to_string());
        let [method, uri, host, client] = self.original.names();
        let values = [
            (method, HeaderValue::from_str(request.method().as_str()).ok()),
            (uri, HeaderValue::from_str(target).ok()),
            (host, requested_host.cloned()),
            (client, address.and_then(|address| HeaderValue::try_from(address).ok())),
        ];
        let headers = asked.headers_mut();
        for (name, value) in values {
            let Some(name) = name else { continue };
            headers.remove(name);
            if let Some(value) = value {
                headers.insert(name.clone(), value);
            }
        }
    }

    fn write_identity(
        &self,
        principal: Option<&Principal>,
        asked: &mut Request,
    ) -> Result<(), Error> {
        let headers = asked.headers_mut();
        self.identity.names().iter().for_each(|name| drop(headers.remove(name)));
        let Some(principal) = principal else { return Ok(()) };
        let fields = self
            .identity
            .of(principal)
            .map_err(|untold| Error::new(Reason::Forbidden).with_source(untold))?;
        headers.extend(fields);
        Ok(())
    }
}

/// Gives a question its part of the time that its request has.
fn give_time(
    context: Option<&RequestContext>,
    asked: &mut Request,
    timeout: Duration,
) -> (Instant, bool) {
    let now = Instant::now();
    let most = now + timeout;
    let Some(context) = context else { return (most, false) };
    let deadline = context.deadline().map_or(most, |own| own.min(most));
    // Its own: what happens to the question is no part of what happens to the request.
    let own = RequestContext::new(Arc::clone(context.connection()), now);
    own.set_deadline(deadline);
    asked.extensions_mut().insert(own);
    (deadline, deadline < most)
}
