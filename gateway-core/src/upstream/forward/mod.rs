//! Forwarding: a request out, its answer back, failures as [`Error`]s that say where.

mod exchange;
mod http1;
mod http2;
mod once;
mod received;
mod remaining;

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Version, request};
use tokio::time::Instant;

pub(super) use self::once::send_once;
use super::address::{EndpointAddress, Transport};
use super::balance::Wanted;
use super::cluster::{HostPolicy, Shared};
use super::endpoint::Endpoint;
use crate::body::Body;
use crate::context::{Attempt, RequestContext};
use crate::error::{Error, Reason, Verdict};
use crate::message::{Outcome, Request};
use crate::observe::{AttemptFinished, Observer};

/// Forwards `request` to one of the cluster's endpoints.
pub(super) async fn forward(cluster: &Arc<Shared>, request: Request) -> Outcome {
    cluster.start();
    let context = request.extensions().get::<RequestContext>().cloned();
    let endpoint = choose(cluster, context.as_ref())?;
    let mut trial = Trial { cluster, endpoint, context, started: Instant::now(), over: false };
    let (mut call, body) = Call::new(&trial, request);
    let in_flight = Arc::clone(&trial.endpoint).enter();
    let outcome = match trial.endpoint.address().transport() {
        Transport::Http | Transport::Https | Transport::Unix => {
            http1::forward(&cluster.connector, in_flight, &mut call, body).await
        }
        // Boxed: hyper's futures are large, and moved also for those who do not need them.
        Transport::H2c => {
            Box::pin(http2::forward(&cluster.connector, in_flight, &mut call, body)).await
        }
    };
    trial.finish(&outcome);
    outcome
}

/// The endpoint that takes the request.
fn choose(cluster: &Shared, context: Option<&RequestContext>) -> Result<Arc<Endpoint>, Error> {
    let tried = context.map(|context| context.record().tried()).unwrap_or_default();
    let wanted = Wanted::default().avoid(&tried);
    let available = cluster.peek();
    available.pick(&wanted, cluster.settings.endpoint_limit).map(Arc::clone)
}

/// One try at an endpoint, from the pick until the head of its answer.
struct Trial<'a> {
    cluster: &'a Arc<Shared>,
    endpoint: Arc<Endpoint>,
    context: Option<RequestContext>,
    started: Instant,
    over: bool,
}

impl Trial<'_> {
    /// Tells everyone how it ended.
    fn finish(&mut self, outcome: &Outcome) {
        self.over = true;
        let verdict = self.verdict(outcome);
        let in_memory = || outcome.as_ref().is_ok_and(|answer| answer.body().is_in_memory());
        // Of a good answer that is still on its way, the end says how the endpoint is.
        if verdict != Verdict::Success || in_memory() {
            self.cluster.note(&self.endpoint, verdict);
        }
        let measured = self.cluster.settings.balance.looks_at_latency();
        if !measured && self.cluster.observers.is_empty() {
            return;
        }
        let now = Instant::now();
        let duration = now.saturating_duration_since(self.started);
        if measured && verdict != Verdict::Neither {
            self.endpoint.latency.observe(duration, verdict == Verdict::Failure, now);
        }
        let result = outcome.as_ref().map(http::Response::status).map_err(Error::reason);
        let name = self.endpoint.name();
        let event = AttemptFinished::new(&self.cluster.name, name, result, duration);
        self.cluster.observers.attempt_finished(&event);
    }

    fn verdict(&self, outcome: &Outcome) -> Verdict {
        let out_of_time =
            outcome.as_ref().is_err_and(|error| error.reason() == Reason::RouteTimeout);
        if out_of_time && self.is_overdue() {
            return Verdict::Failure;
        }
        Verdict::of(outcome.as_ref())
    }

    /// True when the time is over that the gateway gives the request.
    fn is_overdue(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.is_overdue(Instant::now()))
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        // Whoever waited has given up: because of the endpoint, if the time was up.
        if !self.over && self.is_overdue() {
            self.cluster.note(&self.endpoint, Verdict::Failure);
        }
    }
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
    fn new(trial: &Trial<'_>, request: Request) -> (Self, Body) {
        let (settings, started) = (&trial.cluster.settings, trial.started);
        let (mut head, body) = request.into_parts();
        let context = trial.context.clone();
        if let Some(context) = &context {
            let name = Arc::clone(trial.endpoint.name());
            context.record().attempt(Attempt::new(Arc::clone(&trial.cluster.name), name));
        }
        head.headers.append(header::VIA, via(head.version));
        apply_host(&settings.host, trial.endpoint.address(), &mut head.headers);
        let deadline = context.as_ref().and_then(RequestContext::deadline);
        if let Some(deadline) = deadline {
            remaining::pass_on(&mut head.headers, deadline.saturating_duration_since(started));
        }
        let route_limit = context.as_ref().and_then(RequestContext::try_timeout);
        let limits = [settings.timeouts.try_timeout, route_limit];
        let answer_by = limits.into_iter().flatten().min().map(|limit| started + limit);
        let call = Self {
            upgrade: head.headers.contains_key(header::UPGRADE),
            head,
            context,
            started,
            connect_by: sooner(started + settings.timeouts.connect, deadline),
            answer_by: answer_by.map(|by| sooner(by, deadline)).or(deadline),
            deadline,
            idle: settings.timeouts.idle,
        };
        (call, body)
    }

    /// True when the deadline of the whole request is what limits the wait for the answer.
    fn is_out_of_time(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

/// True when sending the request again cannot do twice what was asked for once (RFC 9110,
/// section 9.2.2), or when the client said so with an idempotency key.
fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.contains_key("idempotency-key")
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
