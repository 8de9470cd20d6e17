//! [`Sending`]: a response's body on its way to an HTTP/2 client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use super::SEND_BUFFER;
use super::streams::Stream;
use crate::body::{Body, End};
use crate::error::{Error, Reason};

/// A response's body as hyper gets it: what of it the transport has taken is counted, piece by
/// piece.
///
/// A large rest of a body is not ended before the client has taken it: what has ended for h2
/// cannot be taken back from a client that does not read.
pub(super) struct Sending {
    body: Body,
    stream: Option<Arc<Stream>>,
    /// How the body ends once everything has been taken.
    end: Option<Option<HeaderMap>>,
}

impl Sending {
    /// The body of the response on `stream`; `None` for a stream that has become a tunnel.
    pub(super) fn new(body: Body, stream: Option<Arc<Stream>>) -> Self {
        Self { body, stream, end: None }
    }

    /// True while more waits for the client than may be left behind without an owner.
    fn must_stay(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.waiting() > SEND_BUFFER as u64)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Counted>>> {
        if let Some(stream) = &self.stream {
            ready!(stream.poll_flushed(cx));
        }
        Poll::Ready(self.end.take().flatten().map(Frame::trailers))
    }
}

impl http_body::Body for Sending {
    type Data = Counted;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Counted>, Error>>> {
        if self.end.is_some() {
            return self.poll_end(cx).map(|frame| frame.map(Ok));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(frame) => frame?,
            None if self.must_stay() => {
                self.end = Some(None);
                return self.poll_end(cx).map(|frame| frame.map(Ok));
            }
            None => return Poll::Ready(None),
        };
        Poll::Ready(match frame.into_data() {
            Ok(bytes) => {
                if let Some(stream) = &self.stream {
                    stream.hands(bytes.len());
                }
                Some(Ok(Frame::data(Counted { bytes, stream: self.stream.clone() })))
            }
            Err(frame) => {
                let trailers = frame.into_trailers().ok();
                if self.must_stay() {
                    self.end = Some(trailers);
                    return self.poll_end(cx).map(|frame| frame.map(Ok));
                }
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.end.is_none() && !self.must_stay()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let Some(stream) = &self.stream else {
            return;
        };
        stream.detaches();
        if stream.is_out_of_time() && !self.body.is_end_stream() {
            self.body.finish(End::Broken(Reason::RouteTimeout));
        }
    }
}

/// A piece of a body, which counts what is written of it.
pub(super) struct Counted {
    bytes: Bytes,
    stream: Option<Arc<Stream>>,
}

impl Counted {
    fn writes(&self, size: usize) {
        if let Some(stream) = &self.stream {
            stream.writes(size);
        }
    }
}

impl Buf for Counted {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, size: usize) {
        self.bytes.advance(size);
        self.writes(size);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // What a reset took back is not waited for.
        if !self.bytes.is_empty() {
            self.writes(self.bytes.len());
        }
    }
}
