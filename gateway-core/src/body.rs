//! [`Body`]: the one body type of requests and responses.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::error::{BoxError, Error, GrpcStatus, Reason};
use crate::trailers;
use crate::upload::Upload;

/// How a body came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every byte and the trailers were handed on.
    Complete,
    /// The source failed; what was handed on is not the whole message.
    Broken(Reason),
    /// The reader lost interest (the client left, the answer was discarded).
    Dropped,
}

/// What is known of a body that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// How it ended.
    pub end: End,
    /// Bytes that were handed on.
    pub bytes: u64,
    /// The status of a gRPC call, where its trailers were handed on.
    pub grpc_status: Option<GrpcStatus>,
}

impl Ended {
    /// A body of which nothing was handed on.
    pub(crate) fn dropped() -> Self {
        Self { end: End::Dropped, bytes: 0, grpc_status: None }
    }
}

type Hook = Box<dyn FnOnce(Ended) + Send>;

/// A message body: empty, in memory, received by hyper, or any stream of frames.
///
/// The first three cost no allocation, and a layer that wraps a body does not change its type, so
/// that a stack of layers stays one type. A body ends exactly once: see [`on_end`](Self::on_end).
#[derive(Default)]
pub struct Body {
    repr: Repr,
    hook: Option<Hook>,
    /// Bytes handed on so far.
    passed: u64,
    /// In the trailers that were handed on.
    grpc_status: Option<GrpcStatus>,
    /// Where it is noted how far the body of a request has come.
    upload: Option<Arc<Upload>>,
}

#[derive(Default)]
enum Repr {
    #[default]
    Empty,
    Full(Bytes),
    Incoming {
        body: hyper::body::Incoming,
        broken: Reason,
        http2: bool,
    },
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>),
}

impl Body {
    const fn with(repr: Repr) -> Self {
        Self { repr, hook: None, passed: 0, grpc_status: None, upload: None }
    }

    /// A body without a byte.
    pub const fn empty() -> Self {
        Self::with(Repr::Empty)
    }

    /// A body that is in memory as a whole.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let repr = if bytes.is_empty() { Repr::Empty } else { Repr::Full(bytes) };
        Self::with(repr)
    }

    /// A body made of any stream of frames. Its errors become [`Reason::ModuleFailed`], unless
    /// they are an [`Error`] already.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::from_boxed(Box::pin(Converted { body }))
    }

    /// A body of ours as it is, any other boxed.
    pub fn same_or_boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        let any: &mut dyn std::any::Any = &mut body;
        if let Some(ours) = any.downcast_mut::<Option<Self>>().and_then(Option::take) {
            return ours;
        }
        body.map(Self::new).unwrap_or_default()
    }

    /// A body that comes over HTTP/2. A failure of it is reported as `broken`, and so is an end
    /// without `END_STREAM`, which hyper takes for an orderly one.
    pub(crate) fn http2(body: hyper::body::Incoming, broken: Reason) -> Self {
        Self::incoming(body, broken, true)
    }

    fn incoming(body: hyper::body::Incoming, broken: Reason, http2: bool) -> Self {
        if http_body::Body::is_end_stream(&body) {
            return Self::empty();
        }
        Self::with(Repr::Incoming { body, broken, http2 })
    }

    /// A body made of a boxed stream of frames, taken as it is.
    pub fn from_boxed(
        body: Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error> + Send>>,
    ) -> Self {
        Self::with(Repr::Boxed(body))
    }

    /// Calls `hook` once when the body ends, however it ends. Hooks run in the order in which
    /// they were added.
    #[must_use]
    pub fn on_end(self, hook: impl FnOnce(End) + Send + 'static) -> Self {
        self.on_ended(move |ended| hook(ended.end))
    }

    /// As [`on_end`](Self::on_end); `hook` gets the size and the gRPC status as well.
    #[must_use]
    pub fn on_ended(mut self, hook: impl FnOnce(Ended) + Send + 'static) -> Self {
        self.hook = Some(match self.hook.take() {
            None => Box::new(hook),
            Some(first) => Box::new(move |ended| {
                first(ended);
                hook(ended);
            }),
        });
        self
    }

    /// Wraps the stream of frames and keeps the hooks outside of it.
    #[must_use]
    pub fn map<B>(mut self, wrap: impl FnOnce(Self) -> B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        let inner = Self::with(mem::take(&mut self.repr));
        self.repr = Repr::Boxed(Box::pin(wrap(inner)));
        self
    }

    /// The whole body, when it is in memory as a whole. What is left is empty; the hooks run once
    /// the rest is polled to its end or [`finish`](Self::finish) is called.
    pub fn take_full(&mut self) -> Option<Bytes> {
        match mem::take(&mut self.repr) {
            Repr::Empty => Some(Bytes::new()),
            Repr::Full(bytes) => {
                self.passed += bytes.len() as u64;
                Some(bytes)
            }
            other => {
                self.repr = other;
                None
            }
        }
    }

    /// True when nothing of it is still to come from anywhere.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.repr, Repr::Empty | Repr::Full(_))
    }

    /// Ends the body: runs the hooks and drops the stream.
    pub fn finish(&mut self, end: End) {
        self.repr = Repr::Empty;
        self.run_hooks(end);
    }

    /// Notes in `upload` how far it has come.
    pub(crate) fn noted_in(&mut self, upload: Arc<Upload>) {
        self.upload = Some(upload);
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.repr {
            Repr::Empty => Poll::Ready(None),
            Repr::Full(bytes) => {
                let bytes = mem::take(bytes);
                self.repr = Repr::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Repr::Incoming { body, broken, http2 } => poll_incoming(body, cx, *broken, *http2),
            Repr::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn run_hooks(&mut self, end: End) {
        if let Some(hook) = self.hook.take() {
            hook(Ended { end, bytes: self.passed, grpc_status: self.grpc_status });
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = self.poll_source(cx);
        if let Some(upload) = &self.upload {
            match &polled {
                Poll::Pending => upload.waits(),
                Poll::Ready(Some(Ok(_))) => {
                    upload.came();
                    if self.is_end_stream() {
                        upload.ends();
                    }
                }
                Poll::Ready(_) => upload.ends(),
            }
        }
        let frame = ready!(polled);
        match &frame {
            None => self.finish(End::Complete),
            Some(Err(error)) => {
                let reason = error.reason();
                self.finish(End::Broken(reason));
            }
            Some(Ok(frame)) => {
                self.passed += frame.data_ref().map_or(0, Bytes::len) as u64;
                if let Some(trailers) = frame.trailers_ref() {
                    self.grpc_status = GrpcStatus::in_fields(trailers);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.repr {
            Repr::Empty => true,
            Repr::Full(_) => false,
            Repr::Incoming { body, .. } => body.is_end_stream(),
            Repr::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.repr {
            Repr::Empty => SizeHint::with_exact(0),
            Repr::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Repr::Incoming { body, .. } => body.size_hint(),
            Repr::Boxed(body) => body.size_hint(),
        }
    }
}

/// The next frame that hyper received.
fn poll_incoming(
    body: &mut hyper::body::Incoming,
    cx: &mut Context<'_>,
    broken: Reason,
    http2: bool,
) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    let frame = ready!(http_body::Body::poll_frame(Pin::new(&mut *body), cx));
    Poll::Ready(match frame {
        Some(Ok(frame)) => Some(Ok(trailers::sanitize_frame(frame))),
        Some(Err(error)) => {
            let left = http2 && broken == Reason::RequestIncomplete && is_left(&error);
            let reason = if left { Reason::ClientGone } else { broken };
            Some(Err(Error::new(reason).with_source(error)))
        }
        None if http2 && !http_body::Body::is_end_stream(body) => {
            Some(Err(Error::new(broken).with_detail("the stream was reset")))
        }
        None => None,
    })
}

/// True when the other side reset the stream, or its connection is gone.
fn is_left(error: &hyper::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<h2::Error>() {
            return found.is_io() || (found.is_reset() && found.is_remote());
        }
        next = cause.source();
    }
    error.is_incomplete_message() || error.is_closed()
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(upload) = &self.upload {
            upload.ends();
        }
        if self.hook.is_some() {
            let complete = http_body::Body::is_end_stream(self);
            self.run_hooks(if complete { End::Complete } else { End::Dropped });
        }
    }
}

impl From<hyper::body::Incoming> for Body {
    /// A request body as hyper receives it: a failure is [`Reason::RequestIncomplete`].
    fn from(body: hyper::body::Incoming) -> Self {
        Self::incoming(body, Reason::RequestIncomplete, false)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::full(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.repr {
            Repr::Empty => "Empty",
            Repr::Full(_) => "Full",
            Repr::Incoming { .. } => "Incoming",
            Repr::Boxed(_) => "Boxed",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

pin_project_lite::pin_project! {
    /// A foreign body whose errors become ours.
    struct Converted<B> {
        #[pin]
        body: B,
    }
}

impl<B> http_body::Body for Converted<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.project().body.poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| into_error(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The [`Error`] inside of `error`, or `error` as the failure of a module.
pub(crate) fn into_error(error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::new(Reason::ModuleFailed).with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn recorded(body: Body) -> (Body, Arc<Mutex<Vec<End>>>) {
        let ends = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ends);
        (body.on_end(move |end| seen.lock().unwrap().push(end)), ends)
    }

    #[tokio::test]
    async fn a_body_read_to_its_end_is_complete() {
        let (body, ends) = recorded(Body::full("abc"));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert_eq!(*ends.lock().unwrap(), [End::Complete]);
    }

    #[tokio::test]
    async fn a_dropped_body_says_so() {
        let (body, ends) = recorded(Body::full("abc"));
        drop(body);
        assert_eq!(*ends.lock().unwrap(), [End::Dropped]);
        let (body, ends) = recorded(Body::empty());
        drop(body);
        assert_eq!(*ends.lock().unwrap(), [End::Complete]);
    }

    #[tokio::test]
    async fn a_failing_source_is_broken_not_complete() {
        let frames = futures_util::stream::iter([
            Ok(Frame::data(Bytes::from("a"))),
            Err(Error::new(Reason::UpstreamIncomplete)),
        ]);
        let (body, ends) = recorded(Body::new(StreamBody::new(frames)));
        assert!(body.collect().await.is_err());
        assert_eq!(*ends.lock().unwrap(), [End::Broken(Reason::UpstreamIncomplete)]);
    }

    #[tokio::test]
    async fn what_was_handed_on_is_counted() {
        let counted = |body: Body| {
            let passed = Arc::new(Mutex::new(None));
            let seen = Arc::clone(&passed);
            (body.on_ended(move |ended| *seen.lock().unwrap() = Some(ended.bytes)), passed)
        };
        let frames = || {
            let pieces = ["ab", "", "cde"].map(|piece| Ok::<_, Error>(Frame::data(piece.into())));
            Body::new(StreamBody::new(futures_util::stream::iter(pieces)))
        };
        let (body, passed) = counted(frames());
        body.collect().await.unwrap();
        assert_eq!(*passed.lock().unwrap(), Some(5));
        let (mut body, passed) = counted(frames());
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(*passed.lock().unwrap(), Some(2));
        let (mut body, passed) = counted(Body::full("abc"));
        body.take_full().unwrap();
        drop(body);
        assert_eq!(*passed.lock().unwrap(), Some(3));
    }

    #[tokio::test]
    async fn trailers_name_the_grpc_status() {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", http::HeaderValue::from_static("14"));
        let frames = [Ok::<_, Error>(Frame::data(Bytes::from("a"))), Ok(Frame::trailers(trailers))];
        let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        let seen = Arc::new(Mutex::new(None));
        let told = Arc::clone(&seen);
        let mut body = body.on_ended(move |ended| *told.lock().unwrap() = Some(ended));
        while body.frame().await.is_some_and(|frame| !frame.unwrap().is_trailers()) {}
        // A server does not poll once more behind the trailers.
        drop(body);
        let ended = seen.lock().unwrap().unwrap();
        assert_eq!((ended.bytes, ended.grpc_status), (1, Some(GrpcStatus::Unavailable)));
    }

    #[test]
    fn hooks_run_in_order_and_once() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let (first, second) = (Arc::clone(&order), Arc::clone(&order));
        let mut body = Body::full("x")
            .on_end(move |_| first.lock().unwrap().push(1))
            .on_end(move |_| second.lock().unwrap().push(2));
        assert_eq!(body.take_full().unwrap(), "x");
        body.finish(End::Complete);
        drop(body);
        assert_eq!(*order.lock().unwrap(), [1, 2]);
    }
}
