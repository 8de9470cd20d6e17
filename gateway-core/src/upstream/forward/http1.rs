//! Forwarding over HTTP/1.

use std::future::poll_fn;
use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, StatusCode, Version};
use http_body::Body as _;
use tokio::time::Instant;

use super::exchange::{Exchange, write_head};
use super::far_side::FarSide;
use super::received::Received;
use super::{Call, connection_bound, is_idempotent};
use crate::body::Body;
use crate::context::RequestContext;
use crate::error::{Error, HealthSignal, Reason};
use crate::hop_headers;
use crate::http1::decode::{Decoded, Decoder};
use crate::http1::encode::Framing;
use crate::http1::head::ResponseHead;
use crate::message::{Outcome, Response, Tunnel, is_event_stream};
use crate::replay::Replay;
use crate::respond;
use crate::upstream::connect::Connector;
use crate::upstream::endpoint::InFlight;
use crate::upstream::pool::{Binding, Connection, Lease};
use crate::validation::{self, ResponseFraming};

/// Forwards `call` over a pooled or new connection.
pub(super) async fn forward(
    connector: &Connector,
    in_flight: InFlight,
    call: &mut Call<'_>,
    replay: &Replay,
    mut body: Body,
) -> Outcome {
    let framing = framing(&call.head.method, &body);
    let expects = framing != Framing::None && call.head.headers.contains_key(header::EXPECT);
    if !expects {
        call.head.headers.remove(header::EXPECT);
    }
    let mut lease = Lease::acquire(in_flight, call.limits.deadline).await?;
    let bound = call.bound.take().and_then(|bound| lease.take_bound(bound, call.started));
    // What cannot be sent again must not meet an upstream that has just closed the connection.
    let careful = !(is_idempotent(&call.head.method, &call.head.headers) && body.is_end_stream());
    let mut pooled = bound.or_else(|| lease.take(call.started, careful));
    loop {
        let reused = pooled.is_some();
        let connection = match pooled.take() {
            Some(connection) => connection,
            // Boxed: connecting is rare, and needs much room.
            None => Box::pin(open(connector, &mut lease, call)).await?,
        };
        let failed = match attempt(connection, body, framing, expects, call).await {
            Ok((exchange, head)) => {
                replay.settle();
                return receive(exchange, head, lease, call);
            }
            Err(failed) => failed,
        };
        lease.lost();
        call.answered |= failed.answered;
        match replay.again() {
            Some(again) if reused && failed.may_be_sent_again(call) => body = again,
            _ => return Err(in_time(failed.into_error(), call)),
        }
        // Once, and on a fresh connection: the other pooled ones may have died with it.
        tracing::debug!(endpoint = %lease.endpoint().name(), "a pooled connection had died");
    }
}

/// A failed attempt, and how far it got.
struct Failed {
    error: Error,
    written: u64,
    answered: bool,
}

impl Failed {
    fn into_error(self) -> Error {
        let unsent = self.written == 0 && self.error.reason() == Reason::UpstreamClosed;
        if unsent { self.error.with_unsent() } else { self.error }
    }

    /// Three states only. Nothing written: anything may be sent again. Written, and the connection
    /// died without a byte of an answer: only what is idempotent. Answered: never.
    fn may_be_sent_again(&self, call: &Call<'_>) -> bool {
        self.error.reason() == Reason::UpstreamClosed
            && !self.answered
            && (self.written == 0 || is_idempotent(&call.head.method, &call.head.headers))
    }
}

async fn open(
    connector: &Connector,
    lease: &mut Lease,
    call: &Call<'_>,
) -> Result<Box<Connection>, Error> {
    lease.opens();
    let endpoint = Arc::clone(lease.endpoint());
    let stream = connector.connect(endpoint.address(), call.connect_by).await;
    stream.map(Connection::new).map_err(|error| in_time(error, call))
}

async fn attempt(
    mut connection: Box<Connection>,
    body: Body,
    framing: Framing,
    expects: bool,
    call: &Call<'_>,
) -> Result<(Exchange, ResponseHead), Failed> {
    connection.out.clear();
    let target = call.head.uri.path_and_query().map_or("*", |target| target.as_str());
    let out = connection.out.buffer();
    write_head(out, &call.head.method, target, &call.head.headers, framing);
    let interim = call.context.and_then(RequestContext::interim);
    let mut exchange = Exchange::new(connection, body, framing, expects, call);
    let answered =
        poll_fn(|cx| exchange.poll_answer(cx, call.upgrade, interim, &call.limits)).await;
    match answered {
        Ok(head) => Ok((exchange, head)),
        Err(error) => Err(Failed { error, written: exchange.written, answered: exchange.answered }),
    }
}

/// Says "out of time" where the request's own deadline was what ended the attempt.
fn in_time(error: Error, call: &Call<'_>) -> Error {
    let timed_out = matches!(
        error.reason(),
        Reason::AttemptTimeout | Reason::ResponseHeadTimeout | Reason::ConnectTimeout
    );
    if timed_out && call.is_out_of_time(Instant::now()) {
        return Error::new(Reason::RouteTimeout).with_source(error);
    }
    error
}

/// Makes the response of an answer whose head has come.
fn receive(
    mut exchange: Exchange,
    mut head: ResponseHead,
    mut lease: Lease,
    call: &Call<'_>,
) -> Outcome {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return switch(exchange, head, lease, call);
    }
    let framing = validation::response_framing(
        &call.head.method,
        head.status,
        head.version,
        &head.headers,
    )
    .map_err(|problem| Error::new(Reason::UpstreamProtocol).with_detail(problem.to_string()))?;
    if exchange.connection.bound || connection_bound::authenticates(&call.head.headers, &head) {
        exchange.connection.bound = true;
        if let Some(cluster) = call.cluster {
            let owner = call.context.and_then(RequestContext::owner).map(Arc::clone);
            lease.bind(Binding { owner, cluster: Arc::clone(cluster) });
        }
    }
    let hop = hop_headers::strip_response(&mut head.headers);
    let reusable =
        head.version == Version::HTTP_11 && framing != ResponseFraming::UntilClose && !hop.close;
    exchange.connection.announced(hop.keep_alive);
    let named = hop.named();
    exchange.decoder = match framing {
        ResponseFraming::Empty => Decoder::Done,
        ResponseFraming::Length(length) => Decoder::length(length),
        ResponseFraming::Chunked => Decoder::chunked(),
        ResponseFraming::UntilClose | ResponseFraming::Stream => Decoder::UntilClose,
    };
    let mut body = body(exchange, lease, framing, reusable, &head, call)?;
    if let Some(named) = named {
        body.strip_trailers(&named);
    }
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response.headers_mut().insert(respond::ORIGIN, HeaderValue::from_static("upstream"));
    Ok(response)
}

fn body(
    mut exchange: Exchange,
    mut lease: Lease,
    framing: ResponseFraming,
    reusable: bool,
    head: &ResponseHead,
    call: &Call<'_>,
) -> Result<Body, Error> {
    let length = match framing {
        ResponseFraming::Length(length) => Some(length),
        ResponseFraming::Empty => Some(0),
        _ => None,
    };
    // Most answers are all there with their head: then the connection is free at once.
    if let Some(length) = length
        && exchange.connection.read.len() as u64 >= length
        && exchange.is_sent()
    {
        let decoded = exchange.decoder.decode(&mut exchange.connection.read);
        let bytes = match decoded {
            Ok(Decoded::Data(bytes)) => bytes,
            _ => bytes::Bytes::new(),
        };
        if reusable && exchange.is_reusable() {
            lease.give_back(exchange.connection);
        }
        return Ok(Body::full(bytes));
    }
    let endless = is_event_stream(&head.headers);
    if endless {
        lease.becomes_long_lived();
    }
    let deadline = call.limits.deadline.filter(|_| !endless);
    // Of a gRPC call the trial sees the end.
    let good = call.grpc.is_none() && HealthSignal::of_status(head.status) == HealthSignal::Success;
    let received =
        Received::new(exchange, lease, length, call.limits.idle, deadline, reusable, good);
    Ok(Body::from_boxed(Box::pin(received)))
}

/// The upstream switched protocols as it was asked to.
fn switch(exchange: Exchange, head: ResponseHead, mut lease: Lease, call: &Call<'_>) -> Outcome {
    let mut headers = head.headers;
    let asked = call.head.headers.get(header::UPGRADE);
    let agreed = headers.get(header::UPGRADE).cloned().filter(|agreed| {
        asked.is_some_and(|asked| agreed.as_bytes().eq_ignore_ascii_case(asked.as_bytes()))
    });
    hop_headers::strip_response(&mut headers);
    let Some(protocol) = agreed else {
        return Err(Error::new(Reason::UpstreamUpgrade).with_detail("to another protocol"));
    };
    headers.insert(header::UPGRADE, protocol);
    headers.insert(respond::ORIGIN, HeaderValue::from_static("upstream"));
    lease.becomes_long_lived();
    let Connection { stream, read, .. } = *exchange.connection;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response.extensions_mut().insert(Tunnel::new(FarSide::new(stream, read, lease)));
    Ok(response)
}

/// How the request body is framed: by what is known of the body itself, never by what the
/// client's head said.
fn framing(method: &Method, body: &Body) -> Framing {
    match body.size_hint().exact() {
        Some(0) if expects_body(method) => Framing::Length(0),
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None if body.is_end_stream() => Framing::None,
        None => Framing::Chunked,
    }
}

/// RFC 9110, section 8.6: with these methods the absence of a length is worth saying.
fn expects_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
