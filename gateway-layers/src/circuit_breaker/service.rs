//! [`CircuitBreakerService`] and its future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gateway_core::{
    Error, Outcome, Reason, Request, RequestContext, RequestExt, Response, Verdict,
};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::breaker::CircuitBreaker;
use super::gate::{Ending, Pass};

/// A service behind a breaker; see the [module](super).
#[derive(Clone, Debug)]
pub struct CircuitBreakerService<S> {
    inner: S,
    breaker: CircuitBreaker,
}

impl<S> CircuitBreakerService<S> {
    pub(super) fn new(inner: S, breaker: CircuitBreaker) -> Self {
        Self { inner, breaker }
    }
}

impl<S> Service<Request> for CircuitBreakerService<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match Permit::ask(&self.breaker, &request) {
            Ok(mut permit) => {
                let inner = permit.entered(|| self.inner.call(request));
                ResponseFuture { kind: Kind::Admitted { inner, permit } }
            }
            Err(error) => ResponseFuture { kind: Kind::Refused { error: Some(error) } },
        }
    }
}

/// The right to one call. However it ends, the breaker hears of it once.
#[derive(Debug)]
struct Permit {
    breaker: CircuitBreaker,
    // None once it is settled.
    pass: Option<Pass>,
    context: Option<RequestContext>,
    /// Where the time of calls is looked at.
    began: Option<Instant>,
    /// The inner service is running: whoever drops the permit now is its panic.
    entered: bool,
}

impl Permit {
    fn ask(breaker: &CircuitBreaker, request: &Request) -> Result<Self, Error> {
        let pass = breaker.admit()?;
        Ok(Self {
            pass: Some(pass),
            context: request.context().cloned(),
            began: breaker.slow_threshold().map(|_| Instant::now()),
            entered: false,
            breaker: breaker.clone(),
        })
    }

    fn entered<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.entered = true;
        let value = run();
        self.entered = false;
        value
    }

    /// The call ended with an answer or a failure.
    fn settle(&mut self, outcome: &Outcome) {
        let verdict = match outcome {
            // Who was to answer used up the time that the gateway gave.
            Err(error) if error.reason() == Reason::RouteTimeout => None,
            outcome => Some(Verdict::of(outcome.as_ref())),
        };
        self.end(verdict);
    }

    /// With `None` for the verdict, the request's time decides.
    fn end(&mut self, verdict: Option<Verdict>) {
        let Some(pass) = self.pass.take() else {
            return;
        };
        let now = Instant::now();
        let verdict = verdict.unwrap_or_else(|| {
            let overdue = self.context.as_ref().is_some_and(|context| context.is_overdue(now));
            if overdue { Verdict::Failure } else { Verdict::Neither }
        });
        // The upload is the client's time.
        let waited = || self.context.as_ref().map(RequestContext::waited_for_client);
        let took = self.began.map(|began| {
            now.saturating_duration_since(began).saturating_sub(waited().unwrap_or_default())
        });
        let slow = took.zip(self.breaker.slow_threshold());
        let slow = slow.is_some_and(|(took, threshold)| took >= threshold);
        let ending = match (verdict, slow) {
            (Verdict::Success, false) => Ending::Success,
            (Verdict::Success, true) => Ending::Slow,
            (Verdict::Failure, false) => Ending::Failure,
            (Verdict::Failure, true) => Ending::SlowFailure,
            (Verdict::Neither, _) => Ending::Neither,
        };
        self.breaker.settle(pass, ending, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.end(self.entered.then_some(Verdict::Failure));
    }
}

pin_project! {
    /// The future of a [`CircuitBreakerService`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<F> {
        Admitted {
            #[pin]
            inner: F,
            permit: Permit,
        },
        Refused { error: Option<Error> },
    }
}

impl<F: Future<Output = Outcome>> Future for ResponseFuture<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.project().kind.project() {
            KindProjection::Admitted { inner, permit } => {
                let outcome = ready!(permit.entered(|| inner.poll(cx)));
                permit.settle(&outcome);
                Poll::Ready(outcome)
            }
            KindProjection::Refused { error } => {
                let error = error.take();
                Poll::Ready(Err(error.unwrap_or_else(|| Reason::CircuitOpen.into())))
            }
        }
    }
}
