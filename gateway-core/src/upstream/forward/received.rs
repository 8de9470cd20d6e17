//! [`Received`]: an answer's body that is still on its way, and the connection it comes on.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::exchange::Exchange;
use crate::error::{Error, HealthSignal, Reason};
use crate::upstream::pool::Lease;

/// An answer's body on its way. Dropped before its end, it closes the connection, which is how
/// the upstream learns that nobody wants the rest.
pub(super) struct Received {
    /// The exchange, until the body has ended.
    on: Option<(Exchange, Lease)>,
    length: Option<u64>,
    idle: Duration,
    deadline: Option<Instant>,
    reusable: bool,
    /// The answer began well: its end says whether the endpoint is.
    good: bool,
}

impl Received {
    pub(super) fn new(
        exchange: Exchange,
        lease: Lease,
        length: Option<u64>,
        idle: Duration,
        deadline: Option<Instant>,
        reusable: bool,
        good: bool,
    ) -> Self {
        Self { on: Some((exchange, lease)), length, idle, deadline, reusable, good }
    }

    /// The body is complete: the connection goes back if nothing speaks against it.
    fn complete(&mut self) {
        let Some((exchange, lease)) = self.on.take() else {
            return;
        };
        if self.good {
            lease.endpoint().vitals.note(HealthSignal::Success);
        }
        if self.reusable && exchange.is_reusable() {
            lease.give_back(exchange.connection);
        }
    }

    fn broke_off(&mut self, reason: Reason) {
        if let Some((_, lease)) = self.on.take()
            && self.good
        {
            lease.endpoint().vitals.note(reason.health_signal());
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let (idle, deadline) = (self.idle, self.deadline);
        let Some((exchange, _)) = &mut self.on else {
            return Poll::Ready(None);
        };
        let polled = match exchange.poll_body(cx) {
            Poll::Ready(polled) => polled,
            Poll::Pending => {
                let (idle_at, stands_still) = exchange.idle_at(idle);
                let next = deadline.map_or(idle_at, |deadline| deadline.min(idle_at));
                if exchange.connection.alarm.poll(cx, next).is_pending() {
                    return Poll::Pending;
                }
                let late = if next == idle_at { stands_still } else { Reason::RouteTimeout };
                Some(Err(late.into()))
            }
        };
        match &polled {
            Some(Ok(frame)) => {
                let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                let ended = exchange.decoder.is_done();
                self.length = self.length.map(|left| left.saturating_sub(size));
                if ended {
                    self.complete();
                }
            }
            Some(Err(error)) => self.broke_off(error.reason()),
            None => self.complete(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.on.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
