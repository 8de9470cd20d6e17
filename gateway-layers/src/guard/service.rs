//! [`GuardService`] and its future.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use gateway_core::{Error, Outcome, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{Checked, Guard, Wait};

/// A service behind a [`Guard`]; see the [module](super).
pub struct GuardService<S, G> {
    inner: S,
    guard: Arc<G>,
}

impl<S, G> GuardService<S, G> {
    pub(super) fn new(inner: S, guard: Arc<G>) -> Self {
        Self { inner, guard }
    }
}

impl<S, G> Service<Request> for GuardService<S, G>
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
    G: Guard,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> ResponseFuture<S> {
        let state = match self.guard.check(&mut request) {
            Checked::Pass => State::Running { inner: self.inner.call(request) },
            Checked::Reject(error) => State::Stopped { outcome: Some(Err(error)) },
            Checked::Answer(response) => State::Stopped { outcome: Some(Ok(response)) },
            Checked::Wait(wait) => {
                // The one that is ready waits with the request.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                State::Waiting { waiting: Some(Box::new(Waiting { wait, inner, request })) }
            }
        };
        ResponseFuture { state }
    }
}

impl<S: Clone, G> Clone for GuardService<S, G> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), guard: Arc::clone(&self.guard) }
    }
}

impl<S: fmt::Debug, G> fmt::Debug for GuardService<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// A request about which somebody is asked.
struct Waiting<S> {
    wait: Wait,
    inner: S,
    request: Request,
}

pin_project! {
    /// The future of a [`GuardService`].
    pub struct ResponseFuture<S: Service<Request>> {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, F> {
        // None once it was handed out.
        Stopped {
            outcome: Option<Outcome>,
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
                Projected::Stopped { outcome } => {
                    return outcome.take().map_or(Poll::Pending, Poll::Ready);
                }
                Projected::Running { inner } => return inner.poll(cx),
                Projected::Waiting { waiting: slot } => {
                    let Some(waiting) = slot.as_mut() else { return Poll::Pending };
                    let then = ready!(waiting.wait.as_mut().poll(cx));
                    match then(&mut waiting.request) {
                        Checked::Wait(wait) => {
                            waiting.wait = wait;
                            continue;
                        }
                        Checked::Reject(error) => State::Stopped { outcome: Some(Err(error)) },
                        Checked::Answer(response) => State::Stopped { outcome: Some(Ok(response)) },
                        Checked::Pass => {
                            let Some(waiting) = slot.take() else { return Poll::Pending };
                            let Waiting { mut inner, request, .. } = *waiting;
                            State::Running { inner: inner.call(request) }
                        }
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
