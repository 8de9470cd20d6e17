//! [`CheckedBody`]: a body that does not end before it is known to be the one that was signed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gateway_core::{Body, Error};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use super::digest::{Digests, Hashing};

/// A body that is hashed as it passes. Its last piece is kept back until the whole is known to be
/// right: whoever reads never sees all of a body that is not. Empty pieces are left away.
pub(super) struct CheckedBody<W> {
    inner: Body,
    /// Makes the error for a body that is another one.
    wrong: W,
    /// `None` once the end has been judged.
    hashing: Option<Hashing>,
    /// What has been read and not handed on.
    held: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl<W: Fn() -> Error> CheckedBody<W> {
    pub(super) fn new(inner: Body, digests: Digests, wrong: W) -> Self {
        let hashing = Some(digests.start());
        Self { inner, wrong, hashing, held: None, trailers: None }
    }

    /// Judges at the end.
    fn judge(&mut self) -> Result<(), Error> {
        if self.hashing.take().is_none_or(Hashing::finish) {
            return Ok(());
        }
        self.held = None;
        Err((self.wrong)())
    }

    fn left(&mut self) -> Option<Frame<Bytes>> {
        let data = self.held.take().map(Frame::data);
        data.or_else(|| self.trailers.take().map(Frame::trailers))
    }

    /// Takes the next frame of the inner body; what may be handed on now.
    fn take(
        &mut self,
        frame: Option<Result<Frame<Bytes>, Error>>,
    ) -> Result<Option<Frame<Bytes>>, Error> {
        let Some(frame) = frame else {
            return self.judge().map(|()| None);
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                self.hashing = None;
                self.held = None;
                return Err(error);
            }
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => Ok(None),
            Ok(data) => {
                if let Some(hashing) = &mut self.hashing {
                    hashing.update(&data);
                }
                let before = self.held.replace(data);
                if self.inner.is_end_stream() {
                    self.judge()?;
                }
                Ok(before.map(Frame::data))
            }
            Err(frame) => {
                self.judge()?;
                self.trailers = frame.into_trailers().ok();
                Ok(None)
            }
        }
    }
}

impl<W: Fn() -> Error + Unpin> http_body::Body for CheckedBody<W> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        while this.hashing.is_some() {
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            if let Some(out) = this.take(frame).transpose() {
                return Poll::Ready(Some(out));
            }
        }
        Poll::Ready(this.left().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.hashing.is_none() && self.held.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, Bytes::len) as u64;
        if self.hashing.is_none() {
            return SizeHint::with_exact(held);
        }
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint.set_lower(inner.lower().saturating_add(held));
        hint
    }
}
