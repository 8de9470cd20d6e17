//! Forwarding: a request out, its answer back, failures as [`Error`]s that say where.

mod exchange;
mod http1;
mod http2;
mod received;

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Version, request};
use tokio::time::Instant;

use super::cluster::{HostPolicy, Shared};
use super::endpoint::{Endpoint, EndpointAddress, Transport};
use crate::body::Body;
use crate::context::{Attempt, RequestContext};
use crate::error::Error;
use crate::message::{Outcome, Request};
use crate::observe::{AttemptFinished, Observer};
use crate::replay::is_idempotent;

/// Forwards `request` to one of the cluster's endpoints.
pub(super) async fn forward(cluster: &Arc<Shared>, request: Request) -> Outcome {
    cluster.start_sweeping();
    let endpoint = cluster.pick()?;
    let started = Instant::now();
    let (mut call, body) = Call::new(cluster, endpoint, request, started);
    let outcome = match endpoint.address().transport() {
        Transport::Http | Transport::Https | Transport::Unix => {
            http1::forward(cluster, endpoint.enter(), &mut call, body).await
        }
        // Boxed: hyper's futures are large, and moved also for those who do not need them.
        Transport::H2c => {
            Box::pin(http2::forward(cluster, endpoint.enter(), &mut call, body)).await
        }
    };
    if !cluster.observers.is_empty() {
        let result = outcome.as_ref().map(http::Response::status).map_err(Error::reason);
        let duration = started.elapsed();
        let event = AttemptFinished::new(&cluster.name, endpoint.name(), result, duration);
        cluster.observers.attempt_finished(&event);
    }
    outcome
}

/// One request on its way out.
struct Call {
    head: request::Parts,
    context: Option<RequestContext>,
    upgrade: bool,
    started: Instant,
    connect_by: Instant,
    /// When the answer's head must be there.
    answer_by: Option<Instant>,
    /// When the whole exchange must be over.
    deadline: Option<Instant>,
    /// How long either side may stand still.
    idle: std::time::Duration,
}

impl Call {
    fn new(
        cluster: &Shared,
        endpoint: &Endpoint,
        request: Request,
        started: Instant,
    ) -> (Self, Body) {
        let (mut head, body) = request.into_parts();
        let context = head.extensions.get::<RequestContext>().cloned();
        if let Some(context) = &context {
            let attempt = Attempt::new(Arc::clone(&cluster.name), Arc::clone(endpoint.name()));
            context.record().attempt(attempt);
        }
        head.headers.append(header::VIA, via(head.version));
        apply_host(&cluster.host, endpoint.address(), &mut head.headers);
        let deadline = context.as_ref().and_then(RequestContext::deadline);
        let answer_by = cluster.timeouts.try_timeout.map(|limit| started + limit);
        let call = Self {
            upgrade: head.headers.contains_key(header::UPGRADE),
            head,
            context,
            started,
            connect_by: sooner(started + cluster.timeouts.connect, deadline),
            answer_by: answer_by.map(|by| sooner(by, deadline)).or(deadline),
            deadline,
            idle: cluster.timeouts.idle,
        };
        (call, body)
    }

    /// True when the deadline of the whole request is what limits the wait for the answer.
    fn is_out_of_time(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

fn sooner(one: Instant, other: Option<Instant>) -> Instant {
    other.map_or(one, |other| one.min(other))
}

/// RFC 9110, section 7.6.3: the protocol the message was received in, and who received it.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2 gateway",
        Version::HTTP_10 => "1.0 gateway",
        _ => "1.1 gateway",
    })
}

fn apply_host(policy: &HostPolicy, address: &EndpointAddress, headers: &mut HeaderMap) {
    match policy {
        HostPolicy::Preserve if headers.contains_key(header::HOST) => {}
        HostPolicy::Preserve | HostPolicy::Endpoint => {
            headers.insert(header::HOST, address.host_header().clone());
        }
        HostPolicy::Fixed(host) => {
            headers.insert(header::HOST, host.clone());
        }
    }
}
