//! [`CircuitBreakerService`] and its future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gateway_core::{Error, Outcome, Reason, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::breaker::CircuitBreaker;
use super::permit::Permit;

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
            Err(error) => ResponseFuture { kind: Kind::Rejected { error: Some(error) } },
        }
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
        Rejected { error: Option<Error> },
    }
}

impl<F: Future<Output = Outcome>> Future for ResponseFuture<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.project().kind.project() {
            KindProjection::Admitted { inner, permit } => {
                let mut outcome = ready!(permit.entered(|| inner.poll(cx)));
                permit.settle(&mut outcome);
                Poll::Ready(outcome)
            }
            KindProjection::Rejected { error } => {
                let error = error.take();
                Poll::Ready(Err(error.unwrap_or_else(|| Reason::CircuitOpen.into())))
            }
        }
    }
}
