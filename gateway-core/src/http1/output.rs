//! [`Output`]: bytes on their way into a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;
#[cfg(test)]
use tokio::io::AsyncWriteExt;

/// Pieces of at most this many bytes are copied behind the others and leave in one write; larger
/// ones are written from where they are.
const COPY_LIMIT: usize = 4 * 1024;

/// Bytes to be written, in order: small pieces gathered, at most one large piece as it is.
#[derive(Debug, Default)]
pub(crate) struct Output {
    before: BytesMut,
    large: Bytes,
    after: BytesMut,
}

impl Output {
    /// Where small pieces are written to.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        if self.large.is_empty() { &mut self.before } else { &mut self.after }
    }

    /// True while a large piece waits: nothing large may be added before it is written.
    pub(crate) fn is_full(&self) -> bool {
        !self.large.is_empty()
    }

    /// Adds `data`. Only when not [full](Self::is_full).
    pub(crate) fn push(&mut self, data: Bytes) {
        if data.len() <= COPY_LIMIT || self.is_full() {
            self.buffer().extend_from_slice(&data);
        } else {
            self.large = data;
        }
    }

    /// True when everything has been written.
    pub(crate) fn is_empty(&self) -> bool {
        self.before.is_empty() && self.large.is_empty() && self.after.is_empty()
    }

    /// Forgets what has not been written, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.before.clear();
        self.large.clear();
        self.after.clear();
    }

    /// Writes everything. Ready once all is out, also of what the transport keeps (TLS does);
    /// `written` counts also what a pending or failed call got out.
    pub(crate) fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut (impl AsyncWrite + Unpin),
        written: &mut u64,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let size = if self.large.is_empty() && self.after.is_empty() {
                ready!(Pin::new(&mut *io).poll_write(cx, &self.before))?
            } else {
                let slices = [
                    IoSlice::new(&self.before),
                    IoSlice::new(&self.large),
                    IoSlice::new(&self.after),
                ];
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices))?
            };
            if size == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += size as u64;
            self.advance(size);
        }
        Pin::new(io).poll_flush(cx)
    }

    /// Writes everything.
    #[cfg(test)]
    pub(crate) async fn write_all(&mut self, io: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        io.write_all(&self.before).await?;
        io.write_all(&self.large).await?;
        io.write_all(&self.after).await?;
        self.clear();
        Ok(())
    }

    /// What is written next.
    pub(crate) fn front(&self) -> &[u8] {
        if self.before.is_empty() { &self.large } else { &self.before }
    }

    /// Takes away what was written of it.
    pub(crate) fn advance(&mut self, mut size: usize) {
        let before = size.min(self.before.len());
        // `clear` keeps the allocation's start, `advance` would walk through it.
        if before == self.before.len() {
            self.before.clear();
        } else {
            self.before.advance(before);
        }
        size -= before;
        let large = size.min(self.large.len());
        self.large.advance(large);
        size -= large;
        self.after.advance(size.min(self.after.len()));
        if self.large.is_empty() && !self.after.is_empty() {
            std::mem::swap(&mut self.before, &mut self.after);
        }
    }
}
