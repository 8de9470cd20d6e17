//! [`FilterService`] and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use gateway_core::{Error, Outcome, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Filter, Flow};

/// A service behind a [`Filter`]; see the [module](super).
pub struct FilterService<S, F> {
    inner: S,
    filter: Arc<F>,
}

impl<S, F> FilterService<S, F> {
    pub(super) fn new(inner: S, filter: Arc<F>) -> Self {
        Self { inner, filter }
    }
}

impl<S, F> Service<Request> for FilterService<S, F>
where
    S: Service<Request, Response = Response, Error = Error>,
    F: Filter,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let state = match self.filter.apply(&mut head) {
            Flow::Continue => {
                State::Passed { inner: self.inner.call(Request::from_parts(head, body)) }
            }
            Flow::Reject(error) => State::Stopped { outcome: Some(Err(error)) },
            Flow::Answer(response) => State::Stopped { outcome: Some(Ok(response)) },
        };
        ResponseFuture { state }
    }
}

impl<S: Clone, F> Clone for FilterService<S, F> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), filter: Arc::clone(&self.filter) }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for FilterService<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a [`FilterService`].
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<F> {
        Passed {
            #[pin]
            inner: F,
        },
        // None once it was handed out.
        Stopped {
            outcome: Option<Outcome>,
        },
    }
}

impl<F: Future<Output = Outcome>> Future for ResponseFuture<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.project().state.project() {
            Projected::Passed { inner } => inner.poll(cx),
            Projected::Stopped { outcome } => outcome.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
