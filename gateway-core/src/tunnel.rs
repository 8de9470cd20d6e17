//! Tunnels: two streams joined after a protocol switch.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::sleep;

/// Each direction of a tunnel buffers at most this many bytes.
const BUFFER: usize = 16 * 1024;

/// Copies between `near` and `far` until both have ended or neither has sent anything for `idle`.
/// `read` has been read from `near` already. The end of one direction is passed on as such.
pub(crate) async fn join<N, F>(near: N, read: BytesMut, far: F, idle: Duration)
where
    N: AsyncRead + AsyncWrite + Unpin,
    F: AsyncRead + AsyncWrite + Unpin,
{
    let moved = Arc::new(AtomicU64::new(0));
    let mut near = Counted { stream: near, read, moved: Arc::clone(&moved) };
    let mut far = Counted { stream: far, read: BytesMut::new(), moved: Arc::clone(&moved) };
    let mut copy = pin!(copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER));
    loop {
        let before = moved.load(Ordering::Relaxed);
        tokio::select! {
            ended = &mut copy => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "tunnel broke");
                }
                return;
            }
            () = sleep(idle) => {
                if moved.load(Ordering::Relaxed) == before {
                    tracing::debug!(?idle, "tunnel stood still");
                    return;
                }
            }
        }
    }
}

/// A stream that counts what is read from it, and starts with what was read before.
struct Counted<S> {
    stream: S,
    read: BytesMut,
    moved: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let size = self.read.len().min(buffer.remaining());
            buffer.put_slice(&self.read[..size]);
            self.read.advance(size);
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_ready() {
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_goes_first_and_silence_ends_it() {
        let (near, mut client) = duplex(64);
        let (far, mut upstream) = duplex(64);
        let joined = async {
            join(near, BytesMut::from("early "), far, Duration::from_secs(5)).await;
        };
        let talk = async {
            client.write_all(b"late").await.unwrap();
            let mut got = [0; 10];
            upstream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"early late");
        };
        tokio::join!(joined, talk);
    }
}
