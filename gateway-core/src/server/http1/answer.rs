//! Writing an answer.

use std::future::poll_fn;
use std::task::Poll;
use std::time::SystemTime;

use bytes::BytesMut;
use http::{HeaderMap, StatusCode, Version, header};
use http_body::Body as _;
use tokio::time::Instant;

use super::body_writer::{BodyWriter, Sent};
use super::{Asked, Http1};
use crate::body::{Body, End};
use crate::error::{Error, Reason};
use crate::hop_headers;
use crate::http1::encode::{self, Framing};
use crate::message::{Outcome, Response, Tunnel, is_event_stream};
use crate::module::ModuleService;
use crate::respond;
use crate::tunnel;

/// What an answer left behind.
pub(super) enum Written {
    /// The next request may come.
    KeepAlive,
    /// The answer is out; the connection is to be closed.
    Close,
    /// The connection is unusable or somebody else's.
    Ended,
}

impl<M: ModuleService> Http1<'_, M> {
    pub(super) async fn answer(&mut self, outcome: Outcome, asked: Asked) -> Written {
        let mut response = match outcome {
            Ok(response) => response,
            Err(error) => respond::problem(&error),
        };
        if response.status().is_informational() {
            match upgrade_of(&response, asked) {
                // Boxed, as is every rare path: what an await may need is moved for every request.
                Some(tunnel) => {
                    return Box::pin(self.upgrade(response.headers().clone(), &tunnel)).await;
                }
                None => {
                    let error = Error::new(Reason::ModuleFailed)
                        .with_detail("an interim answer where the final one was expected");
                    response = respond::problem(&error);
                }
            }
        }
        match self.write(response, asked).await {
            (Sent::Unsent(error), _) => {
                self.wire.lock().out.clear();
                let answer = Box::pin(self.write(respond::problem(&error), asked));
                let (sent, keep_alive) = answer.await;
                self.finished(&sent, keep_alive, asked)
            }
            (sent, keep_alive) => self.finished(&sent, keep_alive, asked),
        }
    }

    fn finished(&self, sent: &Sent, keep_alive: bool, asked: Asked) -> Written {
        match sent {
            Sent::Whole if keep_alive && self.wire.lock().discard_buffered_body() => {
                Written::KeepAlive
            }
            // A client that asked for the end has nothing more to say: no reset can hit the answer.
            Sent::Whole if asked.last && self.wire.lock().is_clean() => {
                self.wire.lock().stream.say_goodbye();
                Written::Ended
            }
            Sent::Whole => Written::Close,
            Sent::Failed | Sent::Stalled | Sent::Broken | Sent::Unsent(_) => Written::Ended,
        }
    }

    /// Writes the head and the body of `response`.
    async fn write(&mut self, response: Response, asked: Asked) -> (Sent, bool) {
        let (mut parts, mut body) = response.into_parts();
        self.info.listener.origin.apply(&mut parts.headers);
        let bodiless = asked.head_only || is_bodiless(parts.status);
        let framing = frame(&body, bodiless, parts.status, &parts.headers, asked.version);
        if bodiless {
            body.finish(End::Complete);
        }
        let keep_alive = asked.keep_alive
            && !self.session.drain.is_leaving()
            && framing != Framing::UntilClose
            && !hop_headers::says_close(&parts.headers)
            && self.can_take_next(body.is_in_memory());
        {
            let mut wire = self.wire.lock();
            wire.written = 0;
            let out = wire.out.buffer();
            out.reserve(512);
            encode::status_line(out, parts.status);
            head_fields(out, &parts.headers, false);
            encode::framing(out, framing);
            connection_field(out, keep_alive, asked.version);
            if !parts.headers.contains_key(header::DATE) {
                encode::field(out, "date", date(self.session.clock.now()).as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
        // What is late already says so itself, and must still reach the client.
        let deadline = asked
            .deadline
            .filter(|&deadline| !is_event_stream(&parts.headers) && Instant::now() < deadline);
        drop(parts);
        let body_idle = self.session.timeouts.body_idle;
        let mut writer = BodyWriter::new(body, framing, bodiless, body_idle, deadline);
        let sent = poll_fn(|cx| writer.poll(cx, &self.wire, &mut self.alarm)).await;
        if sent.is_cut(framing) {
            self.wire.lock().stream.reset_on_close();
        }
        (sent, keep_alive)
    }

    /// True when the request body is out of the way, or may be read to its end while the response
    /// is sent, which is not so when all of the response is there: the request ends with it.
    fn can_take_next(&self, complete: bool) -> bool {
        let mut wire = self.wire.lock();
        wire.discard_buffered_body() || !(complete || wire.body_is_abandoned())
    }

    /// Switches protocols: the connection becomes one end of a tunnel.
    async fn upgrade(&mut self, mut headers: HeaderMap, tunnel: &Tunnel) -> Written {
        self.info.listener.origin.apply(&mut headers);
        let idle = tunnel.idle().unwrap_or(self.session.timeouts.tunnel_idle);
        let Some(far) = tunnel.take() else {
            return Written::Ended;
        };
        {
            let mut wire = self.wire.lock();
            let out = wire.out.buffer();
            encode::status_line(out, StatusCode::SWITCHING_PROTOCOLS);
            head_fields(out, &headers, true);
            out.extend_from_slice(b"connection: upgrade\r\n\r\n");
        }
        let by = Instant::now() + self.session.timeouts.body_idle;
        let (wire, alarm) = (&self.wire, &mut self.alarm);
        let flushed = poll_fn(|cx| match wire.lock().poll_flush(cx) {
            Poll::Ready(flushed) => Poll::Ready(flushed.is_ok()),
            Poll::Pending => alarm.poll(cx, by).map(|()| false),
        });
        if !flushed.await {
            return Written::Ended;
        }
        let wire = self.wire.take();
        tunnel::join(wire.stream, wire.read, far, idle).await;
        Written::Ended
    }
}

fn upgrade_of(response: &Response, asked: Asked) -> Option<Tunnel> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS && asked.upgrade;
    switches.then(|| response.extensions().get::<Tunnel>().cloned()).flatten()
}

/// RFC 9110, section 6.4.1.
fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn frame(
    body: &Body,
    bodiless: bool,
    status: StatusCode,
    headers: &HeaderMap,
    version: Version,
) -> Framing {
    let stated = || {
        let value = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
        value.parse().ok().map(Framing::Length)
    };
    if bodiless {
        // What the length would be may be said of HEAD and 304, never of 204.
        return match status {
            StatusCode::NO_CONTENT => Framing::None,
            _ => stated()
                .or(body.size_hint().exact().filter(|&size| size > 0).map(Framing::Length))
                .unwrap_or(Framing::None),
        };
    }
    match body.size_hint().exact().map(Framing::Length).or_else(stated) {
        Some(framing) => framing,
        None if version == Version::HTTP_10 => Framing::UntilClose,
        None => Framing::Chunked,
    }
}

/// Every field but those of the connection, which are the server's own business.
fn head_fields(out: &mut BytesMut, headers: &HeaderMap, upgrade: bool) {
    for (name, value) in headers {
        let skip = *name == header::CONTENT_LENGTH
            || *name == header::TRANSFER_ENCODING
            || *name == header::CONNECTION
            || (*name == header::UPGRADE && !upgrade)
            || name.as_str() == "keep-alive"
            || name.as_str() == "proxy-connection";
        if !skip {
            encode::field(out, name.as_str(), value.as_bytes());
        }
    }
}

fn connection_field(out: &mut BytesMut, keep_alive: bool, version: Version) {
    match (keep_alive, version) {
        (false, _) => out.extend_from_slice(b"connection: close\r\n"),
        (true, Version::HTTP_10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, _) => {}
    }
}

fn date(now: SystemTime) -> String {
    httpdate::fmt_http_date(now)
}
