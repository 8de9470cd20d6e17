//! Bodies that clients send.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::mpsc;

use crate::pattern::Pattern;
use crate::record::SEED;

const PIECE: usize = 32 << 10;

/// The body of a request.
pub struct Payload(UnsyncBoxBody<Bytes, io::Error>);

impl Payload {
    /// No body.
    pub fn empty() -> Self {
        Self::new(Empty::new().map_err(|never| match never {}))
    }

    /// That many bytes of the harness' pattern, with their length announced.
    pub fn pattern(length: u64) -> Self {
        Self::new(PatternBody { pattern: Pattern::new(SEED), offset: 0, length, sized: true })
    }

    /// That many bytes of the harness' pattern, without a length.
    pub fn unsized_pattern(length: u64) -> Self {
        Self::new(PatternBody { pattern: Pattern::new(SEED), offset: 0, length, sized: false })
    }

    /// A body followed by trailers.
    pub fn with_trailers(body: &'static str, trailers: &[(&'static str, &'static str)]) -> Self {
        let map = trailers
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            })
            .collect();
        let (sender, payload) = Self::channel();
        sender.send(Ok(Frame::data(Bytes::from(body)))).expect("a receiver");
        sender.send(Ok(Frame::trailers(map))).expect("a receiver");
        payload
    }

    /// A body that the test feeds; an error breaks it, dropping the sender ends it.
    pub fn channel() -> (mpsc::UnboundedSender<io::Result<Frame<Bytes>>>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self::new(ChannelBody(receiver)))
    }

    fn new(body: impl Body<Data = Bytes, Error = io::Error> + Send + 'static) -> Self {
        Self(UnsyncBoxBody::new(body))
    }
}

impl<T: Into<Bytes>> From<T> for Payload {
    fn from(bytes: T) -> Self {
        Self::new(Full::new(bytes.into()).map_err(|never| match never {}))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

struct PatternBody {
    pattern: Pattern,
    offset: u64,
    length: u64,
    sized: bool,
}

impl Body for PatternBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let left = self.length - self.offset;
        if left == 0 {
            return Poll::Ready(None);
        }
        let piece = self.pattern.at(self.offset, left.min(PIECE as u64) as usize);
        self.offset += piece.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        match self.sized {
            true => SizeHint::with_exact(self.length - self.offset),
            false => SizeHint::default(),
        }
    }
}

struct ChannelBody(mpsc::UnboundedReceiver<io::Result<Frame<Bytes>>>);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx)
    }
}
