//! The HTTP/1 upstream: a raw socket and a script.

use std::net::SocketAddr;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Upstream;
use crate::answer::{Answer, Step};
use crate::framing::{BodyReader, parse_head, take_head};
use crate::gateway::FRESH;
use crate::pattern::Pattern;
use crate::record::{Recorder, SEED, Seen, lock};
use crate::websocket::{Frame, accept};

const LONGEST_HEAD: usize = 16 << 20;
const FINISH: Duration = Duration::from_secs(10);

type Script = dyn Fn(&Seen) -> Answer + Send + Sync;
type Accepted = dyn Fn(usize) -> Answer + Send + Sync;

/// Describes an HTTP/1 upstream before it starts.
#[derive(Clone)]
pub struct Http1Builder {
    script: Arc<Script>,
    accepted: Arc<Accepted>,
    idle: Option<Duration>,
    requests: usize,
    at: Option<SocketAddr>,
}

impl Default for Http1Builder {
    fn default() -> Self {
        Self {
            script: Arc::new(|_| Answer::ok("ok")),
            accepted: Arc::new(|_| Answer::unread()),
            idle: None,
            requests: usize::MAX,
            at: None,
        }
    }
}

impl Http1Builder {
    /// Does the same with every request.
    #[must_use]
    pub fn answer(self, answer: Answer) -> Self {
        self.script(move |_| answer.clone())
    }

    /// Does these one after the other over all connections, the last one again and again.
    #[must_use]
    pub fn answers(self, answers: Vec<Answer>) -> Self {
        let next = std::sync::atomic::AtomicUsize::new(0);
        self.script(move |_| {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            answers[index.min(answers.len() - 1)].clone()
        })
    }

    /// Decides for each request.
    #[must_use]
    pub fn script(mut self, script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        self.script = Arc::new(script);
        self
    }

    /// Does this with every new connection, before its first request.
    #[must_use]
    pub fn on_accept(mut self, steps: Answer) -> Self {
        self.accepted = Arc::new(move |_| steps.clone());
        self
    }

    /// Closes a connection that has had no request for this long after an answer.
    #[must_use]
    pub fn closes_idle_after(mut self, time: Duration) -> Self {
        self.idle = Some(time);
        self
    }

    /// Closes a connection after that many answers, without having announced it.
    #[must_use]
    pub fn closes_after_requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    /// Listens at this address, for one that comes back after it was killed.
    #[must_use]
    pub fn at(mut self, addr: SocketAddr) -> Self {
        self.at = Some(addr);
        self
    }

    /// Starts to listen on a free port of the loopback.
    pub async fn start(self) -> Upstream {
        let at = self.at;
        Upstream::listen("http", at, move |socket, recorder, number| {
            serve(Wire::new(socket, recorder), self.clone(), number)
        })
        .await
    }
}

async fn serve(mut wire: Wire, builder: Http1Builder, connection: usize) {
    if !wire.recorder.is_healed() {
        let steps = (builder.accepted)(connection).steps;
        let nothing = Mutex::new(Seen::new(connection, 0, "", Vec::new()));
        if wire
            .run(&steps, &mut BodyReader::for_request(&[]), &nothing)
            .await
            .is_break()
        {
            return;
        }
    }
    for request in 0..builder.requests {
        let idle = builder.idle.filter(|_| request > 0);
        let Some(head) = wire.head(idle).await else {
            return;
        };
        let (start, headers) = parse_head(&head);
        let mut body = BodyReader::for_request(&headers);
        let mut seen = Seen::new(connection, request, &start, headers);
        seen.head = head.to_vec();
        seen.complete = body.is_done();
        let fresh = seen.target.ends_with(FRESH);
        let steps = match fresh || wire.recorder.is_healed() {
            true => Answer::ok("fresh").steps,
            false => (builder.script)(&seen).steps,
        };
        let seen = match fresh {
            true => Arc::new(Mutex::new(seen)),
            false => wire.recorder.begin(seen),
        };
        let flow = wire.run(&steps, &mut body, &seen).await;
        if flow.is_break() || !wire.body(&mut body, &seen).await {
            let mut seen = lock(&seen);
            seen.left = seen.left.or(Some(Instant::now()));
            return;
        }
    }
}

struct Wire {
    socket: TcpStream,
    buffer: BytesMut,
    searched: usize,
    recorder: Arc<Recorder>,
}

impl Wire {
    fn new(socket: TcpStream, recorder: Arc<Recorder>) -> Self {
        Self {
            socket,
            buffer: BytesMut::new(),
            searched: 0,
            recorder,
        }
    }

    async fn head(&mut self, idle: Option<Duration>) -> Option<Bytes> {
        loop {
            if let Some(head) = take_head(&mut self.buffer, &mut self.searched) {
                return Some(head);
            }
            let more = match idle.filter(|_| self.buffer.is_empty()) {
                Some(time) => tokio::time::timeout(time, self.fill())
                    .await
                    .unwrap_or(false),
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
    async fn body(&mut self, body: &mut BodyReader, seen: &Mutex<Seen>) -> bool {
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
        let well = body
            .feed(&mut self.buffer, |piece| seen.body_piece(piece))
            .is_ok();
        if body.is_done() {
            seen.complete = true;
            seen.trailers = body.trailers();
        }
        well
    }

    async fn run(
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
                self.send(&reply(*status, headers, content, bodiless))
                    .await?;
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
        let key = lock(seen)
            .header("sec-websocket-key")
            .unwrap_or_default()
            .to_owned();
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
    let names: Vec<&str> = seen
        .trailers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
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
