//! [`Receiving`]: a request's body on its way from an HTTP/2 client.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::body::Body;
use crate::error::{Error, Reason};
use crate::server::pace::{Pace, Patience};
use crate::timer::ResettableTimer;

/// A request's body, which must not stand still while its reader waits for it, until the request
/// has been answered: a client that was answered may have nothing to say for long (RFC 9113,
/// section 8.1).
pub(super) struct Receiving {
    body: Body,
    pace: Pace,
    patience: Patience,
    alarm: ResettableTimer,
    answered: Arc<AtomicBool>,
}

impl Receiving {
    pub(super) fn new(body: Body, patience: Patience, answered: Arc<AtomicBool>) -> Self {
        Self { body, pace: Pace::default(), patience, alarm: ResettableTimer::default(), answered }
    }
}

impl http_body::Body for Receiving {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.pace.stops_waiting();
            if let Some(Ok(frame)) = &frame {
                this.pace.receives(frame.data_ref().map_or(0, Bytes::len));
            }
            return Poll::Ready(frame);
        }
        if this.answered.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        this.pace.waits();
        let Some(late_at) = this.pace.deadline(this.patience) else {
            return Poll::Pending;
        };
        ready!(this.alarm.poll(cx, late_at));
        Poll::Ready(Some(Err(Reason::RequestTimeout.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
