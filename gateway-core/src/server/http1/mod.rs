//! HTTP/1.1 and 1.0 on the client's side: one loop that reads a request, lets the module answer
//! it, writes the answer, and goes on.

mod answer;
mod body_writer;
mod incoming;
mod linger;
mod wire;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use http::{Method, Version, header};
use tokio::time::Instant;

use self::answer::Written;
use self::incoming::Incoming;
use self::wire::{Client, HALF_CLOSE_GRACE, LOOK_BEHIND_EVERY, SharedWire, Wire};
use super::expect;
use super::pace::Patience;
use super::session::Session;
use crate::body::Body;
use crate::context::{ConnectionInfo, Interim, RequestContext};
use crate::error::{Error, Reason};
use crate::http1::decode::Decoder;
use crate::http1::head::RequestHead;
use crate::message::{Outcome, Request};
use crate::module::ModuleService;
use crate::observe::{Observer, RequestRejected};
use crate::stream::NetStream;
use crate::timer::ResettableTimer;
use crate::validation::{self, Framing};

/// A connection quiet for this long is taken apart and held as a bare socket: it keeps no buffer,
/// no timer of ours and no state.
pub(super) const QUIET_AFTER: Duration = Duration::from_secs(1);

/// What became of a connection.
pub(super) enum Served {
    /// It is closed.
    Closed,
    /// It has nothing to say for now; every request on it has been answered.
    Quiet {
        stream: NetStream,
        /// No request has come on it.
        begins: bool,
    },
}

/// Serves requests on `stream` until the connection ends or falls quiet. `read` is what has been
/// read from it already; it `begins` when no request has come on it before.
pub(super) async fn serve<M: ModuleService>(
    stream: NetStream,
    read: BytesMut,
    session: &Session<M>,
    info: &Arc<ConnectionInfo>,
    closes_at: Instant,
    begins: bool,
) -> Served {
    let patience = Patience::new(&session.timeouts);
    let connection = Http1 {
        wire: SharedWire::new(Wire::new(stream, read, patience)),
        alarm: ResettableTimer::default(),
        session,
        info,
        closes_at,
        begins,
    };
    connection.run().await
}

struct Http1<'a, M> {
    wire: SharedWire,
    alarm: ResettableTimer,
    session: &'a Session<M>,
    info: &'a Arc<ConnectionInfo>,
    /// After this moment no further request is taken.
    closes_at: Instant,
    /// The first request has not begun.
    begins: bool,
}

/// What the wait for a request came to.
#[allow(clippy::large_enum_variant, reason = "a box for every request to shrink a local")]
enum Next {
    Request(RequestHead),
    Rejected(Error),
    Quiet,
    Closed,
}

/// What the answer needs to know about its request.
#[derive(Clone, Copy, Debug)]
struct Asked {
    version: Version,
    head_only: bool,
    keep_alive: bool,
    /// The client itself said that this is its last request.
    last: bool,
    upgrade: bool,
    /// When the response must be out as a whole.
    deadline: Option<Instant>,
}

impl<M: ModuleService> Http1<'_, M> {
    async fn run(mut self) -> Served {
        loop {
            match self.next().await {
                Next::Request(head) => match self.exchange(head).await {
                    Written::KeepAlive => {}
                    Written::Close => return Box::pin(self.close()).await,
                    Written::Ended => return Served::Closed,
                },
                Next::Rejected(error) => {
                    if error.reason() != Reason::ClientGone {
                        Box::pin(self.reject(&error)).await;
                        return Box::pin(self.close()).await;
                    }
                    return Served::Closed;
                }
                Next::Quiet => {
                    let begins = self.begins;
                    return Served::Quiet { stream: self.wire.take().stream, begins };
                }
                Next::Closed => {
                    self.wire.lock().stream.say_goodbye();
                    return Served::Closed;
                }
            }
        }
    }

    /// Waits for a request.
    async fn next(&mut self) -> Next {
        let mut waits_since = None;
        let mut head_since = None;
        let limits = self.session.limits.head();
        let (header, idle) = (self.session.timeouts.header, self.session.timeouts.idle);
        let Self { wire, alarm, session, begins, .. } = self;
        poll_fn(|cx| {
            let mut wire = wire.lock();
            let head = wire.poll_head(cx, &limits);
            *begins &= head.is_pending() && wire.is_between_requests();
            if let Poll::Ready(head) = head {
                return Poll::Ready(match head {
                    Ok(Some(head)) => Next::Request(head),
                    Ok(None) => Next::Closed,
                    Err(error) => Next::Rejected(error),
                });
            }
            let between = wire.is_between_requests();
            if between && session.drain.has_started() {
                return Poll::Ready(Next::Closed);
            }
            let parks = wire.stream.can_wait();
            let quiet = if *begins { header } else { idle };
            let wait = match (between, parks) {
                (false, _) => header,
                (true, true) => QUIET_AFTER.min(quiet),
                (true, false) => quiet,
            };
            let since = if between { &mut waits_since } else { &mut head_since };
            let since = *since.get_or_insert_with(Instant::now);
            match alarm.poll(cx, since + wait) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) if !between => {
                    Poll::Ready(Next::Rejected(Reason::RequestTimeout.into()))
                }
                Poll::Ready(()) if parks => Poll::Ready(Next::Quiet),
                Poll::Ready(()) => Poll::Ready(Next::Closed),
            }
        })
        .await
    }

    /// Answers one request.
    async fn exchange(&mut self, head: RequestHead) -> Written {
        let started = Instant::now();
        let framing = match check(&head) {
            Ok(framing) => framing,
            Err(error) => {
                Box::pin(self.reject(&error)).await;
                return Written::Close;
            }
        };
        let last = !wants_keep_alive(&head);
        let keep_alive = !last && started < self.closes_at;
        let mut asked = Asked {
            version: head.version,
            head_only: head.method == Method::HEAD,
            keep_alive,
            last,
            upgrade: head.version == Version::HTTP_11 && head.headers.contains_key(header::UPGRADE),
            deadline: None,
        };
        let request = self.request(head, framing, started);
        let context = request.extensions().get::<RequestContext>().cloned();
        let outcome = self.call(request, started, context.as_ref()).await;
        asked.deadline = context.as_ref().and_then(RequestContext::deadline);
        drop(context);
        match outcome {
            Some(outcome) => self.answer(outcome, asked).await,
            None => Written::Ended,
        }
    }

    /// The request of `head`, with its body and context.
    fn request(&self, mut head: RequestHead, framing: Framing, started: Instant) -> Request {
        let (decoder, length) = match framing {
            Framing::None => (Decoder::Done, Some(0)),
            Framing::Length(length) => (Decoder::length(length), Some(length)),
            Framing::Chunked => (Decoder::chunked(), None),
            // Only HTTP/2 has bodies whose length nothing states.
            Framing::Stream => (Decoder::Done, Some(0)),
        };
        let mut expects_continue = false;
        if !decoder.is_done() && head.headers.remove(header::EXPECT).is_some() {
            // A client that has sent some of its body already waits for no word.
            let waits = self.wire.lock().read.is_empty();
            expects_continue = waits && head.version == Version::HTTP_11;
        }
        if expects_continue {
            head.headers.insert(header::EXPECT, expect::CONTINUE);
        }
        let here = length.and_then(|length| self.wire.lock().take_whole_body(length));
        let body = match here {
            Some(bytes) => {
                self.wire.lock().begin_body(Decoder::Done, false);
                Body::full(bytes)
            }
            None => {
                self.wire.lock().begin_body(decoder, expects_continue);
                Body::from_boxed(Box::pin(Incoming::new(self.wire.clone(), length)))
            }
        };
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers;
        let interim =
            (request.version() == Version::HTTP_11).then(|| Interim::new(self.wire.interim_sink()));
        let context = RequestContext::watched(Arc::clone(self.info), started, interim);
        request.extensions_mut().insert(context);
        request
    }

    /// Lets the module answer; `None` when the client left meanwhile.
    async fn call(
        &mut self,
        request: Request,
        started: Instant,
        context: Option<&RequestContext>,
    ) -> Option<Outcome> {
        let mut call = pin!(self.session.module.call(request));
        let Self { wire, alarm, .. } = self;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = call.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            loop {
                let mut guard = wire.lock();
                let _ = guard.poll_flush(cx);
                let leaves = match guard.poll_leaving(cx) {
                    Client::Sending => None,
                    Client::Closed(at) => Some(at.max(started) + HALF_CLOSE_GRACE),
                    Client::Gone => return Poll::Ready(None),
                };
                let too_slow = guard.body_deadline();
                let out_of_time = context.and_then(RequestContext::deadline);
                let looks = guard.must_look_behind().then(|| Instant::now() + LOOK_BEHIND_EVERY);
                let next = [leaves, too_slow, out_of_time, looks].into_iter().flatten().min();
                guard.owner_looks_at(next);
                drop(guard);
                let Some(next) = next else {
                    return Poll::Pending;
                };
                if alarm.poll(cx, next).is_pending() {
                    return Poll::Pending;
                }
                if leaves == Some(next) {
                    return Poll::Ready(None);
                }
                if too_slow == Some(next) {
                    wire.lock().fail_body(Reason::RequestTimeout);
                }
                // Whoever waits for the deadline inside of the call sees it pass now.
                if let Poll::Ready(outcome) = call.as_mut().poll(cx) {
                    return Poll::Ready(Some(outcome));
                }
                if out_of_time == Some(next) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Answers what is no request.
    async fn reject(&mut self, error: &Error) {
        self.session.observers.request_rejected(&RequestRejected::new(self.info, error));
        self.wire.lock().begin_body(Decoder::Done, false);
        let asked = Asked {
            version: Version::HTTP_11,
            head_only: false,
            keep_alive: false,
            last: false,
            upgrade: false,
            deadline: None,
        };
        let response = crate::respond::problem(error);
        self.answer(Ok(response), asked).await;
    }

    /// Ends the connection so that the client can still read what was written.
    async fn close(self) -> Served {
        linger::close(self.wire.take().stream, self.alarm).await;
        Served::Closed
    }
}

/// Rejects a head that can be read in more than one way.
fn check(head: &RequestHead) -> Result<Framing, Error> {
    if head.method == Method::CONNECT {
        return Err(Reason::ConnectNotAllowed.into());
    }
    let framing = validation::framing(head.version, &head.headers)?;
    // HTTP/1.0 has no expectations (RFC 9110, section 10.1.1).
    if head.version == Version::HTTP_11 && expect::is_continue(&head.headers) == Some(false) {
        return Err(Reason::ExpectationFailed.into());
    }
    Ok(framing)
}

/// RFC 9112, section 9.3.
fn wants_keep_alive(head: &RequestHead) -> bool {
    let mut keep_alive = head.version == Version::HTTP_11;
    for value in head.headers.get_all(header::CONNECTION) {
        for option in value.as_bytes().split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    keep_alive
}

/// Polls `body` for its next frame.
fn poll_frame(
    body: &mut Body,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Error>>> {
    http_body::Body::poll_frame(Pin::new(body), cx)
}
