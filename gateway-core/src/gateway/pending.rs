//! [`Pending`]: a request on its way through the gateway, of whose end the observers hear.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode, Uri, Version};
use pin_project_lite::pin_project;

use crate::body::{End, Ended};
use crate::context::RequestContext;
use crate::error::{Error, GrpcStatus, Reason};
use crate::grpc;
use crate::message::{Outcome, Request, Response};
use crate::observe::{Observer, Observers, RequestFinished};
use crate::respond::{self, ClientProtocol, ErrorSource, GatewayGenerated};

/// A request that has no response yet.
pub(super) struct Pending<'a> {
    observers: &'a Observers,
    /// `None` where nobody looks.
    seen: Option<Seen>,
    context: RequestContext,
    caller: ClientProtocol,
}

/// What the observers want to know of a request that is gone by then.
struct Seen {
    method: Method,
    uri: Uri,
    version: Version,
}

/// What the observers want to know of a response.
struct Answered<'e> {
    status: StatusCode,
    reason: Option<Reason>,
    error: Option<&'e Error>,
    grpc_status: Option<GrpcStatus>,
    head_after: Option<Duration>,
}

impl<'a> Pending<'a> {
    pub(super) fn new(
        observers: &'a Observers,
        request: &Request,
        context: RequestContext,
        caller: ClientProtocol,
    ) -> Self {
        let seen = (!observers.is_empty()).then(|| Seen {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
        });
        Self { observers, seen, context, caller }
    }

    /// Turns a failure into an answer, and tells the observers when the answer has ended.
    pub(super) fn finish(self, outcome: Outcome) -> Response {
        let Self { observers, seen, context, caller } = self;
        let (mut response, error) = match outcome {
            Ok(response) => (response, None),
            Err(error) => (respond::answer(&error, caller), Some(error)),
        };
        context.apply_response_edits(response.headers_mut());
        context.connection().listener.origin.apply(response.headers_mut());
        let Some(seen) = seen else {
            return response;
        };
        let observers = observers.clone();
        let head_after = Some(context.started().elapsed());
        let status = response.status();
        let reason = response.extensions().get::<GatewayGenerated>().map(|made| made.0);
        let told = response.extensions_mut().remove::<ErrorSource>();
        let is_grpc = caller == ClientProtocol::Grpc;
        let head_status = if is_grpc { grpc::head_status(&response) } else { None };
        response.map(|body| {
            body.on_ended(move |mut ended| {
                if reason == Some(Reason::ClientGone) {
                    // It was written, but nobody reads it.
                    ended.end = End::Dropped;
                }
                let grpc_status = is_grpc.then(|| grpc_end(status, head_status, ended));
                let told = told.as_ref().map(|told| &*told.0);
                let error = error.as_ref().or(told);
                let answered = Answered { status, reason, error, grpc_status, head_after };
                seen.tell(&observers, &context, &answered, ended);
            })
        })
    }

    /// The request's future was dropped before there was a response: the client left, or the server
    /// was stopped.
    fn abandon(&self) {
        let stopped = self.context.connection().is_cut();
        let reason = if stopped { Reason::ShutDown } else { Reason::ClientGone };
        // The attempt in flight, which ends now, is told why.
        self.context.record().abandon(reason);
        let Some(seen) = &self.seen else {
            return;
        };
        let is_grpc = self.caller == ClientProtocol::Grpc;
        let answered = Answered {
            status: reason.status(),
            reason: Some(reason),
            error: None,
            grpc_status: is_grpc.then(|| reason.grpc_status()),
            head_after: None,
        };
        let ended = Ended::dropped();
        seen.tell(self.observers, &self.context, &answered, ended);
    }
}

impl Seen {
    fn tell(
        &self,
        observers: &Observers,
        context: &RequestContext,
        answered: &Answered<'_>,
        ended: Ended,
    ) {
        observers.request_finished(&RequestFinished {
            context,
            method: &self.method,
            path: context.target().unwrap_or(&self.uri).path(),
            version: self.version,
            status: answered.status,
            grpc_status: answered.grpc_status,
            reason: answered.reason,
            error: answered.error,
            end: ended.end,
            bytes: ended.bytes,
            head_after: answered.head_after,
            duration: context.started().elapsed(),
        });
    }
}

/// How a call ended for its client.
fn grpc_end(status: StatusCode, head: Option<GrpcStatus>, ended: Ended) -> GrpcStatus {
    let stated = head.or(ended.grpc_status);
    stated.unwrap_or_else(|| match ended.end {
        _ if status != StatusCode::OK => GrpcStatus::of_http(status),
        End::Complete => GrpcStatus::Unknown,
        End::Broken(reason) => reason.grpc_status(),
        End::Dropped => GrpcStatus::Cancelled,
    })
}

pin_project! {
    /// The target's future, which is dropped early when nobody waits for the response any more.
    pub(super) struct Handled<'p, F> {
        #[pin]
        call: F,
        // None once there is an outcome.
        pending: Option<&'p Pending<'p>>,
    }

    impl<F> PinnedDrop for Handled<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            // Before the call itself is dropped, and what waits in it.
            if let Some(pending) = this.project().pending.take() {
                pending.abandon();
            }
        }
    }
}

impl<'p, F> Handled<'p, F> {
    pub(super) fn new(call: F, pending: &'p Pending<'p>) -> Self {
        Self { call, pending: Some(pending) }
    }
}

impl<F: Future<Output = Outcome>> Future for Handled<'_, F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        let outcome = ready!(this.call.poll(cx));
        *this.pending = None;
        Poll::Ready(outcome)
    }
}
