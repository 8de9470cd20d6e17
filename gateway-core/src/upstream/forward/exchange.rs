//! [`Exchange`]: one request and its answer on one HTTP/1 connection.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use http_body::Frame;
use tokio::io::AsyncReadExt;
use tokio::time::{Duration, Instant};

use super::Call;
use super::limits::{Limits, Progress};
use crate::body::Body;
use crate::context::Interim;
use crate::error::{Error, Reason};
use crate::hop_headers;
use crate::http1::decode::{Decoded, Decoder};
use crate::http1::encode::{self, Framing};
use crate::http1::head::{HeadError, HeadLimits, HeadScanner, ResponseHead, parse_response};
use crate::http1::{ANSWER_READ_SIZE, STREAM_READ_SIZE};
use crate::trailers;
use crate::upstream::pool::Connection;

/// An upstream that sends more interim answers than this has lost its mind.
const MAX_INTERIM: usize = 32;

/// An upstream that says nothing to `Expect: 100-continue` gets the body after this time
/// (RFC 9110, section 10.1.1), or as soon as the client sends it unasked.
const EXPECT_PATIENCE: Duration = Duration::from_secs(1);

/// The most that is read at once of an answer that comes faster than it is read. Half a megabyte
/// at once costs a fifth less than 128 KiB four times; a client that does not read never gets there.
const MAX_STREAM_READ: usize = 512 * 1024;

/// Of a request body, at most this much waits to be written.
const WRITE_AHEAD: usize = 16 * 1024;

/// One request and its answer on one connection.
pub(super) struct Exchange {
    pub(super) connection: Box<Connection>,
    body: Sending,
    framing: Framing,
    left: u64,
    pub(super) written: u64,
    /// Some of the answer has come.
    pub(super) answered: bool,
    /// Writing failed; what the upstream answered before that may still be read.
    write_failed: bool,
    head_limits: HeadLimits,
    scanner: HeadScanner,
    interim_count: usize,
    pub(super) decoder: Decoder,
    /// How much is read at once of a body: more, the faster it comes.
    stream_read: usize,
    /// Something has moved since `last_progress` was taken.
    progressed: bool,
    last_progress: Instant,
    /// When the last of the request was written.
    written_at: Instant,
    /// Since when the client has sent no more of the body, while the upstream has all that came.
    starved: Option<Instant>,
    /// For how long that was so before.
    waited: Duration,
}

/// The request body on its way out.
enum Sending {
    /// All of it is in the output.
    Done,
    /// It has not been asked for yet: the upstream is to say `100 Continue` first.
    Held { body: Body, until: Instant },
    /// It is being read.
    Streaming(Body),
}

impl Exchange {
    /// The head of the request is in the connection's output already.
    pub(super) fn new(
        connection: Box<Connection>,
        body: Body,
        framing: Framing,
        expects: bool,
        call: &Call<'_>,
    ) -> Self {
        let now = call.started;
        let body = match framing {
            Framing::None => Sending::Done,
            _ if expects => Sending::Held { body, until: now + EXPECT_PATIENCE },
            _ => Sending::Streaming(body),
        };
        let left = if let Framing::Length(length) = framing { length } else { u64::MAX };
        Self {
            connection,
            body,
            framing,
            left,
            written: 0,
            answered: false,
            write_failed: false,
            head_limits: call.head_limits,
            scanner: HeadScanner::default(),
            interim_count: 0,
            decoder: Decoder::Done,
            stream_read: STREAM_READ_SIZE,
            progressed: false,
            last_progress: now,
            written_at: now,
            starved: None,
            waited: Duration::ZERO,
        }
    }

    /// Sends the request and waits for the answer's head.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        upgrade: bool,
        interim: Option<&Interim>,
        limits: &Limits,
    ) -> Poll<Result<ResponseHead, Error>> {
        if matches!(self.body, Sending::Held { .. })
            && interim.is_some_and(|interim| interim.poll_body_begun(cx).is_ready())
        {
            self.release_body();
        }
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            match self.poll_head(cx, upgrade, interim) {
                Poll::Ready(answer) => return Poll::Ready(answer),
                Poll::Pending => {}
            }
            let held_until = match &self.body {
                Sending::Held { until, .. } => Some(*until),
                _ => None,
            };
            let progress = self.progress();
            let (by, reason) = limits.next(progress, self.waited);
            let next = held_until.map_or(by, |held| held.min(by));
            ready!(self.connection.alarm.poll(cx, next));
            if held_until != Some(next) {
                return Poll::Ready(Err(reason.into()));
            }
            self.release_body();
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Sends what there is of the request. Fails only when the source of the body does.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let source_pending = ready!(self.gather(cx))?;
            match self.poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    if self.is_sent() {
                        return Poll::Ready(Ok(()));
                    }
                    if source_pending {
                        if matches!(self.body, Sending::Streaming(_)) {
                            self.starved.get_or_insert_with(Instant::now);
                        }
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Err(_)) => {
                    // The answer may be there already: an upstream that rejects a body closes.
                    self.write_failed = true;
                    self.body = Sending::Done;
                    self.connection.out.clear();
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes from the source as much as may wait to be written. True when it has no more now.
    fn gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        loop {
            let body = match &mut self.body {
                Sending::Done => return Poll::Ready(Ok(false)),
                Sending::Held { .. } => return Poll::Ready(Ok(true)),
                Sending::Streaming(body) => body,
            };
            let out = &mut self.connection.out;
            if out.is_full() || out.buffer().len() >= WRITE_AHEAD {
                return Poll::Ready(Ok(false));
            }
            let polled = http_body::Body::poll_frame(Pin::new(body), cx);
            if polled.is_ready()
                && let Some(since) = self.starved.take()
            {
                self.waited += since.elapsed();
            }
            match polled {
                Poll::Pending => return Poll::Ready(Ok(true)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.send_data(data)?,
                    Err(frame) => self.send_end(frame.into_trailers().ok().as_ref())?,
                },
                Poll::Ready(None) => self.send_end(None)?,
            }
        }
    }

    fn send_data(&mut self, data: Bytes) -> Result<(), Error> {
        let size = data.len() as u64;
        if size > self.left {
            return Err(Error::new(Reason::RequestIncomplete).with_detail("a body over its length"));
        }
        if matches!(self.framing, Framing::Length(_)) {
            self.left -= size;
        }
        encode::data(&mut self.connection.out, self.framing, data);
        if self.left == 0 {
            self.body = Sending::Done;
        }
        Ok(())
    }

    fn send_end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Error> {
        if matches!(self.framing, Framing::Length(_)) && self.left > 0 {
            return Err(
                Error::new(Reason::RequestIncomplete).with_detail("a body under its length")
            );
        }
        encode::end(&mut self.connection.out, self.framing, trailers);
        self.body = Sending::Done;
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = &mut self.connection;
        let before = self.written;
        let flushed = connection.out.poll_write_all(cx, &mut connection.stream, &mut self.written);
        if self.written != before {
            self.last_progress = Instant::now();
            self.written_at = self.last_progress;
        }
        flushed
    }

    /// True when the whole request is out, or will never be.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.body, Sending::Done) && self.connection.out.is_empty()
    }

    /// Lets a body go that was held. Of one that is on its way already nothing changes: an upstream
    /// may say `100 Continue` late, or without being asked.
    fn release_body(&mut self) {
        self.body = match std::mem::replace(&mut self.body, Sending::Done) {
            Sending::Held { body, .. } => Sending::Streaming(body),
            other => other,
        };
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        upgrade: bool,
        interim: Option<&Interim>,
    ) -> Poll<Result<ResponseHead, Error>> {
        loop {
            while let Some(head) = self.parse_head()? {
                self.answered = true;
                match head.status.as_u16() {
                    101 if upgrade => return Poll::Ready(Ok(head)),
                    101 => {
                        return Poll::Ready(Err(Error::new(Reason::UpstreamUpgrade)
                            .with_detail("it switched protocols unasked")));
                    }
                    100..=199 => self.interim(cx, head, interim)?,
                    _ => return Poll::Ready(Ok(head)),
                }
            }
            match ready!(self.poll_fill(cx, ANSWER_READ_SIZE)) {
                Ok(0) if self.connection.read.is_empty() => {
                    return Poll::Ready(Err(Reason::UpstreamClosed.into()));
                }
                Ok(0) => {
                    return Poll::Ready(Err(Error::new(Reason::UpstreamProtocol)
                        .with_detail("its answer broke off in the head")));
                }
                Ok(_) => self.answered = true,
                Err(error) => {
                    return Poll::Ready(Err(Error::new(Reason::UpstreamClosed).with_source(error)));
                }
            }
        }
    }

    fn parse_head(&mut self) -> Result<Option<ResponseHead>, Error> {
        let read = &mut self.connection.read;
        let too_large = || Error::from(Reason::UpstreamHeadersTooLarge);
        let Some(length) = self.scanner.scan(read).map_err(head_error)? else {
            if read.len() > self.head_limits.bytes {
                return Err(too_large());
            }
            // What cannot become a status line is rejected at once.
            let start = b"HTTP/1.";
            let known = read.len().min(start.len());
            if read.get(..known) != start.get(..known) {
                return Err(head_error(HeadError::Malformed("no HTTP/1 status line")));
            }
            return Ok(None);
        };
        if length > self.head_limits.bytes {
            return Err(too_large());
        }
        self.scanner = HeadScanner::default();
        let head = read.split_to(length);
        parse_response(head, &self.head_limits).map(Some).map_err(head_error)
    }

    fn interim(
        &mut self,
        cx: &mut Context<'_>,
        mut head: ResponseHead,
        interim: Option<&Interim>,
    ) -> Result<(), Error> {
        self.interim_count += 1;
        if self.interim_count > MAX_INTERIM {
            return Err(Reason::UpstreamInterim.into());
        }
        if head.status == StatusCode::CONTINUE {
            self.release_body();
            if let Poll::Ready(sent) = self.poll_send(cx) {
                sent?;
            }
        } else if let Some(interim) = interim {
            hop_headers::strip_response(&mut head.headers);
            interim.send(head.status, &head.headers);
        }
        Ok(())
    }

    /// Some more of the answer's body. Ready with `None` when it is complete.
    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.is_sent()
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match self.decoder.decode(&mut self.connection.read) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Decoded::Trailers(mut fields)) => {
                    trailers::sanitize(&mut fields, &[]);
                    return Poll::Ready((!fields.is_empty()).then(|| Ok(Frame::trailers(fields))));
                }
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::NeedMore) => {}
                Err(error) => return Poll::Ready(Some(Err(head_error(error)))),
            }
            match ready!(self.poll_fill(cx, self.stream_read)) {
                Ok(0) if self.decoder.end_of_stream() => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(Reason::UpstreamIncomplete.into()))),
                Ok(_) => {}
                Err(error) => {
                    let error = Error::new(Reason::UpstreamIncomplete).with_source(error);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// When both sides will have stood still for `idle`, and whose failure that is.
    pub(super) fn idle_at(&mut self, idle: Duration) -> (Instant, Reason) {
        let at = self.last_progress() + idle;
        let reason =
            if self.starved.is_some() { Reason::RequestTimeout } else { Reason::StreamIdle };
        (at, reason)
    }

    /// When something moved last.
    ///
    /// Asked only when there is something to wait for, which is when the clock is read.
    fn last_progress(&mut self) -> Instant {
        if std::mem::take(&mut self.progressed) {
            self.last_progress = Instant::now();
        }
        self.last_progress
    }

    fn progress(&mut self) -> Progress {
        if let Some(since) = self.starved {
            return Progress::WaitsForClient(since);
        }
        let since = self.last_progress();
        if self.is_sent() {
            Progress::Sent(self.written_at, since)
        } else {
            Progress::Sending(since)
        }
    }

    /// True when both messages have ended exactly and nothing else was read.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_sent()
            && !self.write_failed
            && self.decoder.is_done()
            && self.connection.read.is_empty()
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>, size: usize) -> Poll<io::Result<usize>> {
        let Connection { read, stream, .. } = &mut *self.connection;
        if read.capacity() - read.len() < size / 4 {
            read.reserve(size);
        }
        let room = read.capacity() - read.len();
        let filled = ready!(pin!(stream.read_buf(read)).poll(cx));
        if room >= self.stream_read && filled.as_ref().is_ok_and(|&size| size == room) {
            self.stream_read = (self.stream_read * 2).min(MAX_STREAM_READ);
        }
        self.progressed = true;
        Poll::Ready(filled)
    }
}

fn head_error(error: HeadError) -> Error {
    match error {
        HeadError::Malformed(what) => Error::new(Reason::UpstreamProtocol).with_detail(what),
        HeadError::TooLarge | HeadError::UriTooLong => Reason::UpstreamHeadersTooLarge.into(),
    }
}

/// Writes the head of a request.
pub(super) fn write_head(
    out: &mut BytesMut,
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    framing: Framing,
) {
    encode::request_line(out, method, target);
    encode::fields(out, headers);
    if headers.contains_key(header::TE) && !headers.contains_key(header::CONNECTION) {
        // RFC 9110, section 10.1.4: whoever sends TE says that it is for this hop only.
        out.extend_from_slice(b"connection: te\r\n");
    }
    encode::framing(out, framing);
    out.extend_from_slice(b"\r\n");
}
