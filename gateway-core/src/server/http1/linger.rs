//! How a connection is closed without destroying what was written to it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout};

use crate::stream::NetStream;
use crate::timer::ResettableTimer;

/// A client that keeps sending after its answer is listened to for at most this long.
const LINGER: Duration = Duration::from_secs(30);

/// A client that is silent after its answer is waited for at most this long.
const LINGER_SILENT: Duration = Duration::from_secs(1);

/// Closes the sending side, then reads and forgets what the client still sends.
///
/// Closing a socket with unread bytes in it resets the connection, and the reset destroys the
/// answer on its way (RFC 9112, section 9.6).
pub(super) async fn close(mut stream: NetStream, mut alarm: ResettableTimer) {
    // Only TLS waits here, for room for its last words.
    if !matches!(timeout(LINGER_SILENT, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let until = Instant::now() + LINGER;
    let mut silent_until = Instant::now() + LINGER_SILENT;
    let mut buffer = vec![0_u8; 4 * 1024];
    poll_fn(|cx| {
        loop {
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(&mut stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    silent_until = Instant::now() + LINGER_SILENT;
                    if silent_until > until + LINGER_SILENT {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return alarm.poll(cx, silent_until.min(until)),
            }
        }
    })
    .await;
}
