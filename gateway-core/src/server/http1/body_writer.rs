//! [`BodyWriter`]: a response's body on its way to an HTTP/1 client.

use std::io;
use std::sync::MutexGuard;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use http_body::Body as _;
use tokio::time::Instant;

use super::poll_frame;
use super::wire::{Client, HALF_CLOSE_GRACE, LOOK_BEHIND_EVERY, SharedWire, Wire};
use crate::body::{Body, End};
use crate::error::{Error, Reason};
use crate::http1::encode::{self, Framing};
use crate::timer::ResettableTimer;
use crate::trailers;

/// Of a response's body, at most this much waits to be written, besides one large piece.
const WRITE_AHEAD: usize = 8 * 1024;

/// A socket is ready again only when much of it is free. After this part of `body_idle` the rest is
/// filled, so that what goes out later shows that the client has taken something.
const FILL_AFTER: u32 = 8;

/// How the body was written.
pub(super) enum Sent {
    Whole,
    /// The client left.
    Failed,
    /// The client does not take it, or not in time.
    Stalled,
    /// The source broke off after bytes went out.
    Broken,
    /// The source broke off before the first byte went out.
    Unsent(Error),
}

impl Sent {
    /// True when the connection must end so that the client notices, and with what still waits for
    /// it in the socket.
    pub(super) fn is_cut(&self, framing: Framing) -> bool {
        match self {
            Self::Stalled => true,
            Self::Failed | Self::Broken => framing == Framing::UntilClose,
            Self::Whole | Self::Unsent(_) => false,
        }
    }
}

/// Whether the socket has been filled since the client has taken nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Due,
    UnderWay,
    /// From now on only the client makes room.
    Done,
}

/// Writes a body frame by frame, as fast as the client takes it.
pub(super) struct BodyWriter {
    body: Body,
    framing: Framing,
    /// What may still be written of a body with a stated length.
    left: u64,
    ended: bool,
    failure: Option<Error>,
    body_idle: Duration,
    /// When the whole response must be out.
    deadline: Option<Instant>,
    /// Since when the client has taken nothing of what waits for it.
    stalled_since: Option<Instant>,
    fill: Fill,
    /// What the client had taken when it was looked at last, and when that was less.
    taken: u64,
    moved: Option<Instant>,
}

impl BodyWriter {
    pub(super) fn new(
        body: Body,
        framing: Framing,
        bodiless: bool,
        body_idle: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        let left = match framing {
            Framing::Length(length) => length,
            _ => u64::MAX,
        };
        Self {
            body,
            framing,
            left,
            ended: bodiless,
            failure: None,
            body_idle,
            deadline,
            stalled_since: None,
            fill: Fill::Due,
            taken: 0,
            moved: None,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wire: &SharedWire,
        alarm: &mut ResettableTimer,
    ) -> Poll<Sent> {
        loop {
            let source_pending = self.gather(cx, wire);
            let mut guard = wire.lock();
            if let Some(error) = self.failure.take() {
                return Poll::Ready(self.broken(error, &mut guard, cx));
            }
            let stalled = match guard.poll_flush(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Sent::Failed),
                Poll::Ready(Ok(())) if self.ended => {
                    // Dropping the body may need the wire.
                    drop(guard);
                    self.body.finish(End::Complete);
                    return Poll::Ready(Sent::Whole);
                }
                Poll::Ready(Ok(())) if !source_pending => {
                    self.stalled_since = None;
                    continue;
                }
                Poll::Ready(Ok(())) => false,
                Poll::Pending => {
                    if self.fill == Fill::UnderWay {
                        self.fill(&mut guard, cx);
                    }
                    true
                }
            };
            return self.poll_limits(cx, guard, stalled, alarm);
        }
    }

    /// Fills the socket piece by piece; others have their turn between.
    fn fill(&mut self, wire: &mut Wire, cx: &Context<'_>) {
        if wire.write_now() {
            cx.waker().wake_by_ref();
        } else {
            self.fill = Fill::Done;
        }
    }

    /// Waits for the moment at which waiting for the client, or for the source, is over.
    fn poll_limits(
        &mut self,
        cx: &mut Context<'_>,
        mut wire: MutexGuard<'_, Wire>,
        stalled: bool,
        alarm: &mut ResettableTimer,
    ) -> Poll<Sent> {
        let now = Instant::now();
        let moved = self.note_progress(wire.taken(), stalled, now);
        let leaves = match wire.poll_leaving(cx) {
            Client::Gone => return Poll::Ready(Sent::Failed),
            // One that reads what it gets takes more, or resets the connection.
            Client::Closed(at) if !stalled => Some(at.max(moved) + HALF_CLOSE_GRACE),
            Client::Closed(_) | Client::Sending => None,
        };
        // An end behind what is not read yet is looked for from time to time.
        let looks = wire.must_look_behind().then(|| now + LOOK_BEHIND_EVERY);
        let stalls = self.stalled_since.map(|since| {
            let part = if self.fill == Fill::Due { FILL_AFTER } else { 1 };
            since + self.body_idle / part
        });
        // A client that was answered may leave its own side open and silent.
        let Some(next) = [leaves, stalls, self.deadline, looks].into_iter().flatten().min() else {
            return Poll::Pending;
        };
        if now < next && alarm.poll(cx, next).is_pending() {
            return Poll::Pending;
        }
        if stalled {
            let in_time = self.deadline.is_none_or(|deadline| now < deadline);
            let fills = in_time && self.fill == Fill::Due;
            if fills {
                self.fill = Fill::UnderWay;
            }
            if fills || (in_time && wire.write_now()) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Sent::Stalled);
        }
        if leaves == Some(next) {
            return Poll::Ready(Sent::Failed);
        }
        let late = Error::new(Reason::RouteTimeout);
        let sent = self.broken(late, &mut wire, cx);
        drop(wire);
        self.body.finish(End::Broken(Reason::RouteTimeout));
        Poll::Ready(sent)
    }

    /// Takes note of what the client has `taken`. Returns when it took something last.
    fn note_progress(&mut self, taken: u64, stalled: bool, now: Instant) -> Instant {
        let moves = self.moved.is_none() || taken != self.taken;
        if !stalled || (moves && self.fill == Fill::Done) {
            self.fill = Fill::Due;
        }
        if !stalled {
            self.stalled_since = None;
        } else if moves || self.stalled_since.is_none() {
            self.stalled_since = Some(now);
        }
        self.taken = taken;
        if moves {
            self.moved = Some(now);
        }
        self.moved.unwrap_or(now)
    }

    /// Takes frames from the source as long as there is room. True when the source has none now.
    fn gather(&mut self, cx: &mut Context<'_>, wire: &SharedWire) -> bool {
        while !self.ended {
            {
                let mut wire = wire.lock();
                if wire.out.is_full() || wire.out.buffer().len() >= WRITE_AHEAD {
                    return false;
                }
            }
            // The body may be the request's own, which needs the wire: it is not locked here.
            match poll_frame(&mut self.body, cx) {
                Poll::Pending => return true,
                Poll::Ready(None) => {
                    self.end(wire, None);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.failure = Some(error);
                    return false;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.data(wire, data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().ok();
                        self.end(wire, trailers);
                    }
                },
            }
            if self.failure.is_some() {
                return false;
            }
        }
        false
    }

    fn data(&mut self, wire: &SharedWire, data: bytes::Bytes) {
        let size = data.len() as u64;
        if size > self.left {
            self.failure =
                Some(Error::new(Reason::ModuleFailed).with_detail("a body longer than its length"));
            return;
        }
        if let Framing::Length(_) = self.framing {
            self.left -= size;
        }
        encode::data(&mut wire.lock().out, self.framing, data);
        if self.left == 0 && self.body.is_end_stream() {
            self.ended = true;
        }
    }

    fn end(&mut self, wire: &SharedWire, trailers: Option<HeaderMap>) {
        if matches!(self.framing, Framing::Length(_)) && self.left > 0 {
            self.failure = Some(
                Error::new(Reason::ModuleFailed).with_detail("a body shorter than its length"),
            );
            return;
        }
        let trailers = trailers.map(|mut fields| {
            trailers::sanitize(&mut fields, &[]);
            fields
        });
        encode::end(&mut wire.lock().out, self.framing, trailers.as_ref());
        self.ended = true;
    }

    /// The source broke off. What was gathered may still go out, but never an orderly end.
    fn broken(&mut self, error: Error, wire: &mut Wire, cx: &mut Context<'_>) -> Sent {
        tracing::debug!(
            reason = error.reason().code(),
            detail = error.detail(),
            "response broke off"
        );
        if wire.written == 0 {
            return Sent::Unsent(error);
        }
        let _: Poll<io::Result<()>> = wire.poll_flush(cx);
        Sent::Broken
    }
}
