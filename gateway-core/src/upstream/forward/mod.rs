//! Forwarding: a request out, its answer back, failures as [`Error`]s that say where.

mod choice;
mod connection_bound;
mod exchange;
mod far_side;
mod http1;
mod http2;
mod limits;
mod max_forwards;
mod once;
mod received;
mod remaining;
mod trial;

use std::sync::Arc;

use http::header::{self, HeaderMap};
use http::request;
use tokio::time::Instant;

use self::choice::Choice;
use self::limits::Limits;
pub(super) use self::once::send_once;
use self::trial::Trial;
use super::address::{EndpointAddress, Transport};
use super::balance::PickContext;
use super::cluster::{HostPolicy, Shared};
use super::endpoint::Endpoint;
use super::pool::BoundConnection;
use crate::body::Body;
use crate::context::{Attempt, RequestContext};
use crate::error::{Error, Reason};
use crate::forwarded::Via;
use crate::grpc::GrpcCall;
use crate::http1::head::HeadLimits;
use crate::message::{Outcome, Request, Response};
use crate::replay::{Replay, Upload, is_idempotent};

/// A request is tried at no more endpoints than this.
const MOST_TRIES: u32 = 2;

/// The same for one that no endpoint has accepted a connection for: that is no load to any.
const MOST_REFUSALS: u32 = 8;

/// Forwards `request` to one of the cluster's endpoints; to another one where the first fails
/// before it did anything, or may be asked again.
pub(super) async fn forward(cluster: &Arc<Shared>, request: Request) -> Outcome {
    cluster.start();
    let (mut head, body) = request.into_parts();
    if let Some(response) = max_forwards::count(&mut head) {
        return Ok(response);
    }
    let context = head.extensions.get::<RequestContext>().cloned();
    let mut call = Call::new(cluster, head, context.as_ref());
    cluster.failover.deposit_at(call.started);
    let replay = Replay::new(body);
    // The request ends with this future, or with its response.
    let upload = replay.upload();
    let mut body = replay.first();
    loop {
        let mut choice = Choice::new(cluster, call.context, &call.head.headers)?;
        call.bound = choice.bound.take();
        let mut outcome = attempt(cluster, &choice, &mut call, &replay, body).await;
        let Err(error) = &outcome else {
            choice.tell(cluster, call.context, call.grpc, &mut outcome);
            return outcome.map(|response| ends(upload, response));
        };
        match replay.again() {
            Some(again) if call.may_fail_over(cluster, &choice.endpoint, error) => body = again,
            _ => return outcome,
        }
        tracing::debug!(cluster = %cluster.name, %error, "trying another endpoint");
    }
}

/// The response, with which `upload` ends.
fn ends(upload: Option<Upload>, response: Response) -> Response {
    match upload {
        Some(upload) if !upload.is_over() => {
            response.map(|body| body.on_end(move |_| drop(upload)))
        }
        _ => response,
    }
}

/// One try at the endpoint of `choice`.
async fn attempt(
    cluster: &Arc<Shared>,
    choice: &Choice,
    call: &mut Call<'_>,
    replay: &Replay,
    body: Body,
) -> Outcome {
    let endpoint = &choice.endpoint;
    call.begin(cluster, endpoint);
    let context = call.context;
    let trial = Trial::new(cluster, endpoint, context, call.grpc, call.started);
    let in_flight = Arc::clone(endpoint).enter();
    let mut outcome = match endpoint.address().transport() {
        Transport::Http | Transport::Https | Transport::Unix => {
            http1::forward(&cluster.connector, in_flight, call, replay, body).await
        }
        // Boxed: hyper's futures are large, and moved also for those who do not need them.
        Transport::H2c => {
            Box::pin(http2::forward(&cluster.connector, in_flight, call, replay, body)).await
        }
    };
    trial.finish(&mut outcome);
    outcome
}

/// One request on its way out.
struct Call<'a> {
    head: request::Parts,
    context: Option<&'a RequestContext>,
    upgrade: bool,
    /// Its own status decides how a call of gRPC went.
    grpc: Option<GrpcCall>,
    started: Instant,
    connect_by: Instant,
    limits: Limits,
    /// What is accepted of the head of a response.
    head_limits: HeadLimits,
    /// Some byte of an answer has come.
    answered: bool,
    /// Endpoints that were tried.
    tries: u32,
    /// The cluster's name; `None` for a request of the gateway itself.
    cluster: Option<&'a Arc<str>>,
    /// The upstream connection that belongs to the client's.
    bound: Option<BoundConnection>,
}

impl<'a> Call<'a> {
    fn new(
        cluster: &'a Shared,
        mut head: request::Parts,
        context: Option<&'a RequestContext>,
    ) -> Self {
        let via = match context {
            Some(context) => context.connection().listener.via.value(head.version),
            None => Via::default().value(head.version),
        };
        if let Some(via) = via {
            head.headers.append(header::VIA, via);
        }
        let now = Instant::now();
        Self {
            upgrade: head.headers.contains_key(header::UPGRADE),
            grpc: GrpcCall::of(&head.method, &head.headers),
            limits: Limits {
                attempt_by: None,
                response_head: None,
                idle: cluster.settings.timeouts.idle,
                deadline: context.and_then(RequestContext::deadline),
            },
            head_limits: cluster.settings.response_limits.head(),
            head,
            context,
            started: now,
            connect_by: now,
            answered: false,
            tries: 0,
            cluster: Some(&cluster.name),
            bound: None,
        }
    }

    /// Begins a try at `endpoint`.
    fn begin(&mut self, cluster: &Shared, endpoint: &Endpoint) {
        let settings = &cluster.settings;
        let context = self.context;
        if let Some(context) = context {
            let name = Arc::clone(endpoint.name());
            if let Some(upload) = context.upload() {
                // Nobody reads it before the request is on its way.
                upload.rests();
            }
            context.record().attempt(Attempt::new(Arc::clone(&cluster.name), name));
        }
        apply_host(&settings.host, endpoint.address(), &mut self.head.headers);
        if self.tries > 0 {
            self.started = Instant::now();
        }
        self.tries += 1;
        let (started, deadline) = (self.started, self.limits.deadline);
        if let Some(deadline) = deadline {
            remaining::pass_on(&mut self.head.headers, deadline.saturating_duration_since(started));
        }
        let limits =
            [settings.timeouts.attempt_timeout, context.and_then(RequestContext::attempt_timeout)];
        let limit = limits.into_iter().flatten().min();
        self.limits.attempt_by = limit.map(|limit| started + limit);
        let own = context.and_then(RequestContext::response_head_timeout);
        self.limits.response_head = own.unwrap_or(settings.timeouts.response_head);
        let connect = started
            + limit.map_or(settings.timeouts.connect, |limit| limit.min(settings.timeouts.connect));
        self.connect_by = sooner(connect, deadline);
    }

    /// True when another endpoint may be asked after this failure of one: nothing was sent, or the
    /// connection broke without a byte of an answer and asking twice does no harm. And there is
    /// another one, and time, and not too many ask already; a refused connection was no load to
    /// anybody, and does not count.
    fn may_fail_over(&self, cluster: &Shared, failed: &Arc<Endpoint>, error: &Error) -> bool {
        let harmless = match error.reason() {
            Reason::ConnectFailed | Reason::ConnectTimeout | Reason::TlsFailed => true,
            Reason::UpstreamClosed => {
                let idempotent = is_idempotent(&self.head.method, &self.head.headers);
                error.is_unsent() || (idempotent && !self.answered)
            }
            _ => false,
        };
        let rejected = error.reason() == Reason::ConnectFailed;
        harmless
            && self.tries < if rejected { MOST_REFUSALS } else { MOST_TRIES }
            && !self.upgrade
            && !self.context.is_some_and(RequestContext::is_retried)
            && !self.is_out_of_time(Instant::now())
            && self.has_other_than(cluster, failed)
            && (rejected || cluster.failover.withdraw())
    }

    /// True when there is an endpoint that was not tried yet.
    fn has_other_than(&self, cluster: &Shared, failed: &Arc<Endpoint>) -> bool {
        let Some(context) = self.context else {
            // It is not known which were tried, but for the last one.
            return self.tries < MOST_TRIES
                && cluster.peek().has_other_than(failed, &PickContext::default());
        };
        let tried = context.record().tried();
        cluster.peek().has_other_than(failed, &PickContext::default().avoid(&tried))
    }

    /// True when the deadline of the whole request is what limits the wait for the answer.
    fn is_out_of_time(&self, now: Instant) -> bool {
        self.limits.deadline.is_some_and(|deadline| now >= deadline)
    }
}

fn sooner(one: Instant, other: Option<Instant>) -> Instant {
    other.map_or(one, |other| one.min(other))
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
