//! A client that is nothing but a socket.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::framing::RawAnswer;

const PATIENCE: Duration = Duration::from_secs(10);

/// How reading from a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed it.
    Closed,
    /// The peer reset it.
    Reset,
    /// Neither, within the time given.
    Open,
}

/// A raw connection to the gateway.
#[derive(Debug)]
pub struct Raw {
    socket: TcpStream,
    buffer: BytesMut,
    ended: Ended,
}

impl Raw {
    /// Connects.
    pub async fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).await.expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        Self { socket, buffer: BytesMut::new(), ended: Ended::Open }
    }

    /// Sends bytes; false when the peer was gone before all were taken.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends every byte in a segment of its own.
    pub async fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        for byte in bytes.as_ref() {
            if !self.send([*byte]).await {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    /// Sends the bytes in two segments with a pause between.
    pub async fn send_split(&mut self, bytes: impl AsRef<[u8]>, at: usize) -> bool {
        let (first, second) = bytes.as_ref().split_at(at);
        if !self.send(first).await {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.send(second).await
    }

    /// Ends the sending side.
    pub async fn finish(&mut self) {
        let _ = self.socket.shutdown().await;
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        let _ = self.socket.set_zero_linger();
    }

    /// Reads the next answer; as much of it as came within ten seconds, nothing without a head.
    pub async fn answer(&mut self, method: &str) -> Option<RawAnswer> {
        self.answer_within(PATIENCE, method).await
    }

    /// Like [`Raw::answer`], with another bound.
    pub async fn answer_within(&mut self, limit: Duration, method: &str) -> Option<RawAnswer> {
        let deadline = Instant::now() + limit;
        loop {
            let mut rest = self.buffer.clone();
            let closed = self.ended == Ended::Closed;
            let answer = RawAnswer::parse(&mut rest, method, closed);
            if answer.as_ref().is_some_and(|answer| answer.complete) {
                self.buffer = rest;
                return answer;
            }
            if !self.fill(deadline).await {
                let closed = self.ended == Ended::Closed;
                return RawAnswer::parse(&mut self.buffer, method, closed);
            }
        }
    }

    /// Reads all that comes until the peer ends it or the time is over.
    pub async fn read_to_end(&mut self, limit: Duration) -> (Vec<u8>, Ended) {
        let deadline = Instant::now() + limit;
        while self.fill(deadline).await {}
        (self.buffer.split().to_vec(), self.ended)
    }

    /// Reads until `needle` has come; false when it did not within the time.
    pub async fn read_until(&mut self, limit: Duration, needle: &str) -> bool {
        let deadline = Instant::now() + limit;
        while crate::find(&self.buffer, needle.as_bytes()).is_none() {
            if !self.fill(deadline).await {
                return false;
            }
        }
        true
    }

    /// Whether the peer ends the connection within the time, whatever it sends before.
    pub async fn ends_within(&mut self, limit: Duration) -> bool {
        self.read_to_end(limit).await.1 != Ended::Open
    }

    /// What was read and not yet taken.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Reads once; false at the end or at the deadline.
    pub(crate) async fn fill(&mut self, deadline: Instant) -> bool {
        if self.ended != Ended::Open {
            return false;
        }
        self.buffer.reserve(64 << 10);
        let reading = self.socket.read_buf(&mut self.buffer);
        match tokio::time::timeout_at(deadline, reading).await {
            Err(_) => return false,
            Ok(Ok(0)) => self.ended = Ended::Closed,
            Ok(Err(_)) => self.ended = Ended::Reset,
            Ok(Ok(_)) => return true,
        }
        false
    }
}
