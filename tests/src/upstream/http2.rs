//! The HTTP/2 upstream, on the frame level of the `h2` crate.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Upstream;
use crate::answer::Gate;
use crate::framing::Headers;
use crate::gateway::FRESH;
use crate::pattern::Pattern;
use crate::record::{Recorder, SEED, Seen, lock};

type Script = dyn Fn(&Seen) -> Stream + Send + Sync;

/// What an HTTP/2 upstream does with one stream.
#[derive(Clone, Debug)]
pub enum Stream {
    /// Sends half of an announced body, then drops the TCP connection.
    DieInBody,
    /// Answers with this status and `END_STREAM`, and keeps the request's side of the stream
    /// without taking anything of its body.
    Early(u16),
    /// Sends the body and the trailers back as they come.
    Echo,
    /// Sends the body back as it comes, then these trailers.
    EchoThen(Headers),
    /// Answers 200 with this body and tells the client that the connection ends.
    GoAway(Bytes),
    /// Sends nothing and keeps the stream.
    Hang,
    /// Closes the whole connection with GOAWAY and this error, without an answer.
    HangUp(Reason),
    /// Sends 200, waits at the gate, then sends this body.
    Hold(Gate, Bytes),
    /// Sends 200 and that many bytes of the harness' pattern.
    Pattern(u64),
    /// Reads the body, then answers; without a byte of a body the head is the whole answer.
    Reply(u16, Headers, Bytes),
    /// Resets the stream before any answer.
    Reset(Reason),
    /// Sends 200 and some bytes, then resets the stream.
    ResetInBody(Bytes, Reason),
    /// Answers 200 with a body, then trailers.
    Trailers(Bytes, Headers),
    /// Answers at once and does not read the body of the request.
    Unread(u16, Bytes),
}

impl Stream {
    /// Reads the body, then answers 200 with a body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::Reply(200, Vec::new(), body.into())
    }
}

/// Describes an HTTP/2 upstream before it starts.
#[derive(Clone)]
pub struct Http2Builder {
    script: Arc<Script>,
    streams: u32,
}

impl Default for Http2Builder {
    fn default() -> Self {
        Self { script: Arc::new(|_| Stream::ok("ok")), streams: 1_000 }
    }
}

impl Http2Builder {
    /// Does the same with every stream.
    #[must_use]
    pub fn answer(self, answer: Stream) -> Self {
        self.script(move |_| answer.clone())
    }

    /// Does these one after the other, the last one again and again.
    #[must_use]
    pub fn answers(self, answers: Vec<Stream>) -> Self {
        let next = std::sync::atomic::AtomicUsize::new(0);
        self.script(move |_| {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            answers[index.min(answers.len() - 1)].clone()
        })
    }

    /// Decides for each stream.
    #[must_use]
    pub fn script(mut self, script: impl Fn(&Seen) -> Stream + Send + Sync + 'static) -> Self {
        self.script = Arc::new(script);
        self
    }

    /// Allows that many streams at once on a connection.
    #[must_use]
    pub fn concurrent_streams(mut self, streams: u32) -> Self {
        self.streams = streams;
        self
    }

    /// Starts to listen on a free port of the loopback.
    pub async fn start(self) -> Upstream {
        Upstream::listen("h2c", None, move |socket, recorder, number| {
            serve(socket, recorder, self.clone(), number)
        })
        .await
    }
}

/// What a stream asks of its connection.
enum Command {
    Die,
    GoAway,
    HangUp(Reason),
}

async fn serve(
    socket: TcpStream,
    recorder: Arc<Recorder>,
    builder: Http2Builder,
    connection: usize,
) {
    let handshake = h2::server::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 20)
        .max_concurrent_streams(builder.streams)
        .enable_connect_protocol()
        .handshake::<_, Bytes>(socket);
    let Ok(mut h2) = handshake.await else { return };
    let (commands, mut orders) = tokio::sync::mpsc::unbounded_channel();
    let mut streams = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Command::Die) | None => return,
                Some(Command::GoAway) => h2.graceful_shutdown(),
                Some(Command::HangUp(reason)) => h2.abrupt_shutdown(reason),
            },
            stream = accept(&mut h2) => {
                let Some((request, respond)) = stream else { return };
                let mut seen = describe(&request, connection, number);
                number += 1;
                let fresh = seen.target.ends_with(FRESH);
                let what = match fresh || recorder.is_healed() {
                    true => Stream::ok("fresh"),
                    false => (builder.script)(&seen),
                };
                seen.complete = request.body().is_end_stream();
                let seen = match fresh {
                    true => Arc::new(Mutex::new(seen)),
                    false => recorder.begin(seen),
                };
                let commands = commands.clone();
                let task = Task { seen, recorder: Arc::clone(&recorder), commands };
                streams.spawn(task.run(what, request.into_body(), respond));
            }
        }
    }
}

async fn accept(
    h2: &mut Connection<TcpStream, Bytes>,
) -> Option<(Request<RecvStream>, SendResponse<Bytes>)> {
    h2.accept().await?.ok()
}

fn describe(request: &Request<RecvStream>, connection: usize, number: usize) -> Seen {
    let uri = request.uri();
    let start = format!(
        "{} {} HTTP/2",
        request.method(),
        uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str)
    );
    let mut seen = Seen::new(connection, number, &start, lines(request.headers()));
    let protocol = request.extensions().get::<h2::ext::Protocol>();
    seen.protocol = protocol.map(|protocol| protocol.as_str().to_owned());
    if let Some(authority) = uri.authority() {
        seen.authority = authority.to_string();
    }
    seen
}

fn lines(headers: &HeaderMap) -> Headers {
    headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

fn map(headers: &Headers) -> HeaderMap {
    headers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a header name");
            (name, HeaderValue::from_str(value).expect("a header value"))
        })
        .collect()
}

/// Notes on drop that the client left.
struct Leave(Option<Arc<Mutex<Seen>>>);

impl Drop for Leave {
    fn drop(&mut self) {
        if let Some(seen) = &self.0 {
            lock(seen).left = Some(Instant::now());
        }
    }
}

struct Task {
    seen: Arc<Mutex<Seen>>,
    recorder: Arc<Recorder>,
    commands: tokio::sync::mpsc::UnboundedSender<Command>,
}

type Done = Result<(), h2::Error>;

impl Task {
    async fn run(self, what: Stream, mut body: RecvStream, mut respond: SendResponse<Bytes>) {
        // A connection that ends takes its streams along before they learn of it.
        let mut leave = Leave(Some(Arc::clone(&self.seen)));
        if self.act(what, &mut body, &mut respond).await.is_ok() {
            leave.0 = None;
        }
    }

    async fn act(
        &self,
        what: Stream,
        body: &mut RecvStream,
        respond: &mut SendResponse<Bytes>,
    ) -> Done {
        match what {
            Stream::Reply(status, headers, content) => {
                // A CONNECT has no body that would end before it is answered.
                if lock(&self.seen).protocol.is_none() {
                    self.read(body).await?;
                }
                let mut head = Response::builder().status(status).body(()).expect("a head");
                head.headers_mut().extend(map(&headers));
                let bodiless = lock(&self.seen).method == "HEAD" || content.is_empty();
                let mut stream = respond.send_response(head, bodiless)?;
                match bodiless {
                    true => Ok(()),
                    false => self.send(&mut stream, content, true).await,
                }
            }
            Stream::Trailers(content, trailers) => {
                self.read(body).await?;
                let mut stream = respond.send_response(Response::new(()), false)?;
                self.send(&mut stream, content, false).await?;
                stream.send_trailers(map(&trailers))
            }
            Stream::Echo => self.echo(body, respond, None).await,
            Stream::EchoThen(trailers) => self.echo(body, respond, Some(map(&trailers))).await,
            Stream::Pattern(length) => {
                self.read(body).await?;
                let mut stream = respond.send_response(Response::new(()), false)?;
                let pattern = Pattern::new(SEED);
                let mut offset = 0;
                while offset < length {
                    let piece = pattern.at(offset, (length - offset).min(16 << 10) as usize);
                    offset += piece.len() as u64;
                    self.send(&mut stream, piece, offset == length).await?;
                }
                Ok(())
            }
            Stream::Early(status) => {
                let head = Response::builder().status(status).body(()).expect("a head");
                respond.send_response(head, true)?;
                while let Some(piece) = body.data().await {
                    lock(&self.seen).body_piece(&piece?);
                }
                Ok(())
            }
            Stream::Unread(status, content) => {
                let head = Response::builder().status(status).body(()).expect("a head");
                let mut stream = respond.send_response(head, false)?;
                self.send(&mut stream, content, true).await
            }
            Stream::Hold(gate, content) => {
                let mut stream = respond.send_response(Response::new(()), false)?;
                tokio::select! {
                    () = gate.pass() => self.send(&mut stream, content, true).await,
                    reason = std::future::poll_fn(|cx| stream.poll_reset(cx)) => {
                        Err(reason.map_or_else(|error| error, h2::Error::from))
                    }
                }
            }
            other => self.fail(other, body, respond).await,
        }
    }

    async fn fail(
        &self,
        what: Stream,
        body: &mut RecvStream,
        respond: &mut SendResponse<Bytes>,
    ) -> Done {
        match what {
            Stream::Reset(reason) => {
                respond.send_reset(reason);
                Ok(())
            }
            Stream::ResetInBody(content, reason) => {
                let mut stream = respond.send_response(Response::new(()), false)?;
                self.send(&mut stream, content, false).await?;
                // Given time to leave, or the reset overtakes the data.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                stream.send_reset(reason);
                Ok(())
            }
            Stream::DieInBody => {
                let head = Response::builder().header("content-length", "1000").body(());
                let mut stream = respond.send_response(head.expect("a head"), false)?;
                self.send(&mut stream, Bytes::from(vec![b'x'; 500]), false).await?;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                self.command(Command::Die).await
            }
            Stream::GoAway(content) => {
                self.read(body).await?;
                let _ = self.commands.send(Command::GoAway);
                let mut stream = respond.send_response(Response::new(()), false)?;
                self.send(&mut stream, content, true).await
            }
            Stream::HangUp(reason) => self.command(Command::HangUp(reason)).await,
            _ => {
                let reading = self.read(body);
                let reset = std::future::poll_fn(|cx| respond.poll_reset(cx));
                tokio::pin!(reading);
                tokio::select! {
                    reason = reset => Err(reason.map_or_else(|error| error, h2::Error::from)),
                    Err(error) = &mut reading => Err(error),
                }
            }
        }
    }

    async fn command(&self, command: Command) -> Done {
        let _ = self.commands.send(command);
        std::future::pending().await
    }

    async fn read(&self, body: &mut RecvStream) -> Done {
        while let Some(piece) = body.data().await {
            let piece = piece?;
            self.recorder.received(piece.len());
            lock(&self.seen).body_piece(&piece);
            let _ = body.flow_control().release_capacity(piece.len());
        }
        let trailers = body.trailers().await?;
        let mut seen = lock(&self.seen);
        seen.trailers = trailers.as_ref().map(lines).unwrap_or_default();
        seen.complete = true;
        Ok(())
    }

    async fn echo(
        &self,
        body: &mut RecvStream,
        respond: &mut SendResponse<Bytes>,
        ours: Option<HeaderMap>,
    ) -> Done {
        let mut stream = respond.send_response(Response::new(()), false)?;
        while let Some(piece) = body.data().await {
            let piece = piece?;
            self.recorder.received(piece.len());
            lock(&self.seen).body_piece(&piece);
            let _ = body.flow_control().release_capacity(piece.len());
            self.send(&mut stream, piece, false).await?;
        }
        let trailers = body.trailers().await?;
        {
            let mut seen = lock(&self.seen);
            seen.trailers = trailers.as_ref().map(lines).unwrap_or_default();
            seen.complete = true;
        }
        match ours.or(trailers) {
            Some(trailers) => stream.send_trailers(trailers),
            None => stream.send_data(Bytes::new(), true),
        }
    }

    async fn send(&self, stream: &mut SendStream<Bytes>, mut content: Bytes, end: bool) -> Done {
        if content.is_empty() && end {
            return stream.send_data(content, true);
        }
        while !content.is_empty() {
            stream.reserve_capacity(content.len());
            let capacity = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
            let Some(capacity) = capacity.transpose()? else {
                return Err(h2::Error::from(Reason::CANCEL));
            };
            let piece = content.split_to(capacity.min(content.len()));
            self.recorder.sent(piece.len());
            stream.send_data(piece, end && content.is_empty())?;
        }
        Ok(())
    }
}
