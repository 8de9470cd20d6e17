//! Forwarding over HTTP/2, on hyper.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::header::{self, HeaderValue};
use http::uri::{Authority, Parts, Scheme, Uri};
use http::{Method, StatusCode, Version};
use http_body::Body as _;
use hyper::client::conn::http2::Connection;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;
use tokio::time::{Instant, interval, sleep_until, timeout_at};

use super::far_side::FarSide;
use super::limits::{Limits, Progress};
use super::{Call, is_idempotent};
use crate::body::{Body, End};
use crate::context::RequestContext;
use crate::error::{Error, HealthSignal, Reason};
use crate::hop_headers;
use crate::message::{Outcome, Response, Tunnel, is_event_stream};
use crate::replay::Replay;
use crate::respond;
use crate::stream::NetStream;
use crate::task::Spawner;
use crate::upload::Upload;
use crate::upstream::connect::Connector;
use crate::upstream::endpoint::InFlight;
use crate::upstream::pool::{Http2Connection, Http2Lease, MAX_STREAMS};
use crate::watched::Watched;
use crate::websocket;

/// What an upstream may send on a stream before it must wait.
const STREAM_WINDOW: u32 = 256 * 1024;

/// What an upstream may send on a connection before it must wait: as much as on all its streams
/// together, so that streams whose clients do not read cannot hold up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;

/// How often a new connection is looked at for the upstream's SETTINGS.
const LOOK_FOR_SETTINGS_EVERY: Duration = Duration::from_millis(1);

/// What is held of a request that the upstream does not take, per stream.
const SEND_BUFFER: usize = 64 * 1024;

/// An upstream whose connection carries streams but no bytes is pinged after this time.
const PING_AFTER: Duration = Duration::from_secs(30);

/// A request is sent again on another connection at most this often, when the upstream says that
/// it has not looked at it.
const MAX_REFUSALS: usize = 2;

/// Forwards `call` over a shared connection.
pub(super) async fn forward(
    connector: &Connector,
    in_flight: InFlight,
    call: &mut Call<'_>,
    replay: &Replay,
    mut body: Body,
) -> Outcome {
    let key = call.head.headers.remove(header::SEC_WEBSOCKET_KEY);
    let protocol = prepare(call)?;
    let mut rejections = 0;
    loop {
        let lease = lease(connector, &in_flight, call).await?;
        let request = request(call, body, protocol.as_ref());
        let failed = match send(lease, request, call).await {
            Ok((response, lease)) => {
                replay.settle();
                if response.headers().len() > call.head_limits.fields {
                    return Err(Reason::UpstreamHeadersTooLarge.into());
                }
                if call.upgrade && response.status().is_success() {
                    return switch(response, in_flight, lease, key.as_ref()).await;
                }
                return Ok(receive(response, in_flight, lease, call));
            }
            Err(failed) => failed,
        };
        if let Some(reason) = replay.broken() {
            // Its own reason says more than the reset it led to.
            return Err(Error::new(reason).with_source(failed.error));
        }
        rejections += 1;
        match replay.again() {
            Some(again) if rejections <= MAX_REFUSALS && failed.may_be_sent_again(call) => {
                body = again;
            }
            _ if failed.unprocessed => return Err(failed.error.with_unsent()),
            _ => return Err(failed.error),
        }
    }
}

/// Brings the head into HTTP/2's form. Returns the protocol of an upgrade.
fn prepare(call: &mut Call<'_>) -> Result<Option<hyper::ext::Protocol>, Error> {
    let headers = &mut call.head.headers;
    let protocol = headers.remove(header::UPGRADE);
    headers.remove(header::CONNECTION);
    headers.remove(header::EXPECT);
    headers.remove(header::TRANSFER_ENCODING);
    match protocol {
        None => Ok(None),
        Some(protocol) if protocol.as_bytes().eq_ignore_ascii_case(b"websocket") => {
            Ok(Some(hyper::ext::Protocol::from_static("websocket")))
        }
        Some(_) => Err(Error::new(Reason::UpstreamUpgrade)
            .with_detail("only WebSocket can be upgraded to over HTTP/2")),
    }
}

fn request(
    call: &Call<'_>,
    body: Body,
    protocol: Option<&hyper::ext::Protocol>,
) -> http::Request<Body> {
    let mut request = http::Request::new(body);
    *request.method_mut() = call.head.method.clone();
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = call.head.headers.clone();
    let host = request.headers_mut().remove(header::HOST);
    *request.uri_mut() = target(&call.head.uri, host.as_ref());
    if let Some(protocol) = protocol {
        *request.method_mut() = Method::CONNECT;
        request.extensions_mut().insert(protocol.clone());
    }
    request
}

/// The target with scheme and authority, from which the pseudo-header fields are made.
fn target(uri: &Uri, host: Option<&HeaderValue>) -> Uri {
    let mut parts = Parts::default();
    parts.path_and_query = uri.path_and_query().cloned();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = host
        .and_then(|host| Authority::try_from(host.as_bytes()).ok())
        .or_else(|| Some(Authority::from_static("localhost")));
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

async fn lease(
    connector: &Connector,
    in_flight: &InFlight,
    call: &Call<'_>,
) -> Result<Http2Lease, Error> {
    let endpoint = in_flight.endpoint();
    let connect = async || connect(connector, in_flight, call).await;
    match timeout_at(call.connect_by, endpoint.http2.lease(connect)).await {
        Ok(lease) => lease,
        Err(_) if call.is_out_of_time(Instant::now()) => Err(Reason::RouteTimeout.into()),
        Err(_) => Err(Reason::ConnectTimeout.into()),
    }
}

async fn connect(
    connector: &Connector,
    in_flight: &InFlight,
    call: &Call<'_>,
) -> Result<Http2Connection, Error> {
    let endpoint = in_flight.endpoint();
    let stream = connector.connect(endpoint.address(), call.connect_by).await?;
    let mut builder = hyper::client::conn::http2::Builder::new(Spawner);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(call.head_limits.bytes).unwrap_or(u32::MAX))
        // Until the upstream's SETTINGS say otherwise.
        .initial_max_send_streams(0)
        .keep_alive_interval(PING_AFTER);
    let (sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Error::new(Reason::UpstreamProtocol).with_source(error))?;
    let (name, allowed) = (Arc::clone(endpoint.name()), Arc::new(AtomicUsize::new(0)));
    let (settings, ready) = oneshot::channel();
    let driven = drive(connection, Arc::clone(&allowed), settings);
    endpoint.tasks.spawn("HTTP/2 upstream connection", async move {
        if let Err(error) = driven.await {
            tracing::debug!(endpoint = %name, %error, "upstream connection ended");
        }
    });
    // A connection is open once the upstream has sent its SETTINGS, which come first (RFC 9113,
    // section 3.4): a burst of requests must not exceed the streams that it allows.
    ready.await.map_err(|_| {
        Error::new(Reason::UpstreamClosed).with_detail("before its HTTP/2 SETTINGS").with_unsent()
    })?;
    Ok(Http2Connection::new(sender, allowed))
}

/// Runs a connection to its end. Keeps `allowed` at the number of streams that the upstream
/// allows, and sends on `settings` once that is known.
async fn drive(
    connection: Connection<TokioIo<NetStream>, Body, Spawner>,
    allowed: Arc<AtomicUsize>,
    settings: oneshot::Sender<()>,
) -> hyper::Result<()> {
    let (mut connection, mut settings) = (pin!(connection), Some(settings));
    // hyper does not wake this task when the SETTINGS come.
    let mut look = interval(LOOK_FOR_SETTINGS_EVERY);
    poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(ended);
        }
        let streams = connection.current_max_send_streams();
        allowed.store(streams, Ordering::Relaxed);
        if streams > 0 {
            if let Some(settings) = settings.take() {
                let _ = settings.send(());
            }
        } else if settings.is_some() {
            while look.poll_tick(cx).is_ready() {}
        }
        Poll::Pending
    })
    .await
}

/// Why a request failed before its answer.
struct Failed {
    error: Error,
    /// The upstream has certainly not looked at the request.
    unprocessed: bool,
    /// A connection that had served before broke.
    stale: bool,
}

impl Failed {
    fn may_be_sent_again(&self, call: &Call<'_>) -> bool {
        self.unprocessed || (self.stale && is_idempotent(&call.head.method, &call.head.headers))
    }
}

async fn send(
    mut lease: Http2Lease,
    request: http::Request<Body>,
    call: &Call<'_>,
) -> Result<(http::Response<hyper::body::Incoming>, Http2Lease), Failed> {
    let reused = lease.reused;
    let upload = call.context.and_then(RequestContext::upload);
    let mut sending = Sending::new(upload.filter(|_| !request.body().is_in_memory()));
    let answered = {
        let mut sent = pin!(lease.sender.try_send_request(request));
        let mut sleep = pin!(sleep_until(sending.look_again(&call.limits)));
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(answered) = sent.as_mut().poll(cx) {
                    return Poll::Ready(Ok(answered));
                }
                ready!(sleep.as_mut().poll(cx));
                let (by, reason) = sending.next(&call.limits);
                let now = Instant::now();
                if now >= by {
                    let out_of_time = reason != Reason::RequestTimeout && call.is_out_of_time(now);
                    return Poll::Ready(Err(if out_of_time {
                        Reason::RouteTimeout
                    } else {
                        reason
                    }));
                }
                sleep.as_mut().reset(sending.look_again(&call.limits));
            }
        })
        .await
    };
    let answered = match answered {
        Ok(answered) => answered,
        Err(late) => {
            if late != Reason::RequestTimeout {
                lease.doubt();
            }
            return Err(Failed { error: late.into(), unprocessed: false, stale: false });
        }
    };
    match answered {
        Ok(response) => {
            lease.confirm();
            Ok((response, lease))
        }
        Err(mut failed) => {
            let unsent = failed.take_message().is_some();
            let error = failed.into_error();
            let unprocessed = unsent || was_not_processed(&error);
            let stale = reused && is_broken_connection(&error);
            Err(Failed { error: failure(error), unprocessed, stale })
        }
    }
}

/// How far a request has been sent, which another task does: it is looked at when a limit may have
/// been reached, instead of being told of each piece.
struct Sending<'a> {
    /// `None`: the body was in memory, and went out at once.
    upload: Option<&'a Upload>,
    /// For how long the request had waited for its client before this attempt.
    before: Duration,
    began: Instant,
    /// Pieces of the body when it last moved, and when that was.
    moved: (u64, Instant),
}

impl<'a> Sending<'a> {
    fn new(upload: Option<&'a Arc<Upload>>) -> Self {
        let began = Instant::now();
        let uploaded = upload.map(|upload| upload.now()).unwrap_or_default();
        Self {
            upload: upload.map(|upload| &**upload),
            before: uploaded.waited(),
            began,
            moved: (uploaded.pieces, began),
        }
    }

    /// When the next limit is reached, as far as is known now.
    fn next(&mut self, limits: &Limits) -> (Instant, Reason) {
        let Some(upload) = self.upload else {
            return limits.next(Progress::Sent(self.began, self.began), Duration::ZERO);
        };
        let uploaded = upload.now();
        if uploaded.pieces != self.moved.0 {
            self.moved = (uploaded.pieces, Instant::now());
        }
        let progress = match (uploaded.ended, uploaded.waits_since()) {
            (Some(ended), _) => Progress::Sent(ended.max(self.began), ended.max(self.moved.1)),
            (None, Some(since)) => Progress::WaitsForClient(since),
            (None, None) => Progress::Sending(self.moved.1),
        };
        limits.next(progress, uploaded.waited().saturating_sub(self.before))
    }

    /// When to look again: no later than a limit can be reached, whatever happens until then.
    fn look_again(&mut self, limits: &Limits) -> Instant {
        let (by, _) = self.next(limits);
        let Some(upload) = self.upload else {
            return by;
        };
        let (now, uploaded) = (Instant::now(), upload.now());
        if uploaded.ended.is_some() {
            return by;
        }
        let waited = uploaded.waited().saturating_sub(self.before);
        let attempt = limits.attempt_by.map(|by| by + waited);
        let head = limits.response_head.map(|head| now + head);
        let soonest = [attempt, head].into_iter().flatten().fold(by, Instant::min);
        // A client that sends little keeps an attempt's clock just before its end.
        soonest.max((now + LOOK_AT_MOST_EVERY).min(by))
    }
}

/// The state of an upload is not looked at more often than this.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(10);

/// The upstream's own word that it has not processed the request (RFC 9113, section 8.7).
fn was_not_processed(error: &hyper::Error) -> bool {
    h2_error(error).is_some_and(|error| {
        error.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away()
                && error.is_remote()
                && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}

fn is_broken_connection(error: &hyper::Error) -> bool {
    error.is_closed()
        || error.is_canceled()
        || h2_error(error).is_some_and(|error| error.is_io() || error.is_go_away())
}

fn h2_error(error: &hyper::Error) -> Option<&h2::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

fn failure(error: hyper::Error) -> Error {
    let reason = if h2_error(&error).is_some_and(h2::Error::is_library) {
        Reason::UpstreamProtocol
    } else {
        Reason::UpstreamClosed
    };
    Error::new(reason).with_source(error)
}

/// Makes the response of an answer whose head has come.
fn receive(
    response: http::Response<hyper::body::Incoming>,
    in_flight: InFlight,
    mut lease: Http2Lease,
    call: &Call<'_>,
) -> Response {
    let (mut head, body) = response.into_parts();
    hop_headers::strip_response(&mut head.headers);
    head.headers.insert(respond::ORIGIN, HeaderValue::from_static("upstream"));
    let endless = is_event_stream(&head.headers);
    if endless {
        lease.becomes_long_lived();
    }
    let body = Body::http2(body, Reason::UpstreamIncomplete);
    let body = if body.is_end_stream() {
        body
    } else {
        let deadline = call.limits.deadline.filter(|_| !endless);
        body.map(|body| Watched::new(body, call.limits.idle, Reason::StreamIdle).until(deadline))
    };
    // Of a gRPC call the trial sees the end.
    let good = call.grpc.is_none() && HealthSignal::of_status(head.status) == HealthSignal::Success;
    let body = body.on_end(move |end| {
        if good {
            in_flight.endpoint().vitals.note(health_signal(end));
        }
        drop((in_flight, lease));
    });
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// What the end of an answer that began well says about the endpoint.
fn health_signal(end: End) -> HealthSignal {
    match end {
        End::Complete => HealthSignal::Success,
        End::Broken(reason) => reason.health_signal(),
        End::Dropped => HealthSignal::Neutral,
    }
}

/// The upstream accepted the extended CONNECT: towards the client that is a protocol switch.
async fn switch(
    response: http::Response<hyper::body::Incoming>,
    in_flight: InFlight,
    mut lease: Http2Lease,
    key: Option<&HeaderValue>,
) -> Outcome {
    lease.becomes_long_lived();
    let headers = response.headers().clone();
    // Ready at once, since the head of the response is here.
    let upgraded = hyper::upgrade::on(response).await;
    let upgraded =
        upgraded.map_err(|error| Error::new(Reason::UpstreamUpgrade).with_source(error))?;
    let (stream, held) = (TokioIo::new(upgraded), (in_flight, lease));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    let fields = response.headers_mut();
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    // Over HTTP/2 there is no key; the client's own is answered here.
    if let Some(accept) = key.and_then(websocket::accept) {
        fields.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    fields.insert(respond::ORIGIN, HeaderValue::from_static("upstream"));
    response.extensions_mut().insert(Tunnel::new(FarSide::new(stream, BytesMut::new(), held)));
    Ok(response)
}
