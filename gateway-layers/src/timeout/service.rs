//! [`Timeout`] and its future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gateway_core::{Error, Outcome, Reason, Request, RequestContext, RequestExt, Response};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::budget;

/// A service whose requests have a deadline; see the [module](super).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    timeout: Duration,
    honor_client_deadline: bool,
}

impl<S> Timeout<S> {
    pub(super) fn new(inner: S, timeout: Duration, honor_client_deadline: bool) -> Self {
        Self { inner, timeout, honor_client_deadline }
    }

    /// When `request` is out of time, and whether its server looks at that moment by itself.
    fn limit(&self, request: &Request) -> Limit {
        let stated =
            self.honor_client_deadline.then(|| budget::stated(request.headers())).flatten();
        let timeout = stated.map_or(self.timeout, |stated| stated.min(self.timeout));
        let context = request.context();
        let started = context.map_or_else(Instant::now, RequestContext::started);
        // A moment too far off to be expressed is never reached.
        let Some(own) = started.checked_add(timeout) else {
            return Limit::default();
        };
        let Some(context) = context else {
            return Limit { at: Some(own), watched: false, context: None };
        };
        // The outermost layer's deadline is the request's; a nearer one is ours alone to watch.
        let shared = if timeout < self.timeout {
            context.set_stated_deadline(own)
        } else {
            context.set_deadline(own)
        };
        Limit {
            at: Some(own.min(shared)),
            watched: shared <= own && context.is_woken_at_deadline(),
            context: Some(context.clone()),
        }
    }
}

/// The moment at which a request is out of time.
#[derive(Debug, Default)]
struct Limit {
    at: Option<Instant>,
    /// The future is polled at that moment, whoever else wakes it.
    watched: bool,
    context: Option<RequestContext>,
}

impl Limit {
    fn has_passed(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
    }

    /// The failure of a request whose time has passed: the client's while its body is waited for.
    fn failure(&self) -> Error {
        self.context.as_ref().map_or(Reason::RouteTimeout, RequestContext::overdue_reason).into()
    }
}

impl<S> Service<Request> for Timeout<S>
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
        let limit = self.limit(&request);
        // What is late already is not begun: an upstream would work for nobody.
        let inner = (!limit.has_passed()).then(|| self.inner.call(request));
        ResponseFuture { inner, limit, sleep: None }
    }
}

pin_project! {
    /// The future of a [`Timeout`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // None when the request was late before it began.
        #[pin]
        inner: Option<F>,
        limit: Limit,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<F: Future<Output = Outcome>> Future for ResponseFuture<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(Err(Reason::RouteTimeout.into()));
        };
        if let Poll::Ready(outcome) = inner.poll(cx) {
            return Poll::Ready(outcome);
        }
        let Some(at) = this.limit.at else {
            return Poll::Pending;
        };
        let late = if this.limit.watched {
            this.limit.has_passed()
        } else {
            if this.sleep.is_none() {
                this.sleep.set(Some(sleep_until(at)));
            }
            let sleep = this.sleep.as_mut().as_pin_mut();
            sleep.is_some_and(|sleep| sleep.poll(cx).is_ready())
        };
        if late {
            return Poll::Ready(Err(this.limit.failure()));
        }
        Poll::Pending
    }
}
