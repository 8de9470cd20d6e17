//! Well-behaved clients over one connection each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::response::Parts;
use http::{HeaderValue, Request, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::certs::ClientTls;
use crate::payload::Payload;
use crate::reply::{End, Reply, chain, lines};

const HOST_NAME: &str = "gateway.test";
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

enum Sender {
    Http1(http1::SendRequest<Payload>),
    Http2(http2::SendRequest<Payload>),
}

/// A client with one connection, opened at the first request and opened anew when it ended.
pub struct Client {
    addr: SocketAddr,
    protocol: Protocol,
    tls: Option<ClientTls>,
    sender: Option<Sender>,
    connection: Option<Arc<Connection>>,
    connected: usize,
}

struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// Speaks HTTP/1.1.
    pub fn http1(addr: SocketAddr) -> Self {
        Self::new(addr, Protocol::Http1)
    }

    /// Speaks HTTP/2 with prior knowledge.
    pub fn http2(addr: SocketAddr) -> Self {
        Self::new(addr, Protocol::Http2)
    }

    fn new(addr: SocketAddr, protocol: Protocol) -> Self {
        Self { addr, protocol, tls: None, sender: None, connection: None, connected: 0 }
    }

    /// Over TLS, offering its protocol.
    #[must_use]
    pub fn over(mut self, tls: &ClientTls) -> Self {
        let offered = if self.protocol == Protocol::Http2 { "h2" } else { "http/1.1" };
        self.tls = Some(tls.clone().offering(&[offered]));
        self
    }

    /// Over TLS, offering what `tls` says.
    #[must_use]
    pub fn over_as_is(mut self, tls: &ClientTls) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// How many connections this client has opened.
    pub fn connections(&self) -> usize {
        self.connected
    }

    /// Another user of the same HTTP/2 connection, which must be open.
    #[must_use]
    pub fn neighbour(&self) -> Self {
        let sender = match &self.sender {
            Some(Sender::Http2(sender)) => Some(Sender::Http2(sender.clone())),
            _ => panic!("only an open HTTP/2 connection has neighbours"),
        };
        let connection = self.connection.clone();
        let (addr, protocol, tls) = (self.addr, self.protocol, self.tls.clone());
        Self { addr, protocol, tls, sender, connection, connected: 0 }
    }

    /// Opens the connection now.
    pub async fn connect(&mut self) {
        let socket = TcpStream::connect(self.addr).await.expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        let socket: Box<dyn gateway_core::message::Stream> = match &self.tls {
            None => Box::new(socket),
            Some(tls) => Box::new(tls.handshake(socket).await.expect("a TLS handshake")),
        };
        let socket = TokioIo::new(socket);
        let (sender, task) = match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) =
                    http1::handshake(socket).await.expect("an HTTP/1 handshake");
                (Sender::Http1(sender), tokio::spawn(async { drop(connection.await) }))
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), socket)
                    .await
                    .expect("an HTTP/2 handshake");
                (Sender::Http2(sender), tokio::spawn(async { drop(connection.await) }))
            }
        };
        self.sender = Some(sender);
        self.connection = Some(Arc::new(Connection(task.abort_handle())));
        self.connected += 1;
    }

    /// Sends a GET.
    pub async fn get(&mut self, path: &str) -> Reply {
        self.method("GET", path, Payload::empty()).await
    }

    /// Sends a POST.
    pub async fn post(&mut self, path: &str, body: impl Into<Payload>) -> Reply {
        self.method("POST", path, body.into()).await
    }

    /// Sends any method.
    pub async fn method(&mut self, method: &str, path: &str, body: Payload) -> Reply {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(body).expect("a request")).await
    }

    /// Sends a request and reads its answer to the end.
    pub async fn send(&mut self, request: Request<Payload>) -> Reply {
        match self.open(request).await {
            Ok(answer) => answer.rest().await,
            Err(reply) => reply,
        }
    }

    /// Sends a request and reads the head of its answer.
    pub async fn open(&mut self, request: Request<Payload>) -> Result<Streaming, Reply> {
        let request = self.complete(request);
        let alive = match &mut self.sender {
            Some(Sender::Http1(sender)) => sender.ready().await.is_ok(),
            Some(Sender::Http2(sender)) => sender.ready().await.is_ok(),
            None => false,
        };
        if !alive {
            self.connect().await;
        }
        let sending = async {
            match self.sender.as_mut().expect("connected") {
                Sender::Http1(sender) => sender.send_request(request).await,
                Sender::Http2(sender) => sender.send_request(request).await,
            }
        };
        match tokio::time::timeout(PATIENCE, sending).await {
            Err(_) => panic!("no answer within {PATIENCE:?}"),
            Ok(Err(error)) => Err(Reply::none(&error)),
            Ok(Ok(response)) => {
                let (parts, body) = response.into_parts();
                Ok(Streaming { parts, body, trailers: None })
            }
        }
    }

    /// Adds what the protocol needs and the test did not say.
    fn complete(&self, mut request: Request<Payload>) -> Request<Payload> {
        let host = request.headers().get(HOST).cloned();
        match self.protocol {
            Protocol::Http1 => {
                let host = host.unwrap_or(HeaderValue::from_static(HOST_NAME));
                request.headers_mut().insert(HOST, host);
            }
            Protocol::Http2 if request.uri().authority().is_none() => {
                request.headers_mut().remove(HOST);
                let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or(HOST_NAME);
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                let scheme = if self.tls.is_some() { "https" } else { "http" };
                let uri = Uri::builder().scheme(scheme).authority(host).path_and_query(path);
                *request.uri_mut() = uri.build().expect("an uri");
            }
            Protocol::Http2 => {}
        }
        request
    }
}

/// An answer whose head has come.
pub struct Streaming {
    /// The head.
    pub parts: Parts,
    body: Incoming,
    trailers: Option<http::HeaderMap>,
}

impl Streaming {
    /// The status.
    pub fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// Whether the head was the whole answer.
    pub fn is_head_only(&self) -> bool {
        self.body.is_end_stream()
    }

    /// The next piece of the body; nothing at its end, the reason when it broke.
    pub async fn next(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            match frame.unwrap_or_else(|_| panic!("no piece of a body within {PATIENCE:?}"))? {
                Err(error) => return Some(Err(chain(&error))),
                Ok(frame) => match frame.into_data() {
                    // An empty frame says nothing yet.
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Some(Ok(data)),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
    }

    /// Reads to the end.
    pub async fn rest(mut self) -> Reply {
        let mut reply = Reply::head(&self.parts);
        let mut body = BytesMut::new();
        while let Some(piece) = self.next().await {
            match piece {
                Ok(piece) => body.extend_from_slice(&piece),
                Err(reason) => {
                    reply.end = End::Broken(reason);
                    break;
                }
            }
        }
        reply.body = body.freeze();
        reply.trailers = self.trailers.as_ref().map(lines).unwrap_or_default();
        reply
    }
}
