//! Server-sent events: an answer that goes on.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gateway_core::{Body, ModuleService, Outcome, Request, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http_body::Frame;
use tokio::time::{Interval, interval};

const EVERY: Duration = Duration::from_secs(1);
const COUNT: u32 = 10;

/// Ten events, one every second.
pub(super) struct Events;

impl ModuleService for Events {
    async fn call(&self, _: Request) -> Outcome {
        let mut response = Response::new(Body::new(Ticks { clock: interval(EVERY), sent: 0 }));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(response)
    }
}

struct Ticks {
    clock: Interval,
    sent: u32,
}

impl http_body::Body for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == COUNT {
            return Poll::Ready(None);
        }
        ready!(self.clock.poll_tick(context));
        self.sent += 1;
        let event = format!("event: tick\ndata: {} of {COUNT}\n\n", self.sent);
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}
