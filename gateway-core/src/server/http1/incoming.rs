//! The request body, read from the connection as it is asked for.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::wire::SharedWire;
use crate::error::Error;
use crate::http1::decode::Decoded;
use crate::trailers;

/// The body of a request on an HTTP/1 connection. Nothing is read before it is polled, so the
/// reader's pace is the client's pace.
pub(super) struct Incoming {
    wire: SharedWire,
    length: Option<u64>,
    done: bool,
}

impl Incoming {
    /// The body of the request whose head has been read; of `length` bytes if that is known.
    pub(super) fn new(wire: SharedWire, length: Option<u64>) -> Self {
        Self { wire, length, done: false }
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let decoded = ready!(self.wire.lock().poll_body(cx));
        match decoded {
            Ok(Decoded::Data(data)) => {
                self.length = self.length.map(|left| left.saturating_sub(data.len() as u64));
                self.done = self.length == Some(0);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Ok(Decoded::Trailers(mut fields)) => {
                self.done = true;
                trailers::sanitize(&mut fields, &[]);
                Poll::Ready((!fields.is_empty()).then(|| Ok(Frame::trailers(fields))))
            }
            Ok(Decoded::End | Decoded::NeedMore) => {
                self.done = true;
                Poll::Ready(None)
            }
            Err(error) => {
                self.done = true;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.done {
            self.wire.lock().abandon_body();
        }
    }
}
