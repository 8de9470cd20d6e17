//! Forwarding: a request out, its answer back, failures as [`Error`]s that say where.

mod exchange;
mod http1;
mod http2;
mod received;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Version, request};
use tokio::time::Instant;

use super::cluster::{HostPolicy, Shared};
use super::endpoint::{EndpointAddress, InFlight, Transport};
use crate::context::RequestContext;
use crate::message::{Outcome, Request};

/// Forwards `request` to the endpoint that `in_flight` counts it at.
pub(super) async fn forward(
    cluster: &Shared,
    in_flight: InFlight,
    request: Request,
    context: Option<RequestContext>,
    started: Instant,
) -> Outcome {
    let address = in_flight.endpoint().address().clone();
    let deadline = context.as_ref().and_then(RequestContext::deadline);
    let answer_by = cluster.timeouts.try_timeout.map(|limit| started + limit);
    let (mut head, body) = request.into_parts();
    let via = via(head.version);
    head.headers.append(header::VIA, via);
    apply_host(&cluster.host, &address, &mut head.headers);
    let mut call = Call {
        upgrade: head.headers.contains_key(header::UPGRADE),
        head,
        context,
        connect_by: sooner(started + cluster.timeouts.connect, deadline),
        answer_by: match (answer_by, deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        },
        deadline,
        idle: cluster.timeouts.idle,
    };
    match address.transport() {
        Transport::Http | Transport::Https | Transport::Unix => {
            http1::forward(cluster, in_flight, &mut call, body).await
        }
        // Boxed: hyper's futures are large, and moved also for those who do not need them.
        Transport::H2c => Box::pin(http2::forward(cluster, in_flight, call, body)).await,
    }
}

/// One request on its way out.
struct Call {
    head: request::Parts,
    context: Option<RequestContext>,
    upgrade: bool,
    connect_by: Instant,
    /// When the answer's head must be there.
    answer_by: Option<Instant>,
    /// When the whole exchange must be over.
    deadline: Option<Instant>,
    /// How long either side may stand still.
    idle: std::time::Duration,
}

impl Call {
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
