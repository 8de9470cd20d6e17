//! [`Permit`]: the right to one call.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gateway_core::grpc::{self, GrpcCall};
use gateway_core::{
    Body, Ended, Error, GrpcStatus, HealthSignal, Outcome, Reason, Request, RequestContext,
    RequestExt,
};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::breaker::CircuitBreaker;
use super::gate::{Ending, Pass};

/// A probe whose response has begun, and has had no message for this long, is a stream that goes
/// on: a breaker does not wait for the end of it.
const PROBE_QUIET: Duration = Duration::from_secs(1);

/// The right to one call. However it ends, the breaker hears of it once.
#[derive(Debug)]
pub(super) struct Permit {
    breaker: CircuitBreaker,
    // None once it is settled.
    pass: Option<Pass>,
    context: Option<RequestContext>,
    grpc: Option<GrpcCall>,
    /// Where the time of calls is looked at.
    began: Option<Instant>,
    /// The inner service is running: whoever drops the permit now is its panic.
    entered: bool,
}

impl Permit {
    pub(super) fn ask(breaker: &CircuitBreaker, request: &Request) -> Result<Self, Error> {
        let pass = breaker.admit()?;
        Ok(Self {
            pass: Some(pass),
            context: request.context().cloned(),
            grpc: GrpcCall::of(request.method(), request.headers()),
            began: breaker.slow_threshold().map(|_| Instant::now()),
            entered: false,
            breaker: breaker.clone(),
        })
    }

    pub(super) fn entered<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.entered = true;
        let value = run();
        self.entered = false;
        value
    }

    /// The call ended with an answer or a failure; a gRPC call whose status is to come, with that.
    pub(super) fn settle(&mut self, outcome: &mut Outcome) {
        let signal = match outcome {
            // Who was to answer used up the time that the gateway gave.
            Err(error) if error.reason() == Reason::RouteTimeout => None,
            outcome => match grpc::health_signal(self.grpc, outcome.as_ref()) {
                None => return self.settle_with_status(outcome),
                signal => signal,
            },
        };
        self.end(signal);
    }

    /// The response is the beginning of a gRPC call's: its trailers have the status.
    fn settle_with_status(&mut self, outcome: &mut Outcome) {
        let (Some(pass), Some(call), Ok(response)) = (self.pass.take(), self.grpc, outcome) else {
            return;
        };
        let begun = Begun {
            breaker: self.breaker.clone(),
            slow: self.is_slow(Instant::now()),
            is_probe: pass.is_probe(),
            pass: Some(pass),
            call,
        };
        let body = mem::take(response.body_mut());
        *response.body_mut() = if begun.is_probe {
            body.map(|body| ProbeBody::new(body, begun))
        } else {
            body.on_ended(move |ended| begun.end(ended))
        };
    }

    /// With `None` for the signal, the request's time decides.
    fn end(&mut self, signal: Option<HealthSignal>) {
        let Some(pass) = self.pass.take() else {
            return;
        };
        let now = Instant::now();
        let signal = signal.unwrap_or_else(|| {
            let overdue = self.context.as_ref().is_some_and(|context| context.is_overdue(now));
            if overdue { HealthSignal::Failure } else { HealthSignal::Neutral }
        });
        self.breaker.settle(pass, ending(signal, self.is_slow(now)), now);
    }

    fn is_slow(&self, now: Instant) -> bool {
        // The upload is the client's time.
        let waited = || self.context.as_ref().map(RequestContext::waited_for_client);
        let took = self.began.map(|began| {
            now.saturating_duration_since(began).saturating_sub(waited().unwrap_or_default())
        });
        let slow = took.zip(self.breaker.slow_threshold());
        slow.is_some_and(|(took, threshold)| took >= threshold)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end(self.entered.then_some(HealthSignal::Failure));
    }
}

fn ending(signal: HealthSignal, slow: bool) -> Ending {
    match (signal, slow) {
        (HealthSignal::Success, false) => Ending::Success,
        (HealthSignal::Success, true) => Ending::Slow,
        (HealthSignal::Failure, false) => Ending::Failure,
        (HealthSignal::Failure, true) => Ending::SlowFailure,
        (HealthSignal::Neutral, _) => Ending::Neither,
    }
}

/// A gRPC call whose response has begun.
struct Begun {
    breaker: CircuitBreaker,
    // None once it is settled.
    pass: Option<Pass>,
    is_probe: bool,
    call: GrpcCall,
    /// The head of the response was late.
    slow: bool,
}

impl Begun {
    fn end(mut self, ended: Ended) {
        let signal = self.call.end(ended);
        self.settle(signal);
    }

    fn settle(&mut self, signal: HealthSignal) {
        if let Some(pass) = self.pass.take() {
            self.breaker.settle(pass, ending(signal, self.slow), Instant::now());
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.settle(HealthSignal::Neutral);
    }
}

/// The response to a probe, which is over with the first message or the status, whichever is first.
struct ProbeBody {
    body: Body,
    begun: Begun,
    quiet: Pin<Box<Sleep>>,
}

impl ProbeBody {
    fn new(body: Body, begun: Begun) -> Self {
        Self { body, begun, quiet: Box::pin(sleep(PROBE_QUIET)) }
    }
}

impl http_body::Body for ProbeBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        if this.begun.pass.is_none() {
            return polled;
        }
        let signal = match &polled {
            Poll::Pending if this.quiet.as_mut().poll(cx).is_pending() => return Poll::Pending,
            Poll::Pending | Poll::Ready(None) => HealthSignal::Success,
            Poll::Ready(Some(Ok(frame))) => {
                let status = frame.trailers_ref().and_then(GrpcStatus::in_fields);
                status.map_or(HealthSignal::Success, |status| this.begun.call.health_signal(status))
            }
            Poll::Ready(Some(Err(error))) => error.reason().health_signal(),
        };
        this.begun.settle(signal);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
