//! Tunnels: two streams joined after a protocol switch.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep};

/// A tunnel may be idle for this long unless its listener or route has another time: many
/// applications send a ping less often than every five minutes, or never.
pub(crate) const IDLE: Duration = Duration::from_secs(60 * 60);

/// Each direction of a tunnel buffers at most this many bytes.
const BUFFER: usize = 16 * 1024;

/// Once one direction has ended, the other may be idle for this long. A peer that has ended its
/// direction and is gone cannot be told from one that still reads, until something is sent to it.
const HALF_CLOSED_IDLE: Duration = Duration::from_secs(5);

/// Copies between `near` and `far` until both have ended or nothing has moved for `idle`.
/// `read` has been read from `near` already. The end of one direction is passed on as such.
pub(crate) async fn join<N, F>(near: N, read: BytesMut, far: F, idle: Duration)
where
    N: AsyncRead + AsyncWrite + Unpin,
    F: AsyncRead + AsyncWrite + Unpin,
{
    let progress = Arc::new(Progress::new());
    let mut near = Counted { stream: near, read, progress: Arc::clone(&progress) };
    let mut far = Counted { stream: far, read: BytesMut::new(), progress: Arc::clone(&progress) };
    let mut copy = pin!(copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER));
    let mut timer = pin!(sleep(idle));
    let mut limit = idle;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = copy.as_mut().poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(%error, "tunnel broke");
            }
            return Poll::Ready(());
        }
        if limit > HALF_CLOSED_IDLE && progress.is_half_closed() {
            limit = HALF_CLOSED_IDLE;
            timer.as_mut().reset(progress.last() + limit);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let deadline = progress.last() + limit;
            if deadline <= Instant::now() {
                tracing::debug!(?limit, "idle tunnel closed");
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    })
    .await;
}

/// The progress of both directions together.
struct Progress {
    began: Instant,
    /// Milliseconds from `began` to the last byte that moved.
    last: AtomicU64,
    half_closed: AtomicBool,
}

impl Progress {
    fn new() -> Self {
        let (last, half_closed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { began: Instant::now(), last, half_closed }
    }

    fn note(&self) {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    fn note_end(&self) {
        self.note();
        self.half_closed.store(true, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    fn is_half_closed(&self) -> bool {
        self.half_closed.load(Ordering::Relaxed)
    }
}

/// A stream that notes what is read from it and written to it, and starts with what was read
/// before.
struct Counted<S> {
    stream: S,
    read: BytesMut,
    progress: Arc<Progress>,
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
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Poll::Ready(Ok(())) = polled {
            match buffer.filled().len() == before {
                true => self.progress.note_end(),
                false => self.progress.note(),
            }
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
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        // Of a peer that reads slowly every byte counts.
        if let Poll::Ready(Ok(1..)) = polled {
            self.progress.note();
        }
        polled
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

    const PERIOD: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_goes_first_and_silence_ends_it() {
        let (near, mut client) = duplex(64);
        let (far, mut upstream) = duplex(64);
        let joined = async {
            join(near, BytesMut::from("early "), far, PERIOD).await;
        };
        let talk = async {
            client.write_all(b"late").await.unwrap();
            let mut got = [0; 10];
            upstream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"early late");
        };
        let began = Instant::now();
        tokio::join!(joined, talk);
        assert!(began.elapsed() < PERIOD + Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_progress() {
        let (near, mut client) = duplex(1);
        let (far, mut upstream) = duplex(64);
        let message = [b'x'; 30];
        let talk = async {
            upstream.write_all(&message).await.unwrap();
            let mut got = [0];
            for _ in 0..message.len() {
                tokio::time::sleep(PERIOD / 2).await;
                client.read_exact(&mut got).await.unwrap();
            }
        };
        tokio::select! {
            () = join(near, BytesMut::new(), far, PERIOD) => panic!("cut"),
            () = talk => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_closed_tunnel_goes_on_while_it_moves() {
        let (near, mut client) = duplex(64);
        let (far, mut upstream) = duplex(64);
        let talk = async {
            client.shutdown().await.unwrap();
            let mut got = [0];
            for _ in 0..20 {
                tokio::time::sleep(HALF_CLOSED_IDLE / 2).await;
                upstream.write_all(b"x").await.unwrap();
                client.read_exact(&mut got).await.unwrap();
            }
            Instant::now()
        };
        let (last, ()) = tokio::join!(talk, join(near, BytesMut::new(), far, PERIOD));
        let after = last.elapsed();
        assert!(after <= HALF_CLOSED_IDLE + Duration::from_secs(1), "{after:?}");
    }
}
