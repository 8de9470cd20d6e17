//! [`Transport`]: what an HTTP/2 connection runs over.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::streams::Streams;
use crate::stream::{NetStream, Rewound};

/// The client's connection. While its streams are looked at, it is written to although the socket
/// is not known to have room: whatever the client has taken then shows.
pub(super) struct Transport {
    inner: Rewound,
    streams: Arc<Streams>,
}

impl Transport {
    pub(super) fn new(stream: NetStream, read: BytesMut, streams: Arc<Streams>) -> Self {
        Self { inner: Rewound::new(stream, read), streams }
    }

    /// What becomes of a write of `bytes` that came to `polled`.
    fn insist(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if polled.is_ready() || !self.streams.insists() {
            return polled;
        }
        match self.inner.write_now(bytes) {
            // TLS may have room now.
            0 => Pin::new(&mut self.inner).poll_write(cx, bytes),
            written => Poll::Ready(Ok(written)),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.insist(cx, polled, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        let first = slices.iter().find(|slice| !slice.is_empty());
        match first {
            Some(first) => self.insist(cx, polled, first),
            None => polled,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
