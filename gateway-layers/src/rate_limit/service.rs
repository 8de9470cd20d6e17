//! [`RateLimit`] and its future.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gateway_core::{Error, Outcome, Request, RequestExt, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::limiter::{Chosen, RateLimiter};
use super::store::{Decided, Deciding};

/// A service whose requests keep to limits; see the [module](super).
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    limiter: RateLimiter,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, limiter: RateLimiter) -> Self {
        Self { inner, limiter }
    }
}

impl<S> Service<Request> for RateLimit<S>
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
        let (chosen, decided) = self.limiter.ask(&request, true);
        let state = match decided {
            Decided::Now(decision) => {
                match self.limiter.settle(&chosen, decision, request.context()) {
                    Ok(()) => State::Running { inner: self.inner.call(request) },
                    Err(error) => State::Refused { error: Some(error) },
                }
            }
            Decided::Later(deciding) => {
                // The one that is ready waits with the request.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let limiter = self.limiter.clone();
                let waiting = Waiting { deciding, chosen, limiter, inner, request };
                State::Waiting { waiting: Some(Box::new(waiting)) }
            }
        };
        ResponseFuture { state }
    }
}

/// A request that waits for the decision of a store.
struct Waiting<S> {
    deciding: Deciding,
    chosen: Chosen,
    limiter: RateLimiter,
    inner: S,
    request: Request,
}

pin_project! {
    /// The future of a [`RateLimit`].
    pub struct ResponseFuture<S: Service<Request>> {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, F> {
        // None once it was handed out.
        Refused {
            error: Option<Error>,
        },
        // None once it was called.
        Waiting {
            waiting: Option<Box<Waiting<S>>>,
        },
        Running {
            #[pin]
            inner: F,
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
                Projected::Refused { error } => {
                    return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
                Projected::Running { inner } => return inner.poll(cx),
                Projected::Waiting { waiting: slot } => {
                    let Some(waiting) = slot.as_mut() else { return Poll::Pending };
                    let decision = ready!(waiting.deciding.as_mut().poll(cx));
                    let Some(waiting) = slot.take() else { return Poll::Pending };
                    let Waiting { chosen, limiter, mut inner, request, .. } = *waiting;
                    match limiter.settle(&chosen, decision, request.context()) {
                        Ok(()) => State::Running { inner: inner.call(request) },
                        Err(error) => State::Refused { error: Some(error) },
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S: Service<Request>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
