//! [`Mirrored`] and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use gateway_core::replay::Replay;
use gateway_core::{Body, End, Error, Outcome, Request, Response, Tasks};
use http_body::Body as _;
use pin_project_lite::pin_project;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower_service::Service;

use super::layer::Shared;
use super::send::Copy;
use super::tee::{Seen, tee};

/// A service whose requests are mirrored; see the [module](super).
#[derive(Clone)]
pub struct Mirrored<S> {
    inner: S,
    shared: Arc<Shared>,
    tasks: Tasks,
}

impl<S> Mirrored<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, tasks: Tasks) -> Self {
        Self { inner, shared, tasks }
    }

    /// The request for the first module, and what is to be seen of its answer.
    fn copy(&self, request: Request) -> (Request, Option<Watch>) {
        let Some(slot) = self.shared.choose(&request) else { return (request, None) };
        let settings = &self.shared.settings;
        let (watch, primary) = match &settings.compare {
            None => (None, None),
            Some(compare) => {
                let (tell, told) = oneshot::channel();
                let limit = compare.compare_limit;
                (Some(Watch { began: Instant::now(), tell, limit }), Some(told))
            }
        };
        let copy = Copy::of(&request, slot, self.tasks.clone(), primary);
        if request.body().is_end_stream() {
            copy.send(Body::empty());
            return (request, watch);
        }
        if request.body().size_hint().lower() > settings.body_limit as u64 {
            copy.skip(|shared| &shared.counts.skipped_large);
            return (request, None);
        }
        (request.map(|body| kept(body, copy, settings.body_limit)), watch)
    }
}

/// `body`, which goes to the mirror with `copy` when it has been read to its end.
fn kept(body: Body, copy: Copy, limit: usize) -> Body {
    let length = body.size_hint().exact();
    let replay = Replay::with_limit(body, limit);
    let first = replay.first();
    first.on_ended(move |ended| {
        // Whoever knows the length does not ask for what is behind it.
        if ended.end != End::Complete && length != Some(ended.bytes) {
            return copy.skip(|shared| &shared.counts.skipped_unread);
        }
        match replay.again() {
            Some(body) => copy.send(body),
            None => copy.skip(|shared| &shared.counts.skipped_large),
        }
    })
}

/// Sees the answer of the first module.
struct Watch {
    began: Instant,
    tell: oneshot::Sender<Seen>,
    limit: usize,
}

impl Watch {
    fn see(self, response: Response) -> Response {
        let seen = Seen::of(&response, self.began.elapsed());
        tee(response, seen, self.tell, self.limit)
    }
}

impl<S> Service<Request> for Mirrored<S>
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
        let (request, watch) = self.copy(request);
        ResponseFuture { inner: self.inner.call(request), watch }
    }
}

impl<S: fmt::Debug> fmt::Debug for Mirrored<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirrored").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a [`Mirrored`].
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        // None when the answer is not compared.
        watch: Option<Watch>,
    }
}

impl<F: Future<Output = Outcome>> Future for ResponseFuture<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(cx));
        let watch = this.watch.take();
        Poll::Ready(outcome.map(|response| match watch {
            Some(watch) => watch.see(response),
            None => response,
        }))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
