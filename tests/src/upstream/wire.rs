//! One connection of the HTTP/1 upstream, and the steps done on it.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::answer::Step;
use crate::framing::{BodyReader, take_head};
use crate::pattern::Pattern;
use crate::record::{Recorder, SEED, Seen, lock};
use crate::websocket::{Frame, accept};

const LONGEST_HEAD: usize = 16 << 20;
const FINISH: Duration = Duration::from_secs(10);

pub(super) struct Wire {
    socket: TcpStream,
    buffer: BytesMut,
    searched: usize,
    pub(super) recorder: Arc<Recorder>,
}

impl Wire {
    pub(super) fn new(socket: TcpStream, recorder: Arc<Recorder>) -> Self {
        Self { socket, buffer: BytesMut::new(), searched: 0, recorder }
    }

    pub(super) async fn head(&mut self, idle: Option<Duration>) -> Option<Bytes> {
        loop {
            if let Some(head) = take_head(&mut self.buffer, &mut self.searched) {
                return Some(head);
            }
            let more = match idle.filter(|_| self.buffer.is_empty()) {
                Some(time) => tokio::time::timeout(time, self.fill()).await.unwrap_or(false),
                None => self.fill().await,
            };
            if !more || self.buffer.len() > LONGEST_HEAD {
                return None;
            }
        }
    }

    /// Reads once; false when the peer is gone.
    async fn fill(&mut self) -> bool {
        self.buffer.reserve(64 << 10);
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => false,
            Ok(bytes) => {
                self.recorder.received(bytes);
                true
            }
        }
    }

    /// Reads a body to its end; false when the peer was gone before.
    pub(super) async fn body(&mut self, body: &mut BodyReader, seen: &Mutex<Seen>) -> bool {
        loop {
            if !self.feed(body, seen) {
                return false;
            }
            if body.is_done() {
                return true;
            }
            if !self.fill().await {
                return false;
            }
        }
    }

    fn feed(&mut self, body: &mut BodyReader, seen: &Mutex<Seen>) -> bool {
        let mut seen = lock(seen);
        let well = body.feed(&mut self.buffer, |piece| seen.body_piece(piece)).is_ok();
        if body.is_done() {
            seen.complete = true;
            seen.trailers = body.trailers();
        }
        well
    }

    pub(super) async fn run(
        &mut self,
        steps: &[Step],
        body: &mut BodyReader,
        seen: &Mutex<Seen>,
    ) -> ControlFlow<()> {
        for step in steps {
            self.step(step, body, seen).await?;
        }
        Continue(())
    }

    async fn step(
        &mut self,
        step: &Step,
        body: &mut BodyReader,
        seen: &Mutex<Seen>,
    ) -> ControlFlow<()> {
        match step {
            Step::Close => return Break(()),
            Step::Deaf => return self.deaf().await,
            Step::Drip(bytes, every) => {
                for byte in bytes {
                    self.send(&[*byte]).await?;
                    tokio::time::sleep(*every).await;
                }
            }
            Step::Echo => {
                if !self.body(body, seen).await {
                    return Break(());
                }
                let echo = echo(&lock(seen));
                self.send(&echo).await?;
            }
            Step::Endless(bytes) => loop {
                self.send(bytes).await?;
            },
            Step::Finish => {
                let _ = self.socket.shutdown().await;
                let _ = tokio::time::timeout(FINISH, self.drain(body, seen)).await;
                return Break(());
            }
            Step::Gate(gate) => gate.pass().await,
            Step::Hang => {
                self.drain(body, seen).await;
                return Break(());
            }
            Step::Pattern(length) => return self.pattern(*length).await,
            Step::ReadBody => {
                if !self.body(body, seen).await {
                    return Break(());
                }
            }
            Step::Repeat(bytes, times) => {
                for _ in 0..*times {
                    self.send(bytes).await?;
                }
            }
            Step::Reply(status, headers, content) => {
                let bodiless = lock(seen).method == "HEAD" || matches!(status, 204 | 304);
                self.send(&reply(*status, headers, content, bodiless)).await?;
            }
            Step::Reset => {
                let _ = self.socket.set_zero_linger();
                return Break(());
            }
            Step::Send(bytes) => self.send(bytes).await?,
            Step::Sleep(time) => tokio::time::sleep(*time).await,
            Step::Tunnel => return self.tunnel().await,
            Step::WebSocket(first) => return self.websocket(first, seen).await,
        }
        Continue(())
    }

    async fn send(&mut self, mut bytes: &[u8]) -> ControlFlow<()> {
        while !bytes.is_empty() {
            match self.socket.write(bytes).await {
                Ok(written) if written > 0 => {
                    self.recorder.sent(written);
                    bytes = &bytes[written..];
                }
                _ => return Break(()),
            }
        }
        Continue(())
    }

    async fn pattern(&mut self, length: u64) -> ControlFlow<()> {
        let pattern = Pattern::new(SEED);
        let mut offset = 0;
        while offset < length {
            let piece = pattern.at(offset, (length - offset).min(32 << 10) as usize);
            self.send(&piece).await?;
            offset += piece.len() as u64;
        }
        Continue(())
    }

    async fn drain(&mut self, body: &mut BodyReader, seen: &Mutex<Seen>) {
        loop {
            self.feed(body, seen);
            self.buffer.clear();
            if !self.fill().await {
                lock(seen).left = Some(Instant::now());
                return;
            }
        }
    }

    async fn tunnel(&mut self) -> ControlFlow<()> {
        loop {
            let piece = self.buffer.split();
            self.send(&piece).await?;
            if !self.fill().await {
                let _ = self.socket.shutdown().await;
                return Break(());
            }
        }
    }

    async fn websocket(&mut self, first: &[Frame], seen: &Mutex<Seen>) -> ControlFlow<()> {
        let key = lock(seen).header("sec-websocket-key").unwrap_or_default().to_owned();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept(&key)
        );
        self.send(head.as_bytes()).await?;
        for frame in first {
            self.send(&frame.encode(false)).await?;
        }
        loop {
            while let Some(mut frame) = Frame::take(&mut self.buffer) {
                lock(seen).body_piece(&frame.data);
                if frame.opcode == 9 {
                    frame.opcode = 10;
                }
                self.send(&frame.encode(false)).await?;
                if frame.opcode == 8 {
                    return Break(());
                }
            }
            if !self.fill().await {
                return Break(());
            }
        }
    }

    async fn deaf(&mut self) -> ControlFlow<()> {
        // Unread bytes keep the socket readable, so its state is asked for now and then.
        loop {
            match self.socket.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => {}
                _ => return Break(()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn reply(status: u16, headers: &[(String, String)], content: &[u8], bodiless: bool) -> Vec<u8> {
    let mut wire = format!("HTTP/1.1 {status} Said\r\n").into_bytes();
    for (name, value) in headers {
        wire.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if status != 204 {
        wire.extend_from_slice(format!("content-length: {}\r\n", content.len()).as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    if !bodiless {
        wire.extend_from_slice(content);
    }
    wire
}

fn echo(seen: &Seen) -> Vec<u8> {
    if seen.trailers.is_empty() || seen.method == "HEAD" {
        return reply(200, &[], &seen.body, seen.method == "HEAD");
    }
    let names: Vec<&str> = seen.trailers.iter().map(|(name, _)| name.as_str()).collect();
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
    let mut wire = format!("{head}trailer: {}\r\n\r\n", names.join(", ")).into_bytes();
    if !seen.body.is_empty() {
        wire.extend_from_slice(format!("{:x}\r\n", seen.body.len()).as_bytes());
        wire.extend_from_slice(&seen.body);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n");
    for (name, value) in &seen.trailers {
        wire.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
    wire
}
