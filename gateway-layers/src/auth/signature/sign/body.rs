//! [`Buffered`]: the beginning of a body in memory, and the rest.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gateway_core::{Body, Error};
use http_body::{Body as _, Frame, SizeHint};

/// The beginning of a body in memory, and the rest of it where there is more.
pub(super) struct Buffered {
    frames: VecDeque<Frame<Bytes>>,
    rest: Option<Body>,
}

impl Buffered {
    /// Reads `body` up to its end, or to more than `limit` bytes.
    pub(super) async fn read(mut body: Body, limit: usize) -> Result<Self, Error> {
        let mut frames = VecDeque::new();
        let mut size = 0;
        while size <= limit {
            let next = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let Some(frame) = next.transpose()? else {
                return Ok(Self { frames, rest: None });
            };
            // Empty ones would be kept without a limit.
            match frame.data_ref() {
                Some(data) if data.is_empty() => continue,
                data => size += data.map_or(0, Bytes::len),
            }
            frames.push_back(frame);
        }
        Ok(Self { frames, rest: Some(body) })
    }

    /// The pieces, when they are the whole.
    pub(super) fn whole(&self) -> Option<impl Iterator<Item = &Bytes>> {
        self.rest.is_none().then(|| self.frames.iter().filter_map(Frame::data_ref))
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.rest.is_none() && self.frames.is_empty()
    }
}

impl http_body::Body for Buffered {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.frames.iter().filter_map(Frame::data_ref);
        let held = data.map(|data| data.len() as u64).sum();
        let trailers = self.frames.iter().any(Frame::is_trailers);
        let Some(rest) = &self.rest else {
            // With trailers its length is not announced, so that they can be sent.
            return if trailers { SizeHint::new() } else { SizeHint::with_exact(held) };
        };
        let inner = rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(inner.lower().saturating_add(held));
        hint
    }
}
