//! HTTP/2 on the client's side, on hyper.

mod receiving;
mod sending;
mod streams;
mod transport;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use http::{Method, header};
use http_body::Body as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use self::receiving::Receiving;
use self::sending::Sending;
use self::streams::{LastLook, Look, Stream, StreamSpawner, Streams};
use self::transport::Transport;
use super::expect;
use super::pace::Patience;
use super::session::Session;
use super::settings::Limits;
use crate::body::{Body, End};
use crate::context::{ConnectionInfo, RequestContext};
use crate::error::{Error, Reason};
use crate::message::{Request, Response, is_event_stream};
use crate::module::ModuleService;
use crate::observe::{Observer, RequestRejected};
use crate::stream::NetStream;
use crate::timer::ResettableTimer;
use crate::{extended_connect, hop_headers, respond};

/// What a client may send on a stream before it must wait.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The largest window that there is (RFC 9113, section 6.9.1).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// What is held of an answer that its client does not take, per stream.
const SEND_BUFFER: usize = 64 * 1024;

/// Serves HTTP/2 on `stream` until the connection ends. `read` is what has been read from it
/// already.
pub(super) async fn serve<M: ModuleService>(
    stream: NetStream,
    read: BytesMut,
    session: Arc<Session<M>>,
    info: Arc<ConnectionInfo>,
    closes_at: Instant,
) {
    let streams = Streams::new(session.timeouts.body_idle);
    let service = Http2 { session: Arc::clone(&session), info, streams: Arc::clone(&streams) };
    let builder = builder(&session, &streams);
    let io = TokioIo::new(Transport::new(stream, read, Arc::clone(&streams)));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut alarm = ResettableTimer::default();
    let mut leaving = pin!(session.drain.time_to_leave());
    let mut shutting_down = false;
    let mut quiet_since = Some(Instant::now());
    let mut limit = session.timeouts.header;
    let mut last_look = LastLook::new();
    poll_fn(|cx| {
        // Before the connection is polled, which writes the GOAWAY.
        if !shutting_down && leaving.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
            shutting_down = true;
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "HTTP/2 connection ended");
            }
            return Poll::Ready(());
        }
        streams.watch(cx);
        match (streams.open(), quiet_since) {
            (0, None) => quiet_since = Some(Instant::now()),
            (1.., Some(_)) => {
                quiet_since = None;
                limit = session.timeouts.idle;
            }
            _ => {}
        }
        loop {
            let closes = match quiet_since {
                Some(since) => Some(since + limit),
                None => (!shutting_down).then_some(closes_at),
            };
            let looks = streams.due().filter(|_| quiet_since.is_none());
            let Some(next) = [closes, looks].into_iter().flatten().min() else {
                return Poll::Pending;
            };
            if alarm.poll(cx, next).is_pending() {
                return Poll::Pending;
            }
            if looks == Some(next) {
                // First everything moves that can.
                streams.insist(true);
                let polled = connection.as_mut().poll(cx);
                streams.insist(false);
                if polled.is_ready() {
                    return Poll::Ready(());
                }
                match streams.look(Instant::now(), &mut last_look) {
                    Look::Done => continue,
                    Look::Stuck => return Poll::Ready(()),
                }
            }
            if quiet_since.is_some() && shutting_down {
                return Poll::Ready(());
            }
            // GOAWAY first; whoever does not take it is cut after the same time again.
            connection.as_mut().graceful_shutdown();
            shutting_down = true;
            quiet_since = quiet_since.map(|_| Instant::now());
            limit = GOAWAY_TAKEN;
        }
    })
    .await;
}

fn builder<M>(
    session: &Session<M>,
    streams: &Arc<Streams>,
) -> hyper::server::conn::http2::Builder<StreamSpawner> {
    let mut builder = hyper::server::conn::http2::Builder::new(StreamSpawner(Arc::clone(streams)));
    // As much as on all streams together, so that streams whose bodies are not read cannot hold up
    // the others.
    let window = STREAM_WINDOW.saturating_mul(session.limits.streams).min(LARGEST_WINDOW);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(session.limits.streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(window.max(STREAM_WINDOW))
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(session.limits.headers).unwrap_or(u32::MAX))
        .keep_alive_interval(session.timeouts.idle)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER)
        .enable_connect_protocol();
    builder
}

/// A client that was sent a ping answers it within this time.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);

/// A client without open streams takes its GOAWAY within this time.
const GOAWAY_TAKEN: Duration = Duration::from_secs(1);

struct Http2<M> {
    session: Arc<Session<M>>,
    info: Arc<ConnectionInfo>,
    streams: Arc<Streams>,
}

impl<M: ModuleService> hyper::service::Service<http::Request<hyper::body::Incoming>> for Http2<M> {
    type Response = http::Response<Sending>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: http::Request<hyper::body::Incoming>) -> Self::Future {
        let session = Arc::clone(&self.session);
        let now = Instant::now();
        let context = RequestContext::new(Arc::clone(&self.info), now);
        let stream = self.streams.enter(now);
        Box::pin(async move {
            stream.starts();
            let mut stream = Some(stream);
            let mut response = answer(&session, request, context, &mut stream).await;
            session.listener.origin.apply(response.headers_mut());
            Ok(response.map(|body| Sending::new(body, stream)))
        })
    }
}

/// Answers one stream.
async fn answer<M: ModuleService>(
    session: &Session<M>,
    mut request: http::Request<hyper::body::Incoming>,
    context: RequestContext,
    stream: &mut Option<Arc<Stream>>,
) -> Response {
    // Before they are counted: a cookie may come in many crumbs.
    hop_headers::join_cookies(request.headers_mut());
    let accepted = check_limits(&request, &session.limits)
        .and_then(|()| extended_connect::accept(&mut request));
    let tunnel = match accepted {
        Ok(tunnel) => tunnel,
        Err(error) => {
            let event = RequestRejected::new(context.connection(), &error);
            session.observers.request_rejected(&event);
            return respond::problem(&error);
        }
    };
    // The client cannot be told to go on, and does so by itself (RFC 9110, section 10.1.1).
    if expect::is_continue(request.headers()) == Some(true) {
        request.headers_mut().remove(header::EXPECT);
    }
    let head_only = request.method() == Method::HEAD;
    let mut answered = None;
    let mut request: Request =
        request.map(|body| received(body, Patience::new(&session.timeouts), &mut answered));
    request.extensions_mut().clear();
    request.extensions_mut().insert(context.clone());
    let mut response = match session.module.call(request).await {
        Ok(response) => response,
        Err(error) => respond::problem(&error),
    };
    if let Some(answered) = answered {
        answered.store(true, Ordering::Release);
    }
    if let Some(tunnel) = tunnel {
        response = tunnel.connect(response, session.timeouts.tunnel_idle, stream);
    } else if response.status().is_informational() {
        let error = Error::new(Reason::ModuleFailed)
            .with_detail("an interim answer where the final one was expected");
        response = respond::problem(&error);
    }
    hop_headers::strip_for_http2(response.headers_mut());
    if head_only {
        return without_body(response);
    }
    let unfinished = !response.body().is_end_stream() && !is_event_stream(response.headers());
    if let (Some(stream), Some(deadline), true) = (stream, context.deadline(), unfinished) {
        stream.ends_by(deadline);
    }
    response
}

/// The body of a request. What `answered` becomes is to be true once the request is.
fn received(
    body: hyper::body::Incoming,
    patience: Patience,
    answered: &mut Option<Arc<AtomicBool>>,
) -> Body {
    let body = Body::http2(body, Reason::RequestIncomplete);
    if body.is_end_stream() {
        return body;
    }
    let answered = Arc::clone(answered.get_or_insert_default());
    body.map(|body| Receiving::new(body, patience, answered))
}

/// What a listener allows of a head holds for every protocol.
fn check_limits<B>(request: &http::Request<B>, limits: &Limits) -> Result<(), Error> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.uri {
        return Err(Reason::UriTooLong.into());
    }
    if request.headers().len() > limits.header_count {
        return Err(Reason::HeadersTooLarge.into());
    }
    Ok(())
}

/// The answer to HEAD: the fields of the answer to GET, and none of its body.
fn without_body(mut response: Response) -> Response {
    if let Some(length) = response.body().size_hint().exact().filter(|&length| length > 0) {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
    }
    response.body_mut().finish(End::Complete);
    response
}
