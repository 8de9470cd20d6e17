//! [`Wire`]: the state of one client connection, shared by its task and the request body.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::context::InterimSink;
use crate::error::{Error, Reason};
use crate::http1::decode::{Decoded, Decoder};
use crate::http1::encode;
use crate::http1::head::{HeadError, HeadLimits, HeadScanner, RequestHead, parse_request};
use crate::http1::output::Output;
use crate::http1::{READ_SIZE, STREAM_READ_SIZE};
use crate::server::pace::{Pace, Patience};
use crate::stream::{EndOfInput, NetStream};

/// A read is tried only with room for at least this many bytes.
const MIN_READ: usize = 1024;

/// What a client sends ahead of its turn is read up to this size, then left in the socket.
const READ_AHEAD: usize = 16 * 1024;

/// Of interim answers, at most this much waits to be written.
const INTERIM_AHEAD: usize = 8 * 1024;

/// A client that closed its sending side may still read: it gets this long for its response to
/// begin, and to go on whenever it has taken all there was.
pub(crate) const HALF_CLOSE_GRACE: Duration = Duration::from_millis(500);

/// A client that has sent more than is read ahead is looked at this often, lest it has left.
pub(super) const LOOK_BEHIND_EVERY: Duration = Duration::from_millis(500);

/// The connection, behind a lock that is hardly ever contended: the connection's task and the
/// reader of the request body take turns, and are most often the same task.
#[derive(Clone)]
pub(crate) struct SharedWire {
    wire: Arc<Mutex<Wire>>,
}

impl SharedWire {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire: Arc::new(Mutex::new(wire)) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the wire from every other holder. One that still reads the request body, such as a
    /// task of a module, finds that it broke off: the socket never outlives its connection's task.
    pub(crate) fn take(&self) -> Wire {
        let mut wire = self.lock();
        let closed = Wire::closed(wire.patience);
        let mut taken = std::mem::replace(&mut *wire, closed);
        wire.body.failed = Some(Reason::RequestIncomplete);
        drop(wire);
        if let Some(reader) = taken.body.reader.take() {
            reader.wake();
        }
        taken
    }
}

/// One client connection.
pub(crate) struct Wire {
    pub(crate) stream: NetStream,
    pub(crate) read: BytesMut,
    pub(crate) out: Output,
    /// Bytes written since the current answer began.
    pub(crate) written: u64,
    scanner: HeadScanner,
    skipped_empty_line: bool,
    body: IncomingState,
    client: Client,
    patience: Patience,
    /// The connection's task, for when the body is read by another one.
    owner: Option<Waker>,
    /// The socket wakes the owner.
    owner_reads: bool,
    /// When the owner looks at the time again; `None` when it waits for something else.
    owner_looks_at: Option<Instant>,
    /// The client was seen to have closed its sending side, behind what is not read yet.
    closed_behind: Option<Instant>,
}

/// What is known of the client's sending side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// It is there.
    Sending,
    /// It closed its sending side at this moment.
    Closed(Instant),
    /// The connection failed.
    Gone,
}

/// The body of the request that is being answered.
#[derive(Default)]
struct IncomingState {
    decoder: Decoder,
    /// The client waits for `100 Continue` before it sends the body.
    expects_continue: bool,
    /// Nobody will read the rest.
    abandoned: bool,
    /// Who waits for more of the body.
    reader: Option<Waker>,
    /// Who waits for the client to begin with the body.
    beginning: Option<Waker>,
    /// The reader is another task than the connection's.
    elsewhere: bool,
    pace: Pace,
    failed: Option<Reason>,
}

impl Wire {
    pub(super) fn new(stream: NetStream, read: BytesMut, patience: Patience) -> Self {
        Self {
            stream,
            read,
            out: Output::default(),
            written: 0,
            scanner: HeadScanner::default(),
            skipped_empty_line: false,
            body: IncomingState::default(),
            client: Client::Sending,
            patience,
            owner: None,
            owner_reads: false,
            owner_looks_at: None,
            closed_behind: None,
        }
    }

    /// A wire without a connection.
    fn closed(patience: Patience) -> Self {
        let stream = NetStream::Other(Box::new(tokio::io::empty()));
        Self { client: Client::Gone, ..Self::new(stream, BytesMut::new(), patience) }
    }

    /// The next request's head. `Ok(None)`: the client closed between two requests.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &HeadLimits,
    ) -> Poll<Result<Option<RequestHead>, Error>> {
        loop {
            self.skip_empty_line();
            if let Some(length) = self.scanner.scan(&self.read).map_err(head_error)? {
                if length > limits.bytes {
                    return Poll::Ready(Err(head_error(HeadError::TooLarge)));
                }
                self.scanner = HeadScanner::default();
                self.skipped_empty_line = false;
                let head = self.read.split_to(length);
                return Poll::Ready(parse_request(head, limits).map(Some).map_err(head_error));
            }
            self.check_partial(limits).map_err(head_error)?;
            match ready!(self.poll_fill(cx, READ_SIZE)) {
                Ok(0) | Err(_) if self.read.is_empty() => return Poll::Ready(Ok(None)),
                Ok(0) | Err(_) => return Poll::Ready(Err(Reason::ClientGone.into())),
                Ok(_) => {}
            }
        }
    }

    /// True while nothing of the next request's head has come.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.read.is_empty()
    }

    /// RFC 9112, section 2.2: an empty line before the request line is ignored, once.
    fn skip_empty_line(&mut self) {
        if !self.skipped_empty_line && self.read.starts_with(b"\r\n") {
            let _ = self.read.split_to(2);
            self.skipped_empty_line = true;
            self.scanner = HeadScanner::default();
        }
    }

    fn check_partial(&self, limits: &HeadLimits) -> Result<(), HeadError> {
        // The longest method and the version fit into the difference.
        const REST_OF_LINE: usize = 64;
        if self.scanner.in_first_line() && self.read.len() > limits.uri + REST_OF_LINE {
            return Err(HeadError::UriTooLong);
        }
        if self.read.len() > limits.bytes {
            return Err(HeadError::TooLarge);
        }
        Ok(())
    }

    /// Makes ready to receive the body of the request whose head has been read.
    pub(crate) fn begin_body(&mut self, decoder: Decoder, expects_continue: bool) {
        self.written = 0;
        self.owner_looks_at = None;
        self.body = IncomingState { decoder, expects_continue, ..IncomingState::default() };
    }

    /// The body of `length` bytes, when all of it has come with the head: it then needs no wire, and
    /// can be sent again.
    pub(crate) fn take_whole_body(&mut self, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok()?;
        (self.read.len() >= length).then(|| self.read.split_to(length).freeze())
    }

    /// The next piece of the request body.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, Error>> {
        let polled = self.poll_decoded(cx);
        let elsewhere = self.owner.as_ref().is_some_and(|owner| !owner.will_wake(cx.waker()));
        self.body.elsewhere |= elsewhere;
        if elsewhere {
            // While the reader waits, the owner has to end that in time; while it does not, the
            // owner has to notice that the client leaves.
            let must_look = match &polled {
                Poll::Pending => self.body_deadline().is_some_and(|deadline| {
                    self.owner_looks_at.is_none_or(|looks_at| deadline < looks_at)
                }),
                Poll::Ready(_) => !self.owner_reads,
            };
            if must_look {
                self.wake_owner();
            }
        }
        polled
    }

    fn poll_decoded(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, Error>> {
        loop {
            if let Some(reason) = self.body.failed {
                return Poll::Ready(Err(reason.into()));
            }
            match self.body.decoder.decode(&mut self.read) {
                Ok(Decoded::NeedMore) => {}
                Ok(decoded) => {
                    // A client that sends already waits for no word.
                    self.body.expects_continue = false;
                    if let Decoded::Data(data) = &decoded {
                        self.body.pace.receives(data.len());
                    }
                    return Poll::Ready(Ok(decoded));
                }
                Err(error) => {
                    self.body.failed = Some(Reason::RequestIncomplete);
                    return Poll::Ready(Err(Error::new(Reason::RequestIncomplete).with_detail(
                        match error {
                            HeadError::Malformed(what) => what,
                            HeadError::UriTooLong | HeadError::TooLarge => "trailers too large",
                        },
                    )));
                }
            }
            if std::mem::take(&mut self.body.expects_continue) {
                self.out.buffer().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                let _ = self.poll_flush(cx);
            }
            match self.poll_fill(cx, STREAM_READ_SIZE) {
                Poll::Ready(Ok(1..)) => {
                    self.body.reader = None;
                    self.body.pace.stops_waiting();
                }
                Poll::Ready(Ok(0) | Err(_)) => self.body.failed = Some(Reason::ClientGone),
                Poll::Pending => {
                    self.body.pace.waits();
                    self.body.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    /// Ready once the client has begun with its body, or was told to.
    fn poll_begun(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.body.expects_continue || !self.read.is_empty() {
            return Poll::Ready(());
        }
        self.body.beginning = Some(cx.waker().clone());
        Poll::Pending
    }

    /// When the client will have been too slow with its body; `None` while nobody waits for it.
    pub(crate) fn body_deadline(&self) -> Option<Instant> {
        self.body.pace.deadline(self.patience)
    }

    /// Takes note that the owner looks at the time again at `moment`.
    pub(crate) fn owner_looks_at(&mut self, moment: Option<Instant>) {
        self.owner_looks_at = moment;
    }

    fn wake_owner(&self) {
        if let Some(owner) = &self.owner {
            owner.wake_by_ref();
        }
    }

    /// The body will not come to its end, for `reason`. Its reader is told.
    pub(crate) fn fail_body(&mut self, reason: Reason) {
        self.body.failed = Some(reason);
        if let Some(reader) = self.body.reader.take() {
            reader.wake();
        }
    }

    /// True once the request body has been read to its end.
    pub(crate) fn body_is_done(&self) -> bool {
        self.body.decoder.is_done()
    }

    /// True when the request has been read to its end and nothing after it.
    pub(crate) fn is_clean(&self) -> bool {
        self.body_is_done() && self.read.is_empty()
    }

    /// True when the body's bytes are all here and nobody wants them: they are thrown away.
    pub(crate) fn discard_buffered_body(&mut self) -> bool {
        if self.body.abandoned && !self.body.expects_continue && self.body.failed.is_none() {
            while matches!(
                self.body.decoder.decode(&mut self.read),
                Ok(Decoded::Data(_) | Decoded::Trailers(_))
            ) {}
        }
        self.body_is_done()
    }

    /// Nobody will read the rest of the request body.
    pub(crate) fn abandon_body(&mut self) {
        self.body.abandoned = true;
        self.body.reader = None;
        self.body.pace.ends();
        if self.body.elsewhere {
            self.wake_owner();
        }
    }

    /// True when nobody will read the rest of the request body.
    pub(crate) fn body_is_abandoned(&self) -> bool {
        self.body.abandoned
    }

    /// Looks out for the client's leaving while its request is being answered. Reads ahead at
    /// most [`READ_AHEAD`] bytes. The task of `cx` is the connection's.
    pub(crate) fn poll_leaving(&mut self, cx: &mut Context<'_>) -> Client {
        if !self.owner.as_ref().is_some_and(|owner| owner.will_wake(cx.waker())) {
            self.owner = Some(cx.waker().clone());
        }
        while self.client == Client::Sending
            && self.body.reader.is_none()
            && self.read.len() < READ_AHEAD
        {
            match self.poll_fill(cx, READ_SIZE) {
                Poll::Ready(Ok(1..)) => {
                    if let Some(waiting) = self.body.beginning.take() {
                        waiting.wake();
                    }
                }
                Poll::Ready(Ok(0) | Err(_)) | Poll::Pending => break,
            }
        }
        if self.must_look_behind() {
            match self.stream.end_of_input() {
                EndOfInput::None => {}
                EndOfInput::Closed => {
                    return Client::Closed(*self.closed_behind.get_or_insert_with(Instant::now));
                }
                EndOfInput::Gone => return Client::Gone,
            }
        }
        self.client
    }

    /// True when more has come than is read ahead: then the end behind it wakes nobody.
    pub(crate) fn must_look_behind(&self) -> bool {
        self.client == Client::Sending
            && self.body.reader.is_none()
            && self.read.len() >= READ_AHEAD
    }

    /// Bytes that the client has taken, as far as can be seen: those that the socket took.
    pub(crate) fn taken(&self) -> u64 {
        self.stream.written().unwrap_or(self.written)
    }

    /// Writes although the socket is not known to have room. True when the client has taken
    /// something, however little.
    pub(crate) fn write_now(&mut self) -> bool {
        let before = self.taken();
        let written = self.stream.write_now(self.out.front());
        self.out.advance(written);
        self.written += written as u64;
        self.taken() != before
    }

    /// Writes what is queued.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out.poll_write_all(cx, &mut self.stream, &mut self.written)
    }

    /// Reads once. Ready with 0 at the end of the stream.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        size: usize,
    ) -> Poll<io::Result<usize>> {
        match self.client {
            Client::Sending => {}
            Client::Closed(_) => return Poll::Ready(Ok(0)),
            Client::Gone => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
        if self.read.capacity() - self.read.len() < MIN_READ.max(size / 4) {
            self.read.reserve(size);
        }
        let read = pin!(self.stream.read_buf(&mut self.read));
        let Poll::Ready(result) = read.poll(cx) else {
            self.owner_reads = self.owner.as_ref().is_some_and(|owner| owner.will_wake(cx.waker()));
            return Poll::Pending;
        };
        self.owner_reads = false;
        match result {
            Ok(0) => self.client = Client::Closed(Instant::now()),
            Ok(_) => {}
            Err(_) => self.client = Client::Gone,
        }
        Poll::Ready(result)
    }
}

fn head_error(error: HeadError) -> Error {
    match error {
        HeadError::Malformed(what) => Error::new(Reason::RequestMalformed).with_detail(what),
        HeadError::UriTooLong => Reason::UriTooLong.into(),
        HeadError::TooLarge => Reason::HeadersTooLarge.into(),
    }
}

/// Interim answers go out at once, if the socket takes them; the rest leaves with the answer.
impl InterimSink for Mutex<Wire> {
    fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let mut wire = self.lock().unwrap_or_else(PoisonError::into_inner);
        if wire.out.buffer().len() > INTERIM_AHEAD {
            return;
        }
        let buffer = wire.out.buffer();
        encode::status_line(buffer, status);
        encode::fields(buffer, headers);
        buffer.extend_from_slice(b"\r\n");
        let _ = wire.poll_flush(&mut Context::from_waker(Waker::noop()));
    }

    fn poll_body_begun(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.lock().unwrap_or_else(PoisonError::into_inner).poll_begun(cx)
    }
}

impl SharedWire {
    /// The way back for interim answers.
    pub(crate) fn interim_sink(&self) -> Weak<dyn InterimSink> {
        let sink: Weak<Mutex<Wire>> = Arc::downgrade(&self.wire);
        sink
    }
}
