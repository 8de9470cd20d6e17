//! WebSocket over HTTP/2 (RFC 8441), on the frame level of the `h2` crate.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::reply::{End, Reply, chain, lines};
use crate::wait::{eventually, within};
use crate::websocket::Frame;

const PATIENCE: Duration = Duration::from_secs(5);

/// The client's end of a WebSocket that is a stream of HTTP/2.
pub struct StreamSocket {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    buffer: BytesMut,
    _connection: Connection,
}

impl StreamSocket {
    /// Asks for a WebSocket on a connection of its own; gives the answer when it was rejected.
    pub async fn open(addr: SocketAddr, path: &str) -> Result<Self, Reply> {
        let request = Request::connect(format!("http://gateway.test{path}"))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(())
            .expect("a request");
        Self::connect(addr, request).await
    }

    /// Sends any CONNECT; a success is a tunnel.
    pub async fn connect(addr: SocketAddr, request: Request<()>) -> Result<Self, Reply> {
        let (mut sender, connection) = handshake(addr).await;
        let enabled = || sender.is_extended_connect_protocol_enabled();
        eventually("extended CONNECT in the settings", enabled, |enabled| *enabled).await;
        poll_fn(|cx| sender.poll_ready(cx)).await.expect("room for a stream");
        let (answer, sending) = sender.send_request(request, false).expect("a stream");
        let (parts, receiving) = match within(PATIENCE, "an answer to CONNECT", answer).await {
            Ok(answer) => answer.into_parts(),
            Err(error) => return Err(Reply::none(&error)),
        };
        if parts.status.is_success() {
            let unfitting = ["upgrade", "connection", "sec-websocket-accept", "content-length"];
            for name in unfitting {
                assert!(!parts.headers.contains_key(name), "{name} in {parts:?}");
            }
            let buffer = BytesMut::new();
            return Ok(Self { sending, receiving, buffer, _connection: connection });
        }
        Err(rest(Reply::head(&parts), receiving).await)
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &Frame) -> bool {
        let mut wire = Bytes::from(frame.encode(true));
        while !wire.is_empty() {
            self.sending.reserve_capacity(wire.len());
            let Some(Ok(room)) = poll_fn(|cx| self.sending.poll_capacity(cx)).await else {
                return false;
            };
            let piece = wire.split_to(room.min(wire.len()));
            if self.sending.send_data(piece, false).is_err() {
                return false;
            }
        }
        true
    }

    /// Ends the sending side.
    pub fn finish(&mut self) {
        let _ = self.sending.send_data(Bytes::new(), true);
    }

    /// Leaves with a reset of the stream.
    pub fn reset(mut self) {
        self.sending.send_reset(Reason::CANCEL);
    }

    /// The next frame; nothing when the stream ended.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.buffer) {
                return Some(frame);
            }
            let piece = within(PATIENCE, "a frame", self.receiving.data()).await?.ok()?;
            let _ = self.receiving.flow_control().release_capacity(piece.len());
            self.buffer.extend_from_slice(&piece);
        }
    }
}

/// Runs a connection until dropped.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn handshake(addr: SocketAddr) -> (SendRequest<Bytes>, Connection) {
    let socket = TcpStream::connect(addr).await.expect("connect");
    socket.set_nodelay(true).expect("nodelay");
    let (sender, connection) = h2::client::handshake(socket).await.expect("an HTTP/2 handshake");
    (sender, Connection(tokio::spawn(async { drop(connection.await) })))
}

async fn rest(mut reply: Reply, mut receiving: RecvStream) -> Reply {
    let mut body = BytesMut::new();
    while let Some(piece) = within(PATIENCE, "a piece of a body", receiving.data()).await {
        match piece {
            Ok(piece) => body.extend_from_slice(&piece),
            Err(error) => {
                reply.end = End::Broken(chain(&error));
                break;
            }
        }
    }
    reply.body = body.freeze();
    if reply.is_complete() {
        let trailers = receiving.trailers().await.ok().flatten();
        reply.trailers = trailers.as_ref().map(lines).unwrap_or_default();
    }
    reply
}
