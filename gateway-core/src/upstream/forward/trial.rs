//! [`Trial`]: one attempt at an endpoint, and who is told how it went.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::body::{End, Ended};
use crate::context::RequestContext;
use crate::error::{Error, GrpcStatus, HealthSignal, Reason};
use crate::grpc::{self, GrpcCall};
use crate::message::{Outcome, Response};
use crate::observe::{AttemptFinished, Observer, Observers};
use crate::upstream::cluster::Shared;
use crate::upstream::endpoint::Endpoint;

/// One attempt at an endpoint, from the pick until the head of its response, or until the status of
/// a gRPC call.
pub(super) struct Trial<'a> {
    cluster: &'a Arc<Shared>,
    endpoint: &'a Arc<Endpoint>,
    context: Option<&'a RequestContext>,
    grpc: Option<GrpcCall>,
    started: Instant,
    /// For how long the request had waited for its client before.
    waited: Duration,
    over: bool,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        cluster: &'a Arc<Shared>,
        endpoint: &'a Arc<Endpoint>,
        context: Option<&'a RequestContext>,
        grpc: Option<GrpcCall>,
        started: Instant,
    ) -> Self {
        let waited = context.map(RequestContext::waited_for_client).unwrap_or_default();
        Self { cluster, endpoint, context, grpc, started, waited, over: false }
    }

    /// Tells everyone how it ended; for a gRPC call whose status is to come, once that is here.
    pub(super) fn finish(mut self, outcome: &mut Outcome) {
        self.over = true;
        let Some(signal) = self.health_signal(outcome) else {
            if let Ok(response) = outcome {
                self.finish_with_status(response);
            }
            return;
        };
        let in_memory = || outcome.as_ref().is_ok_and(|answer| answer.body().is_in_memory());
        // Of a good answer that is still on its way, the end says how the endpoint is.
        if signal != HealthSignal::Success || self.grpc.is_some() || in_memory() {
            let failure = outcome.as_ref().err().map(Error::reason);
            self.cluster.note(self.endpoint, signal, failure);
        }
        let measured = self.is_measured();
        if !measured && self.cluster.observers.is_empty() {
            return;
        }
        let now = Instant::now();
        let duration = now.saturating_duration_since(self.started);
        if measured && signal != HealthSignal::Neutral {
            let latency = duration.saturating_sub(self.waited_for_client());
            self.endpoint.latency.observe(latency, signal == HealthSignal::Failure, now);
        }
        let result = outcome.as_ref().map(http::Response::status).map_err(Error::reason);
        let status = self.grpc.and(outcome.as_ref().ok()).and_then(grpc::head_status);
        self.report(result, status, duration);
    }

    /// The response is the beginning of a gRPC call's: its trailers have the status.
    fn finish_with_status(&self, response: &mut Response) {
        let Some(call) = self.grpc else {
            return;
        };
        let now = Instant::now();
        let duration = now.saturating_duration_since(self.started);
        let latency = duration.saturating_sub(self.waited_for_client());
        let measured = self.is_measured();
        if measured {
            self.endpoint.latency.observe(latency, false, now);
        }
        let begun = Begun {
            cluster: Arc::downgrade(self.cluster),
            name: Arc::clone(&self.cluster.name),
            observers: self.cluster.observers.clone(),
            endpoint: Arc::clone(self.endpoint),
            latency: measured.then_some(latency),
            duration,
            status: response.status(),
        };
        let body = std::mem::take(response.body_mut());
        *response.body_mut() = body.on_ended(move |ended| begun.finish(call, ended));
    }

    fn health_signal(&self, outcome: &Outcome) -> Option<HealthSignal> {
        let out_of_time =
            outcome.as_ref().is_err_and(|error| error.reason() == Reason::RouteTimeout);
        if out_of_time && self.is_overdue() {
            return Some(HealthSignal::Failure);
        }
        grpc::health_signal(self.grpc, outcome.as_ref())
    }

    fn is_measured(&self) -> bool {
        self.cluster.settings.balance.looks_at_latency()
    }

    fn report(
        &self,
        outcome: Result<StatusCode, Reason>,
        status: Option<GrpcStatus>,
        duration: Duration,
    ) {
        let name = self.endpoint.name();
        let event = AttemptFinished::new(&self.cluster.name, name, outcome, duration);
        self.cluster.observers.attempt_finished(&event.grpc_status(status));
    }

    /// For how long this attempt has waited for the client.
    fn waited_for_client(&self) -> Duration {
        let waited = self.context.map(RequestContext::waited_for_client);
        waited.unwrap_or_default().saturating_sub(self.waited)
    }

    /// True when the time is over that the gateway gives the request.
    fn is_overdue(&self) -> bool {
        self.context.is_some_and(|context| context.is_overdue(Instant::now()))
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Whoever waited has given up: because of the endpoint, if the time was up.
        let overdue = self.is_overdue();
        if overdue {
            self.cluster.note(self.endpoint, HealthSignal::Failure, None);
        }
        let abandoned = self.context.and_then(|context| context.record().abandoned());
        // What lost a race to another attempt has no outcome.
        if let Some(reason) = abandoned.or(overdue.then_some(Reason::RouteTimeout)) {
            self.report(Err(reason), None, self.started.elapsed());
        }
    }
}

/// A gRPC call whose response has begun.
struct Begun {
    /// A response does not keep a cluster alive that was replaced.
    cluster: Weak<Shared>,
    name: Arc<str>,
    observers: Observers,
    endpoint: Arc<Endpoint>,
    /// Where the time until the head is looked at.
    latency: Option<Duration>,
    duration: Duration,
    status: StatusCode,
}

impl Begun {
    fn finish(self, call: GrpcCall, ended: Ended) {
        let signal = call.end(ended);
        match self.cluster.upgrade() {
            Some(cluster) => cluster.note(&self.endpoint, signal, None),
            None => self.endpoint.vitals.note(signal),
        }
        if let Some(latency) = self.latency.filter(|_| signal == HealthSignal::Failure) {
            self.endpoint.latency.observe(latency, true, Instant::now());
        }
        let outcome = match ended.end {
            End::Broken(reason) => Err(reason),
            End::Complete | End::Dropped => Ok(self.status),
        };
        let event = AttemptFinished::new(&self.name, self.endpoint.name(), outcome, self.duration);
        self.observers.attempt_finished(&event.grpc_status(ended.grpc_status));
    }
}
