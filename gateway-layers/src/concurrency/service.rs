//! [`Concurrency`] and its future.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gateway_core::grpc::{self, GrpcCall};
use gateway_core::{
    Error, HealthSignal, Outcome, Reason, Request, RequestContext, RequestExt, Response,
};
use http::StatusCode;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::adaptive::Sample;
use super::gate::{Permit, Waiter};
use super::limit::{ConcurrencyLimit, Entered};
use super::priority::{Priority, Source};
use super::queue::Call;

/// A service whose requests keep to a limit; see the [module](super).
#[derive(Clone, Debug)]
pub struct Concurrency<S> {
    inner: S,
    limit: ConcurrencyLimit,
    source: Source,
}

impl<S> Concurrency<S> {
    pub(super) fn new(inner: S, limit: ConcurrencyLimit, source: Source) -> Self {
        Self { inner, limit, source }
    }

    /// A permit, a place in the queue, or why there is neither; and how important the request is,
    /// which is not asked while everybody is let in.
    fn enter(&self, request: &Request) -> Result<(Entered, Priority), Error> {
        if !self.limit.sheds()
            && let Some(permit) = self.limit.try_enter()
        {
            return Ok((Entered::Admitted(permit), Priority::default()));
        }
        let priority = self.source.of(request);
        Ok((self.limit.enter(priority)?, priority))
    }
}

impl<S> Service<Request> for Concurrency<S>
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> ResponseFuture<S> {
        let state = match self.enter(&request) {
            Err(error) => State::Rejected { error: Some(error) },
            Ok((Entered::Admitted(permit), _)) => {
                let held = Held::new(permit, &self.limit, &request);
                State::Running { inner: self.inner.call(request), held: Some(held) }
            }
            Ok((Entered::Queued(waiter), priority)) => {
                // The one that is ready waits with the request.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let limit = self.limit.clone();
                let waiting = Waiting::new(waiter, limit, priority, inner, request);
                State::Waiting { waiting: Some(Box::new(waiting)) }
            }
        };
        ResponseFuture { state }
    }
}

/// A permit, and what is to be learned while it is held.
struct Held {
    permit: Permit,
    watch: Option<Watch>,
}

impl Held {
    fn new(permit: Permit, limit: &ConcurrencyLimit, request: &Request) -> Self {
        let watch = limit.adaptive().is_some().then(|| Watch {
            limit: limit.clone(),
            began: Instant::now(),
            context: request.context().cloned(),
            grpc: GrpcCall::of(request.method(), request.headers()),
        });
        Self { permit, watch }
    }

    /// Puts the permit into the body of an answer; a failure gives it back.
    fn settle(self, outcome: &mut Outcome) {
        let Self { permit, watch } = self;
        if let Some(watch) = watch {
            watch.settle(outcome);
        }
        // In place: an answer is large to move. A tunnel is no request in flight.
        if let Ok(response) = outcome
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            let body = mem::take(response.body_mut());
            *response.body_mut() = body.on_end(move |_| drop(permit));
        }
    }
}

/// Measures a request for a limit that adapts.
struct Watch {
    limit: ConcurrencyLimit,
    began: Instant,
    context: Option<RequestContext>,
    grpc: Option<GrpcCall>,
}

impl Watch {
    fn settle(mut self, outcome: &mut Outcome) {
        let context = self.context.take();
        let now = Instant::now();
        // The upload is the client's time.
        let waited = context.as_ref().map(RequestContext::waited_for_client).unwrap_or_default();
        let overdue = || context.is_some_and(|context| context.is_overdue(now));
        let signal = grpc::health_signal(self.grpc, outcome.as_ref());
        let sample = match (signal, &*outcome) {
            (Some(HealthSignal::Failure), _) => Sample::Failed,
            (_, Ok(_)) => {
                let took = now.saturating_duration_since(self.began);
                Sample::Answered(took.saturating_sub(waited))
            }
            (_, Err(error)) if error.reason() == Reason::RouteTimeout && overdue() => {
                Sample::Failed
            }
            (_, Err(_)) => return,
        };
        self.record(sample, now);
        // The head came in its time; how a gRPC call went is known with its trailers.
        if let (None, Some(call), Ok(response)) = (signal, self.grpc, outcome) {
            let body = mem::take(response.body_mut());
            *response.body_mut() = body.on_ended(move |ended| {
                if call.end(ended) == HealthSignal::Failure {
                    self.record(Sample::Failed, Instant::now());
                }
            });
        }
    }

    fn record(&self, sample: Sample, now: Instant) {
        if let Some(adaptive) = self.limit.adaptive() {
            adaptive.record(self.limit.gate(), sample, now);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Given up before an answer came, by a timeout further out.
        let Some(context) = self.context.take() else { return };
        let now = Instant::now();
        if context.is_overdue(now) {
            self.record(Sample::Failed, now);
        }
    }
}

/// A request in the queue.
struct Waiting<S> {
    waiter: Waiter,
    sleep: Pin<Box<Sleep>>,
    /// Why the wait ends when the sleep does.
    late: Reason,
    limit: ConcurrencyLimit,
    priority: Priority,
    inner: S,
    request: Request,
}

impl<S> Waiting<S> {
    fn new(
        waiter: Waiter,
        limit: ConcurrencyLimit,
        priority: Priority,
        inner: S,
        request: Request,
    ) -> Self {
        let now = Instant::now();
        let deadline = request.context().and_then(RequestContext::deadline);
        let most = now.checked_add(limit.queue_timeout());
        let (until, late) = match (most, deadline) {
            (Some(most), Some(deadline)) if deadline < most => (deadline, Reason::RouteTimeout),
            (Some(most), _) => (most, Reason::QueueTimeout),
            (None, Some(deadline)) => (deadline, Reason::RouteTimeout),
            (None, None) => (now + FAR, Reason::QueueTimeout),
        };
        let sleep = Box::pin(sleep_until(until));
        Self { waiter, sleep, late, limit, priority, inner, request }
    }
}

/// A queue timeout that no clock can express is this long.
const FAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 3600);

impl<S> Waiting<S> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Error>> {
        match self.waiter.poll_call(cx) {
            Poll::Ready(Call::Admitted(permit)) => return Poll::Ready(Ok(permit)),
            Poll::Ready(Call::Displaced) => {
                return Poll::Ready(Err(self.limit.shed(self.priority)));
            }
            Poll::Pending => {}
        }
        if self.sleep.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(self.limit.timed_out(self.late, self.priority)));
        }
        Poll::Pending
    }
}

pin_project! {
    /// The future of a [`Concurrency`].
    pub struct ResponseFuture<S: Service<Request>> {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, F> {
        // None once it was handed out.
        Rejected {
            error: Option<Error>,
        },
        // None once it was called.
        Waiting {
            waiting: Option<Box<Waiting<S>>>,
        },
        // None once it answered.
        Running {
            #[pin]
            inner: F,
            held: Option<Held>,
        },
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                Projected::Rejected { error } => {
                    return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
                Projected::Running { inner, held } => {
                    let mut outcome = ready!(inner.poll(cx));
                    if let Some(held) = held.take() {
                        held.settle(&mut outcome);
                    }
                    return Poll::Ready(outcome);
                }
                Projected::Waiting { waiting: slot } => {
                    let Some(mut waiting) = slot.take() else { return Poll::Pending };
                    match waiting.poll(cx) {
                        Poll::Pending => {
                            *slot = Some(waiting);
                            return Poll::Pending;
                        }
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Ready(Ok(permit)) => begin(permit, *waiting),
                    }
                }
            };
            this.state.set(next);
        }
    }
}

/// Begins a request that has waited.
fn begin<S>(permit: Permit, waiting: Waiting<S>) -> State<S, S::Future>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    let Waiting { limit, mut inner, request, .. } = waiting;
    let held = Held::new(permit, &limit, &request);
    State::Running { inner: inner.call(request), held: Some(held) }
}

impl<S: Service<Request>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
