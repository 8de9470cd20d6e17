//! [`NetStream`]: the transports a connection can run over.

use std::future::Future;
use std::io::{self, IoSlice, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream};

use crate::message::Stream;

/// The end of what a peer sends, where it can be seen without reading what comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndOfInput {
    /// Not seen.
    None,
    /// The peer has closed its sending side.
    Closed,
    /// The connection is gone.
    Gone,
}

impl EndOfInput {
    fn of(ready: impl Future<Output = io::Result<Ready>>) -> Self {
        // What is ready is known at once or not at all.
        match pin!(ready).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) if ready.is_read_closed() && ready.is_write_closed() => {
                Self::Gone
            }
            Poll::Ready(Ok(ready)) if ready.is_read_closed() => Self::Closed,
            Poll::Ready(Err(_)) => Self::Gone,
            Poll::Ready(Ok(_)) | Poll::Pending => Self::None,
        }
    }
}

/// A connection's transport.
pub(crate) enum NetStream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS with a client, over one of the two. Boxed: most connections have none.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<Rewound>>),
    /// TLS with an upstream.
    #[cfg(feature = "tls")]
    TlsUpstream(Box<tokio_rustls::client::TlsStream<Self>>),
    /// Anything else that reads and writes, such as memory.
    Other(Box<dyn Stream>),
}

impl NetStream {
    /// Ready once there is something to read, or the end of the stream. Only for what
    /// [can wait](Self::can_wait); never ready for anything else.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            // Whoever waits has read all there was before, so that nothing is left inside.
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0.stream.poll_readable(cx),
            _ => Poll::Pending,
        }
    }

    /// True when the system has something to read, or the end of the stream, whether the event loop
    /// knows of it or not. False for what is no socket.
    pub(crate) fn has_arrived(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => return stream.get_ref().0.stream.has_arrived(),
            #[cfg(feature = "tls")]
            Self::TlsUpstream(stream) => return stream.get_ref().0.has_arrived(),
            Self::Other(_) => return false,
        };
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// True for a socket, which can tell that there is something to read without reading it.
    pub(crate) fn can_wait(&self) -> bool {
        #[cfg(feature = "tls")]
        if matches!(self, Self::TlsUpstream(_)) {
            return false;
        }
        !matches!(self, Self::Other(_))
    }

    /// The end of what the peer sends, although there is more to read before it.
    pub(crate) fn end_of_input(&self) -> EndOfInput {
        match self {
            Self::Tcp(stream) => EndOfInput::of(stream.ready(Interest::READABLE)),
            Self::Unix(stream) => EndOfInput::of(stream.ready(Interest::READABLE)),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0.stream.end_of_input(),
            #[cfg(feature = "tls")]
            Self::TlsUpstream(stream) => stream.get_ref().0.end_of_input(),
            Self::Other(_) => EndOfInput::None,
        }
    }

    /// Makes the end of the connection a reset instead of an orderly close, so that a reader who
    /// takes the end for the end of a message cannot be deceived.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Self::Tcp(stream) => {
                let _ = SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0.stream.reset_on_close(),
            _ => {}
        }
    }

    /// Bytes that the socket has taken, where the stream keeps some for itself: TLS does.
    pub(crate) fn written(&self) -> Option<u64> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Some(stream.get_ref().0.written),
            _ => None,
        }
    }

    /// Writes some of `bytes` whatever the runtime knows of the socket, and gives how many; TLS
    /// writes what it keeps itself, and none of them. Of a client that reads slowly the kernel says
    /// only then that there is room when there is much.
    ///
    /// For rare occasions: it duplicates the socket.
    pub(crate) fn write_now(&mut self, bytes: &[u8]) -> usize {
        #[cfg(feature = "tls")]
        if let Self::Tls(stream) = self {
            let (transport, tls) = stream.get_mut();
            if let (true, Some(mut socket)) = (tls.wants_write(), transport.stream.duplicate()) {
                transport.written += tls.write_tls(&mut socket).unwrap_or(0) as u64;
            }
            return 0;
        }
        // A failure shows itself to whoever writes next.
        self.duplicate().and_then(|mut socket| socket.write(bytes).ok()).unwrap_or(0)
    }

    /// Another handle of the socket, which does not block either.
    fn duplicate(&self) -> Option<Box<dyn io::Write>> {
        match self {
            Self::Tcp(stream) => {
                let socket = stream.as_fd().try_clone_to_owned().ok()?;
                Some(Box::new(std::net::TcpStream::from(socket)))
            }
            Self::Unix(stream) => {
                let socket = stream.as_fd().try_clone_to_owned().ok()?;
                Some(Box::new(std::os::unix::net::UnixStream::from(socket)))
            }
            _ => None,
        }
    }

    /// Says goodbye where the transport has a word for it, as far as that needs no waiting: a
    /// `close_notify` tells the client that nothing was cut off (RFC 8446, section 6.1). Only for
    /// connections that end where they may.
    pub(crate) fn say_goodbye(&mut self) {
        #[cfg(feature = "tls")]
        if let Self::Tls(stream) = self {
            stream.get_mut().1.send_close_notify();
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let _ = Pin::new(&mut **stream).poll_flush(&mut cx);
        }
    }
}

macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            NetStream::Tcp($inner) => $call,
            NetStream::Unix($inner) => $call,
            #[cfg(feature = "tls")]
            NetStream::Tls($inner) => $call,
            #[cfg(feature = "tls")]
            NetStream::TlsUpstream($inner) => $call,
            NetStream::Other($inner) => $call,
        }
    };
}

impl AsyncRead for NetStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for NetStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::TlsUpstream(stream) => stream.is_write_vectored(),
            Self::Other(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}

impl std::fmt::Debug for NetStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Unix(_) => "Unix",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "Tls",
            #[cfg(feature = "tls")]
            Self::TlsUpstream(_) => "TlsUpstream",
            Self::Other(_) => "Other",
        })
    }
}

/// A stream that starts with what was read from it before.
pub(crate) struct Rewound {
    stream: NetStream,
    read: BytesMut,
    /// Bytes that `stream` has taken.
    written: u64,
}

impl Rewound {
    /// `stream`, from which `read` has been read already.
    pub(crate) fn new(stream: NetStream, read: BytesMut) -> Self {
        Self { stream, read, written: 0 }
    }

    /// As [`NetStream::write_now`].
    pub(crate) fn write_now(&mut self, bytes: &[u8]) -> usize {
        let written = self.stream.write_now(bytes);
        self.written += written as u64;
        written
    }

    fn count(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(size)) = polled {
            self.written += size as u64;
        }
        polled
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let size = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..size]);
        self.read.advance(size);
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
