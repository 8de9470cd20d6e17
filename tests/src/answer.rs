//! What an HTTP/1 upstream does with a request, step by step.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::websocket::Frame;

/// A door that a test opens: upstream steps wait at it.
#[derive(Clone, Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
}

impl Gate {
    /// A shut gate.
    #[must_use]
    pub fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)) }
    }

    /// Lets one step pass.
    pub fn open(&self) {
        self.permits.add_permits(1);
    }

    /// Lets everything pass from now on.
    pub fn open_for_all(&self) {
        self.permits.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(crate) async fn pass(&self) {
        self.permits.acquire().await.expect("a gate is never closed").forget();
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// One thing that an upstream does on its connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// Closes the connection; with unread bytes in the socket the kernel makes a reset of it.
    Close,
    /// Reads nothing more and waits until the peer is gone.
    Deaf,
    /// Sends bytes one by one with a pause after each.
    Drip(Bytes, Duration),
    /// Answers 200 with the body and the trailers of the request.
    Echo,
    /// Sends the same bytes until the connection breaks.
    Endless(Bytes),
    /// Ends the sending side, reads on until the peer ends too, then closes.
    Finish,
    /// Waits for the test to open the gate.
    Gate(Gate),
    /// Reads and records whatever comes and says nothing, until the peer is gone.
    Hang,
    /// Sends that many bytes of the harness' pattern, as they are.
    Pattern(u64),
    /// Reads the body of the request to its end.
    ReadBody,
    /// Sends the same bytes again and again.
    Repeat(Bytes, usize),
    /// Sends an ordinary answer: without a body where HTTP says so.
    Reply(u16, Vec<(String, String)>, Bytes),
    /// Closes the connection with a reset.
    Reset,
    /// Sends bytes as they are.
    Send(Bytes),
    /// Waits.
    Sleep(Duration),
    /// Sends everything back as it comes, until the peer ends its side; then ends its own.
    Tunnel,
    /// Accepts a WebSocket, says these frames first, then sends every frame back
    /// (a ping as a pong).
    WebSocket(Vec<Frame>),
}

/// A list of [`Step`]s: what an upstream does with one request.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub(crate) steps: Vec<Step>,
}

impl Answer {
    /// Reads the body, then answers 200 with a body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::status(200, body)
    }

    /// Reads the body, then answers with a status and a body.
    pub fn status(status: u16, body: impl Into<Bytes>) -> Self {
        Self::unread().then(Step::ReadBody).then(Step::Reply(status, Vec::new(), body.into()))
    }

    /// Reads the body, then sends these bytes as they are.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::unread().then(Step::ReadBody).send(bytes)
    }

    /// Answers with what came.
    pub fn echo() -> Self {
        Self::unread().then(Step::Echo)
    }

    /// Starts without reading the body; nothing is done yet.
    pub fn unread() -> Self {
        Self::default()
    }

    /// Reads everything and never answers.
    pub fn hang() -> Self {
        Self::unread().then(Step::Hang)
    }

    /// A chunked answer of these pieces, whole.
    pub fn chunked(pieces: &[&str]) -> Self {
        let mut wire = String::from("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for piece in pieces {
            wire.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
        }
        wire.push_str("0\r\n\r\n");
        Self::raw(wire)
    }

    /// Adds a header line to the ordinary answers made so far.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        for step in &mut self.steps {
            if let Step::Reply(_, headers, _) = step {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Puts the steps of another answer before its own.
    #[must_use]
    pub fn steps_after(mut self, mut first: Self) -> Self {
        first.steps.append(&mut self.steps);
        first
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn send(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Send(bytes.into()))
    }

    /// Adds a pause.
    #[must_use]
    pub fn pause(self, time: Duration) -> Self {
        self.then(Step::Sleep(time))
    }
}
