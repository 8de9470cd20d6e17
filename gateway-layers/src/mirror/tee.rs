//! What is seen of an answer while it passes.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gateway_core::{Body, Error, Response};
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::oneshot;

/// An answer, as far as it is compared.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: StatusCode,
    /// Until its head.
    pub(super) latency: Duration,
    pub(super) is_json: bool,
    pub(super) is_encoded: bool,
    /// `None` when it is too large or broke off.
    pub(super) body: Option<Vec<u8>>,
}

impl Seen {
    /// An answer of which the head is known.
    pub(super) fn of(response: &Response, latency: Duration) -> Self {
        Self {
            status: response.status(),
            latency,
            is_json: is_json(response.headers()),
            is_encoded: response
                .headers()
                .get(header::CONTENT_ENCODING)
                .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")),
            body: None,
        }
    }
}

/// True for `application/json` and what ends with `+json` (RFC 6839, section 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).is_some_and(|kind| {
        let kind = kind.trim().to_ascii_lowercase();
        kind == "application/json" || kind.ends_with("+json")
    })
}

/// Pieces of a body, up to a limit.
#[derive(Debug)]
pub(super) struct Pieces {
    list: Vec<Bytes>,
    size: usize,
    limit: usize,
}

impl Pieces {
    pub(super) fn new(limit: usize) -> Self {
        Self { list: Vec::new(), size: 0, limit }
    }

    /// False when they are too many.
    #[must_use]
    pub(super) fn push(&mut self, piece: &Bytes) -> bool {
        self.size = self.size.saturating_add(piece.len());
        if self.size > self.limit {
            self.list = Vec::new();
            return false;
        }
        self.list.push(piece.clone());
        true
    }

    pub(super) fn join(&mut self) -> Vec<u8> {
        mem::take(&mut self.list).concat()
    }
}

/// `response`, whose body is seen by `tell` when it has ended: up to `limit` bytes of it. It is not
/// read ahead and passes as it came.
pub(super) fn tee(
    mut response: Response,
    mut seen: Seen,
    tell: oneshot::Sender<Seen>,
    limit: usize,
) -> Response {
    let body = response.body();
    if body.is_end_stream() {
        seen.body = Some(Vec::new());
    }
    if body.is_end_stream() || body.size_hint().lower() > limit as u64 {
        // Who no longer listens needs nothing.
        let _ = tell.send(seen);
        return response;
    }
    let length = body.size_hint().exact();
    let watch = Some(Watch { seen, tell, length, pieces: Pieces::new(limit) });
    *response.body_mut() = mem::take(response.body_mut()).map(|inner| Tee { inner, watch });
    response
}

struct Tee {
    inner: Body,
    // None once it was told.
    watch: Option<Watch>,
}

struct Watch {
    seen: Seen,
    tell: oneshot::Sender<Seen>,
    /// Of the whole body, where that is known.
    length: Option<u64>,
    pieces: Pieces,
}

impl Watch {
    fn tell(mut self, complete: bool) {
        self.seen.body = complete.then(|| self.pieces.join());
        let _ = self.tell.send(self.seen);
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let goes_on = match (&frame, &mut self.watch) {
            (_, None) => true,
            (None | Some(Err(_)), Some(_)) => false,
            (Some(Ok(frame)), Some(watch)) => {
                frame.data_ref().is_none_or(|data| watch.pieces.push(data))
            }
        };
        if !goes_on && let Some(watch) = self.watch.take() {
            watch.tell(frame.is_none());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            // Whoever knows that the end was reached does not ask for it again.
            let whole = watch.length == Some(watch.pieces.size as u64);
            watch.tell(whole || self.inner.is_end_stream());
        }
    }
}
