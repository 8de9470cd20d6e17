//! [`Replay`]: a request body that can be sent once more, and which requests may be.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use http_body::{Body as _, Frame, SizeHint};

use crate::body::Body;
use crate::error::{Error, Reason};

/// A body is kept for sending it again up to this size, unless said otherwise: 64 KiB.
pub const REPLAY_LIMIT: usize = 64 * 1024;

/// True when sending the request again cannot do twice what was asked for once (RFC 9110,
/// section 9.2.2), or when the client said so with an `Idempotency-Key`.
pub fn is_idempotent(method: &Method, headers: &HeaderMap) -> bool {
    static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
    method.is_idempotent() || headers.contains_key(&IDEMPOTENCY_KEY)
}

/// A request body, and what is needed to send it once more.
///
/// Nothing is read ahead and nothing is copied: what passes is remembered, as long as it is little.
/// A larger body streams through and cannot be sent again. One attempt follows the other: of two
/// readers at the same time only the later one is woken.
#[derive(Debug)]
pub struct Replay {
    kind: Kind,
}

enum Kind {
    /// It is in memory as a whole.
    Full(Bytes),
    /// It comes from somewhere; what passed is remembered.
    Streamed(Arc<Mutex<State>>),
}

/// Ends a streamed body when it is dropped, whoever reads it: hyper reads a request's body in a
/// task of its own, which would go on when the response has ended or nothing waits for it any more.
pub(crate) struct Upload {
    state: Arc<Mutex<State>>,
}

impl Upload {
    /// True when the body has come to its end by itself.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.state).is_over()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        // All of it has passed, though its reader may still ask for more.
        if state.is_over() {
            return;
        }
        (state.ended, state.lost, state.cut) = (true, true, true);
        let (source, reader) = (std::mem::take(&mut state.source), state.reader.take());
        // Dropping the source may need what its reader holds.
        drop(state);
        drop(source);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

/// What is known of a streamed body.
struct State {
    source: Body,
    /// The task that waits for more of it.
    reader: Option<Waker>,
    /// It was ended before its end.
    cut: bool,
    limit: usize,
    hint: SizeHint,
    kept: Vec<Piece>,
    size: usize,
    ended: bool,
    /// Why it broke off.
    broken: Option<Reason>,
    /// Some of it has passed and is not remembered.
    lost: bool,
}

#[derive(Clone)]
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Replay {
    /// Remembers up to [`REPLAY_LIMIT`] bytes of `body`.
    pub fn new(body: Body) -> Self {
        Self::with_limit(body, REPLAY_LIMIT)
    }

    /// Remembers up to `limit` bytes of `body`. What is in memory as a whole is kept anyway.
    pub fn with_limit(mut body: Body, limit: usize) -> Self {
        if body.size_hint().exact().is_some()
            && let Some(bytes) = body.take_full()
        {
            return Self { kind: Kind::Full(bytes) };
        }
        let hint = body.size_hint();
        let state = State {
            lost: hint.lower() > limit as u64,
            source: body,
            reader: None,
            cut: false,
            limit,
            hint,
            kept: Vec::new(),
            size: 0,
            ended: false,
            broken: None,
        };
        Self { kind: Kind::Streamed(Arc::new(Mutex::new(state))) }
    }

    /// The body for the first attempt.
    pub fn first(&self) -> Body {
        match &self.kind {
            Kind::Full(bytes) => Body::full(bytes.clone()),
            Kind::Streamed(state) => reader(state),
        }
    }

    /// The body for another attempt, from its start; `None` when some of it is gone.
    pub fn again(&self) -> Option<Body> {
        match &self.kind {
            Kind::Full(bytes) => Some(Body::full(bytes.clone())),
            Kind::Streamed(state) => {
                let possible = lock(state).can_begin_again();
                possible.then(|| reader(state))
            }
        }
    }

    /// Why the body broke off, if it did: then that is why the attempt failed.
    pub fn broken(&self) -> Option<Reason> {
        match &self.kind {
            Kind::Full(_) => None,
            Kind::Streamed(state) => lock(state).broken,
        }
    }

    /// The right to end the body before its end; `None` for one that is in memory as a whole.
    pub(crate) fn upload(&self) -> Option<Upload> {
        match &self.kind {
            Kind::Full(_) => None,
            Kind::Streamed(state) => Some(Upload { state: Arc::clone(state) }),
        }
    }

    /// There will be no other attempt: nothing more needs to be remembered.
    pub fn settle(&self) {
        if let Kind::Streamed(state) = &self.kind {
            // What is remembered stays: the reader of a second attempt may not have passed it yet.
            lock(state).lost = true;
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Streamed(_) => "Streamed",
        })
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.ended || self.source.is_end_stream()
    }

    fn can_begin_again(&self) -> bool {
        !self.lost || (self.size == 0 && !self.ended)
    }

    fn remember(&mut self, piece: Piece) {
        if let Piece::Data(data) = &piece {
            self.size += data.len();
        }
        if self.size > self.limit {
            self.lost = true;
            self.kept = Vec::new();
        }
        if !self.lost {
            self.kept.push(piece);
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reader(state: &Arc<Mutex<State>>) -> Body {
    Body::from_boxed(Box::pin(Reader { state: Arc::clone(state), next: 0 }))
}

/// Reads what is remembered, then the source.
struct Reader {
    state: Arc<Mutex<State>>,
    next: usize,
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let mut state = lock(&this.state);
        if state.cut {
            // Over HTTP/2 the stream is reset with this code.
            let cancelled = h2::Error::from(h2::Reason::CANCEL);
            return Poll::Ready(Some(Err(Error::new(Reason::RequestIncomplete)
                .with_detail("the response has ended")
                .with_source(cancelled))));
        }
        if let Some(piece) = state.kept.get(this.next).cloned() {
            this.next += 1;
            return Poll::Ready(Some(Ok(piece.into_frame())));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut state.source).poll_frame(cx) else {
            if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                state.reader = Some(cx.waker().clone());
            }
            return Poll::Pending;
        };
        let Some(frame) = frame else {
            state.ended = true;
            return Poll::Ready(None);
        };
        let piece = match frame {
            Ok(frame) => Piece::from_frame(frame),
            Err(error) => {
                state.lost = true;
                state.ended = true;
                state.broken = Some(error.reason());
                return Poll::Ready(Some(Err(error)));
            }
        };
        this.next += 1;
        state.remember(piece.clone());
        Poll::Ready(Some(Ok(piece.into_frame())))
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.state).hint
    }
}

impl Piece {
    fn from_frame(frame: Frame<Bytes>) -> Self {
        match frame.into_data() {
            Ok(data) => Self::Data(data),
            Err(frame) => Self::Trailers(frame.into_trailers().unwrap_or_default()),
        }
    }

    fn into_frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data),
            Self::Trailers(trailers) => Frame::trailers(trailers),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test]
    async fn dropped_upload_ends_the_body() {
        let silent = futures_util::stream::pending::<Result<Frame<Bytes>, Error>>();
        let replay = Replay::new(Body::new(StreamBody::new(silent)));
        let (mut body, upload) = (replay.first(), replay.upload().unwrap());
        assert!(!upload.is_over());
        let (frame, ()) = tokio::join!(body.frame(), async { drop(upload) });
        let error = frame.unwrap().unwrap_err();
        assert_eq!(error.reason(), Reason::RequestIncomplete);
        assert!(replay.again().is_none());
    }

    #[tokio::test]
    async fn dropped_upload_leaves_a_body_that_has_passed() {
        let whole = Body::new(http_body_util::Full::new(Bytes::from_static(b"abc")));
        let replay = Replay::new(whole.map(|body| body));
        let (mut body, upload) = (replay.first(), replay.upload());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        drop(upload);
        assert!(body.frame().await.is_none());
    }

    fn streamed(pieces: &[&'static str]) -> Body {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, Error>(Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect();
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[test]
    fn a_key_makes_any_method_idempotent() {
        let mut headers = HeaderMap::new();
        assert!(is_idempotent(&Method::PUT, &headers));
        assert!(!is_idempotent(&Method::POST, &headers));
        headers.insert("idempotency-key", "7".parse().unwrap());
        assert!(is_idempotent(&Method::POST, &headers));
    }

    async fn text(body: Body) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn what_is_sent_again_is_what_was_sent() {
        let replay = Replay::new(streamed(&["ab", "cd"]));
        let mut first = replay.first();
        assert_eq!(first.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        drop(first);
        assert_eq!(text(replay.again().unwrap()).await, "abcd");
        assert_eq!(text(replay.again().unwrap()).await, "abcd");
    }

    #[tokio::test]
    async fn an_early_answer_takes_nothing_from_the_second_attempt() {
        let replay = Replay::new(streamed(&["ab", "cd"]));
        let mut first = replay.first();
        first.frame().await.unwrap().unwrap();
        drop(first);
        let second = replay.again().unwrap();
        replay.settle();
        assert_eq!(text(second).await, "abcd");
    }

    #[tokio::test]
    async fn much_streams_through_and_is_gone() {
        let large: &'static str = "x".repeat(REPLAY_LIMIT).leak();
        let replay = Replay::new(streamed(&[large, "y"]));
        let mut first = replay.first();
        first.frame().await.unwrap().unwrap();
        assert!(replay.again().is_some());
        first.frame().await.unwrap().unwrap();
        assert!(replay.again().is_none());
        assert!(first.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_body_in_memory_stays_there() {
        let replay = Replay::new(Body::full("abc"));
        assert_eq!(text(replay.first()).await, "abc");
        assert_eq!(text(replay.again().unwrap()).await, "abc");
    }
}
