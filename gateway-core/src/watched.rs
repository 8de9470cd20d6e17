//! [`Watched`]: a body that must not stand still.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::body::Body;
use crate::error::{Error, Reason};
use crate::timer::ResettableTimer;

/// A body that must not stand still, nor outlast its request's time.
pub(crate) struct Watched {
    body: Body,
    alarm: ResettableTimer,
    idle: Duration,
    stands_still: Reason,
    deadline: Option<Instant>,
    waits_since: Option<Instant>,
}

impl Watched {
    /// Fails with `stands_still` when `body` has had nothing for `idle` while somebody waited.
    pub(crate) fn new(body: Body, idle: Duration, stands_still: Reason) -> Self {
        let alarm = ResettableTimer::default();
        Self { body, alarm, idle, stands_still, deadline: None, waits_since: None }
    }

    /// Fails with [`Reason::RouteTimeout`] after `deadline`.
    pub(crate) fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waits_since = None;
            return Poll::Ready(frame);
        }
        let idle_at = *this.waits_since.get_or_insert_with(Instant::now) + this.idle;
        let next = this.deadline.map_or(idle_at, |deadline| deadline.min(idle_at));
        ready!(this.alarm.poll(cx, next));
        let late = if next == idle_at { this.stands_still } else { Reason::RouteTimeout };
        Poll::Ready(Some(Err(late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn silent() -> Body {
        Body::new(StreamBody::new(futures_util::stream::pending::<Result<_, Error>>()))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_the_deadline_end_it() {
        let idle = Duration::from_secs(5);
        let mut body = Watched::new(silent(), idle, Reason::StreamIdle);
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Reason::StreamIdle);
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut body = Watched::new(silent(), idle, Reason::StreamIdle).until(Some(deadline));
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Reason::RouteTimeout);
        assert_eq!(Instant::now(), deadline);
    }
}
