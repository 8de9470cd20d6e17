//! [`Observer`]: one trait through which logs, metrics, traces and audit see what happens.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode, Version};

use crate::body::End;
use crate::context::{ConnectionInfo, RequestContext};
use crate::error::{Error, GrpcStatus, Reason};

/// Receives typed events. Every method does nothing unless overridden; none may block.
pub trait Observer: Send + Sync + 'static {
    /// A request is over: its answer's body came to an end, whichever, or nobody waits for the answer
    /// any more.
    fn request_finished(&self, event: &RequestFinished<'_>) {
        let _ = event;
    }

    /// A server rejected what a client sent, because it is no request that could be handed on.
    fn request_rejected(&self, event: &RequestRejected<'_>) {
        let _ = event;
    }

    /// A client did not come through the TLS handshake.
    fn handshake_failed(&self, event: &HandshakeFailed<'_>) {
        let _ = event;
    }

    /// One try at an endpoint is over: its answer's head came, or it failed. A gRPC call whose status
    /// is behind its messages is over with them.
    fn attempt_finished(&self, event: &AttemptFinished<'_>) {
        let _ = event;
    }

    /// Something that lasts changed its state: a listener, a drain, an endpoint.
    fn state_changed(&self, event: &StateChanged<'_>) {
        let _ = event;
    }
}

/// A request is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct RequestFinished<'a> {
    /// What is known about the request.
    pub context: &'a RequestContext,
    /// The request's method.
    pub method: &'a Method,
    /// The normalised path, without the query (which may carry secrets).
    pub path: &'a str,
    /// The protocol of the client's connection.
    pub version: Version,
    /// The status of the answer.
    pub status: StatusCode,
    /// How a call of gRPC ended; `None` for any other request. A call that the client gave up is
    /// [`Cancelled`](GrpcStatus::Cancelled), one whose response broke off
    /// [`Unavailable`](GrpcStatus::Unavailable), and one without a status
    /// [`Unknown`](GrpcStatus::Unknown).
    pub grpc_status: Option<GrpcStatus>,
    /// Why the gateway answered itself; `None` for an answer of a module or upstream.
    pub reason: Option<Reason>,
    /// The failure in full when there was one.
    pub error: Option<&'a Error>,
    /// How the answer's body ended.
    pub end: End,
    /// Bytes of the answer's body that were handed to the client's connection.
    pub bytes: u64,
    /// From the request's head until the answer's head; `None` when there was none, because the
    /// client left before or the server was stopped.
    pub head_after: Option<Duration>,
    /// From the request's head until the answer's end.
    pub duration: Duration,
}

/// A server rejected what a client sent.
#[derive(Debug)]
#[non_exhaustive]
pub struct RequestRejected<'a> {
    /// The connection, which is closed after the answer.
    pub connection: &'a ConnectionInfo,
    /// Why.
    pub error: &'a Error,
}

impl<'a> RequestRejected<'a> {
    /// What came on `connection` was rejected for `error`.
    pub fn new(connection: &'a ConnectionInfo, error: &'a Error) -> Self {
        Self { connection, error }
    }
}

/// A client did not come through the TLS handshake.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandshakeFailed<'a> {
    /// The connection, which is closed.
    pub connection: &'a ConnectionInfo,
    /// Why, for people.
    pub cause: &'a str,
}

impl<'a> HandshakeFailed<'a> {
    /// The handshake on `connection` came to nothing because of `cause`.
    pub fn new(connection: &'a ConnectionInfo, cause: &'a str) -> Self {
        Self { connection, cause }
    }
}

/// One try at an endpoint is over.
#[derive(Debug)]
#[non_exhaustive]
pub struct AttemptFinished<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The endpoint's address as configured.
    pub endpoint: &'a str,
    /// The answer's status, or why there is none.
    pub outcome: Result<StatusCode, Reason>,
    /// The status of a gRPC call, where it is known: the event then comes with it.
    pub grpc_status: Option<GrpcStatus>,
    /// From the pick until the answer's head.
    pub duration: Duration,
}

/// Something that lasts changed its state.
#[derive(Debug)]
#[non_exhaustive]
pub struct StateChanged<'a> {
    /// The kind of thing: `listener`, `drain`, `snapshot`, `split`, `cluster`, `endpoint`, `discovery`,
    /// `breaker`, `module`.
    pub subject: &'static str,
    /// Its name.
    pub name: &'a str,
    /// What it is a part of: the cluster of an endpoint.
    pub within: Option<&'a str>,
    /// The state it left.
    pub from: &'static str,
    /// The state it is in.
    pub to: &'static str,
    /// Why, for people.
    pub cause: &'a str,
}

impl<'a> StateChanged<'a> {
    /// `subject` `name` went from one state to another because of `cause`.
    pub fn new(
        subject: &'static str,
        name: &'a str,
        from: &'static str,
        to: &'static str,
        cause: &'a str,
    ) -> Self {
        Self { subject, name, within: None, from, to, cause }
    }

    /// The same as a part of `whole`.
    #[must_use]
    pub fn within(mut self, whole: &'a str) -> Self {
        self.within = Some(whole);
        self
    }
}

impl<'a> AttemptFinished<'a> {
    /// A try at `endpoint` of `cluster` that ended with `outcome`.
    pub fn new(
        cluster: &'a str,
        endpoint: &'a str,
        outcome: Result<StatusCode, Reason>,
        duration: Duration,
    ) -> Self {
        Self { cluster, endpoint, outcome, grpc_status: None, duration }
    }

    /// The same for a gRPC call that ended with `status`.
    #[must_use]
    pub fn grpc_status(mut self, status: Option<GrpcStatus>) -> Self {
        self.grpc_status = status;
        self
    }
}

/// Observers that all see the same events. Cheap to clone.
#[derive(Clone, Default)]
pub struct Observers {
    list: Option<Arc<[Arc<dyn Observer>]>>,
}

impl Observers {
    /// Those of `list`; an empty list costs nothing at run time.
    pub fn new(list: Vec<Arc<dyn Observer>>) -> Self {
        Self { list: (!list.is_empty()).then(|| list.into()) }
    }

    /// The same observers, and `observer` behind them.
    #[must_use]
    pub fn with(&self, observer: impl Observer) -> Self {
        let mut list: Vec<_> = self.each().map(Arc::clone).collect();
        list.push(Arc::new(observer));
        Self::new(list)
    }

    /// True when nobody looks.
    pub fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    fn each(&self) -> impl Iterator<Item = &Arc<dyn Observer>> {
        self.list.iter().flat_map(|list| list.iter())
    }
}

impl Observer for Observers {
    fn request_finished(&self, event: &RequestFinished<'_>) {
        self.each().for_each(|observer| observer.request_finished(event));
    }

    fn request_rejected(&self, event: &RequestRejected<'_>) {
        self.each().for_each(|observer| observer.request_rejected(event));
    }

    fn handshake_failed(&self, event: &HandshakeFailed<'_>) {
        self.each().for_each(|observer| observer.handshake_failed(event));
    }

    fn attempt_finished(&self, event: &AttemptFinished<'_>) {
        self.each().for_each(|observer| observer.attempt_finished(event));
    }

    fn state_changed(&self, event: &StateChanged<'_>) {
        self.each().for_each(|observer| observer.state_changed(event));
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Observers").field(&self.each().count()).finish()
    }
}
