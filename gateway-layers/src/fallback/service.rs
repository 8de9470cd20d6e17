//! [`Fallback`] and its future.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use gateway_core::module::ModuleFuture;
use gateway_core::replay::Replay;
use gateway_core::{
    Body, Error, Module, Outcome, Reason, Request, RequestContext, RequestExt, Response, context,
    grpc,
};
use http::{HeaderName, HeaderValue, StatusCode, request};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower_service::Service;

use super::config::{FailureKind, FallbackConfig};

/// Says who answered in the place of a failure.
pub const FALLBACK: HeaderName = HeaderName::from_static("x-gateway-fallback");

/// A service with somebody behind it who is asked when it fails; see the [module](super).
#[derive(Clone, Debug)]
pub struct Fallback<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) module: Module,
    /// The answer is always the same one and needs no request.
    pub(super) fixed: bool,
    pub(super) name: Arc<str>,
    pub(super) mark: HeaderValue,
    pub(super) config: FallbackConfig,
}

impl<S> Fallback<S> {
    pub(super) fn new(inner: S, shared: Shared) -> Self {
        Self { inner, shared: Arc::new(shared) }
    }
}

impl<S> Service<Request> for Fallback<S>
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
        let context = request.context().cloned();
        let is_call = grpc::is_call(request.method(), request.headers());
        let (request, again) = if self.shared.fixed {
            (request, None)
        } else {
            let (request, again) = Again::keep(request, self.shared.config.replay_limit);
            (request, Some(again))
        };
        let inner = self.inner.call(request);
        ResponseFuture {
            shared: Arc::clone(&self.shared),
            context,
            is_call,
            stage: Stage::First { inner, again },
        }
    }
}

/// A request that can be made once more.
#[derive(Debug)]
struct Again {
    head: Box<request::Parts>,
    replay: Replay,
}

impl Again {
    fn keep(request: Request, limit: usize) -> (Request, Self) {
        let (head, body) = request.into_parts();
        let replay = Replay::with_limit(body, limit);
        let again = Self { head: Box::new(head.clone()), replay };
        let body = again.replay.first();
        (Request::from_parts(head, body), again)
    }

    /// The request for the fallback, or why there is none.
    fn request(self, first: &Outcome, any_method: bool) -> Result<Request, &'static str> {
        if self.replay.broken().is_some() {
            return Err("not asked: the client's body broke off");
        }
        let unsent = first.as_ref().is_err_and(Error::is_unsent);
        if !unsent && !any_method && !self.head.method.is_idempotent() {
            return Err("not asked: the request may have been carried out already");
        }
        let Some(body) = self.replay.again() else {
            return Err("not asked: the request's body is gone");
        };
        self.replay.settle();
        Ok(Request::from_parts(*self.head, body))
    }
}

impl Shared {
    /// How `outcome` failed, if it is a failure that is fallen back from.
    fn failed(
        &self,
        outcome: &Outcome,
        context: Option<&RequestContext>,
        is_call: bool,
    ) -> Option<Result<StatusCode, Reason>> {
        match outcome {
            Ok(response) => {
                let status = grpc::effective_status(is_call, response);
                self.config.statuses.contains(&status).then_some(Ok(status))
            }
            Err(error) => {
                let reason = error.reason();
                let kind = FailureKind::of(reason)?;
                // The client's own hurry is no failure, and nobody reads the answer any more.
                let hurried = reason == Reason::RouteTimeout
                    && !context.is_some_and(|context| context.is_overdue(Instant::now()));
                (self.config.on.contains(&kind) && !hurried).then_some(Err(reason))
            }
        }
    }

    /// Asks the fallback, or says why not.
    fn ask(&self, first: &Outcome, again: Option<Again>) -> Result<ModuleFuture, &'static str> {
        let request = match again {
            Some(again) => again.request(first, self.config.any_method)?,
            None => Request::new(Body::empty()),
        };
        Ok(self.module.call(request))
    }

    fn note(
        &self,
        context: Option<&RequestContext>,
        failed: Result<StatusCode, Reason>,
        failure: Option<String>,
    ) {
        tracing::debug!(fallback = &*self.name, ?failed, failure, "fell back");
        if let Some(context) = context {
            let note = context::Fallback::new(Arc::clone(&self.name), failed);
            context.record().fall_back(match failure {
                Some(failure) => note.with_failure(failure),
                None => note,
            });
        }
    }
}

/// With what led to it, which the client is not told.
fn in_full(error: &Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

pin_project! {
    /// The future of a [`Fallback`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        shared: Arc<Shared>,
        context: Option<RequestContext>,
        // A call of gRPC, whose status counts.
        is_call: bool,
        #[pin]
        stage: Stage<F>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F> {
        First {
            #[pin]
            inner: F,
            again: Option<Again>,
        },
        Second {
            call: ModuleFuture,
            failed: Result<StatusCode, Reason>,
            // Taken with the last poll.
            first: Option<Outcome>,
        },
    }
}

impl<F: Future<Output = Outcome>> Future for ResponseFuture<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        let context = this.context.as_ref();
        if let StageProjection::First { inner, again } = this.stage.as_mut().project() {
            let outcome = ready!(inner.poll(cx));
            let again = again.take();
            let Some(failed) = this.shared.failed(&outcome, context, *this.is_call) else {
                if let Some(again) = again {
                    again.replay.settle();
                }
                return Poll::Ready(outcome);
            };
            match this.shared.ask(&outcome, again) {
                Ok(call) => {
                    this.stage.set(Stage::Second { call, failed, first: Some(outcome) });
                }
                Err(why) => {
                    this.shared.note(context, failed, Some(why.to_owned()));
                    return Poll::Ready(outcome);
                }
            }
        }
        let StageProjection::Second { call, failed, first } = this.stage.project() else {
            return Poll::Pending;
        };
        match ready!(call.as_mut().poll(cx)) {
            Ok(mut response) => {
                response.headers_mut().insert(FALLBACK, this.shared.mark.clone());
                this.shared.note(context, *failed, None);
                Poll::Ready(Ok(response))
            }
            Err(error) => {
                this.shared.note(context, *failed, Some(in_full(&error)));
                Poll::Ready(first.take().unwrap_or(Err(error)))
            }
        }
    }
}

impl<F> fmt::Debug for Stage<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First { .. } => "First",
            Self::Second { .. } => "Second",
        })
    }
}
