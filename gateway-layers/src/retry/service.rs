//! [`Retry`] and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gateway_core::replay::Replay;
use gateway_core::{Error, Outcome, Request, RequestContext, RequestExt, Response, grpc};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use super::policy::{Failure, Policy, Scope};
use crate::head_copy::HeadCopy;

/// A service whose failed requests are sent again; see the [module](super).
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    policy: Arc<Policy>,
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, policy: Arc<Policy>) -> Self {
        Self { inner, policy }
    }
}

impl<S> Service<Request> for Retry<S>
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.policy.budget.deposit();
        let scope = self.policy.scope(&request);
        if let Some(context) = request.context()
            && (scope.is_some() || self.policy.max_retries == 0)
        {
            context.claim_retries();
        }
        let Some(scope) = scope else {
            let inner = self.inner.call(request);
            return ResponseFuture { state: State::Trying { inner }, tries: None };
        };
        let is_call = grpc::is_call(request.method(), request.headers());
        let (head, body) = request.into_parts();
        if let (Scope::Any, Some(context)) = (scope, head.context()) {
            divide_time(&self.policy, context);
        }
        let limit = match scope {
            Scope::Any => self.policy.replay_limit,
            // A try that left nothing behind took nothing of the body.
            Scope::Unsent => 0,
        };
        let replay = Replay::with_limit(body, limit);
        let context = head.context().cloned();
        let kept = Kept { head: HeadCopy::of(&head), replay };
        let first = Request::from_parts(head, kept.replay.first());
        let inner = self.inner.call(first);
        let tries = Tries {
            // Not ready yet: that is asked for when it is needed.
            service: self.inner.clone(),
            policy: Arc::clone(&self.policy),
            scope,
            is_call,
            context,
            kept: Some(kept),
            made: 0,
        };
        ResponseFuture { state: State::Trying { inner }, tries: Some(tries) }
    }
}

/// Where tries are to time out and nobody else said when, each has its share of what is left.
fn divide_time(policy: &Policy, context: &RequestContext) {
    if let Some(deadline) = context.deadline()
        && policy.divides_time()
    {
        let left = deadline.saturating_duration_since(Instant::now());
        context.set_attempt_timeout(left / (policy.max_retries + 1));
    }
}

/// The tries of one request.
struct Tries<S> {
    service: S,
    policy: Arc<Policy>,
    scope: Scope,
    /// It is a call of gRPC, whose status counts.
    is_call: bool,
    context: Option<RequestContext>,
    /// What another try needs; `None` once the last one began.
    kept: Option<Kept>,
    made: u32,
}

struct Kept {
    head: HeadCopy,
    replay: Replay,
}

impl<S> Tries<S> {
    /// The request once more and the wait before it; `None` when `outcome` is what the caller
    /// gets.
    fn after(&mut self, outcome: &Outcome) -> Option<(Request, Duration)> {
        let failure = self.policy.failure(outcome, self.scope, self.is_call)?;
        let status;
        let what = match outcome {
            Ok(response) => {
                status = grpc::effective_status(self.is_call, response);
                status.as_str()
            }
            Err(error) => error.reason().code(),
        };
        match self.again(&failure) {
            Ok((request, wait)) => {
                tracing::debug!(failure = what, retry = self.made, ?wait, "a request is retried");
                self.context.as_ref().inspect(|context| context.record().retry());
                Some((request, wait))
            }
            Err(cause) => {
                tracing::debug!(failure = what, retries = self.made, cause, "not retried");
                self.context.as_ref().inspect(|context| context.record().give_up(cause));
                None
            }
        }
    }

    /// The next try, or why there is none. What costs something is asked last.
    fn again(&mut self, failure: &Failure) -> Result<(Request, Duration), &'static str> {
        let kept = self.kept.as_ref().ok_or("max_retries")?;
        let body = kept.replay.again().ok_or("body")?;
        let asked = failure.retry_after.unwrap_or_default();
        if asked > self.policy.max_wait {
            return Err("retry_after");
        }
        let wait = self.policy.backoff(self.made).max(asked);
        let deadline = self.context.as_ref().and_then(RequestContext::deadline);
        let begins = Instant::now().checked_add(wait);
        if deadline.is_some_and(|deadline| begins.is_none_or(|begins| begins >= deadline)) {
            return Err("deadline");
        }
        if !self.policy.budget.withdraw() {
            return Err("budget");
        }
        self.made += 1;
        let head = if self.made < self.policy.max_retries {
            kept.head.again()
        } else {
            let Kept { head, replay } = self.kept.take().ok_or("max_retries")?;
            replay.settle();
            head.into_head()
        };
        Ok((Request::from_parts(head, body), wait))
    }

    /// There will be no other try.
    fn settle(self) {
        if let Some(kept) = self.kept {
            kept.replay.settle();
        }
    }
}

pin_project! {
    /// The future of a [`Retry`].
    pub struct ResponseFuture<S>
    where
        S: Service<Request>,
    {
        #[pin]
        state: State<S::Future>,
        // None when the request cannot be sent again.
        tries: Option<Tries<S>>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F> {
        Trying {
            #[pin]
            inner: F,
        },
        // None once it was sent.
        Waiting {
            next: Option<Box<Next>>,
        },
    }
}

/// The next try, until it begins. Boxed: it is rare, and would make every request's future larger.
struct Next {
    sleep: Pin<Box<Sleep>>,
    request: Request,
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
                Projected::Trying { inner } => {
                    let outcome = ready!(inner.poll(cx));
                    let again = this.tries.as_mut().and_then(|tries| tries.after(&outcome));
                    let Some((request, wait)) = again else {
                        if let Some(tries) = this.tries.take() {
                            tries.settle();
                        }
                        return Poll::Ready(outcome);
                    };
                    // Before the wait, so that nothing is held during it.
                    drop(outcome);
                    let next = Next { sleep: Box::pin(sleep(wait)), request };
                    State::Waiting { next: Some(Box::new(next)) }
                }
                Projected::Waiting { next: slot } => {
                    let (Some(next), Some(tries)) = (slot.as_mut(), this.tries.as_mut()) else {
                        return Poll::Pending;
                    };
                    ready!(next.sleep.as_mut().poll(cx));
                    ready!(tries.service.poll_ready(cx))?;
                    let Some(next) = slot.take() else {
                        return Poll::Pending;
                    };
                    State::Trying { inner: tries.service.call(next.request) }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S: Service<Request>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let retries = self.tries.as_ref().map(|tries| tries.made);
        f.debug_struct("ResponseFuture").field("retries", &retries).finish_non_exhaustive()
    }
}
