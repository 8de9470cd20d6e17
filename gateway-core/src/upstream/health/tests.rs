//! Probes over sockets.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::mpsc;

use super::{GrpcProbe, HttpProbe, Probe};
use crate::task::Tasks;
use crate::upstream::connect::Connector;

/// Long enough for whatever is to come.
const PATIENCE: Duration = Duration::from_secs(20);

async fn ask(probe: impl Into<Probe>, address: &str, within: Duration) -> Result<(), String> {
    probe.into().ask(&Connector::default(), &address.parse().unwrap(), within).await
}

/// Serves one connection after the other until it is dropped.
struct Server {
    address: SocketAddr,
    _tasks: Tasks,
}

impl Server {
    async fn new<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        tasks.spawn("serve", async move {
            loop {
                serve(listener.accept().await.unwrap().0).await;
            }
        });
        Self { address, _tasks: tasks }
    }

    /// Answers every request with `answer`, byte for byte, and then says no more.
    async fn answering(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::new(move |mut stream| {
            let answer = answer.clone();
            async move {
                head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                let _ = stream.read(&mut [0]).await;
            }
        })
        .await
    }

    fn http(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_good_answer_is_enough_and_the_connection_ends_with_it() {
    let (sent, mut heads) = mpsc::unbounded_channel();
    let server = Server::new(move |mut stream| {
        let sent = sent.clone();
        async move {
            sent.send(head(&mut stream).await).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            let left = stream.read(&mut [0]).await.unwrap_or(0);
            sent.send(format!("{left} bytes")).unwrap();
        }
    })
    .await;
    let mut headers = HeaderMap::new();
    headers.insert("x-probe", HeaderValue::from_static("1"));
    let probe = HttpProbe::default().path("/ready?full".parse().unwrap()).headers(headers);
    assert_eq!(ask(probe, &server.http(), PATIENCE).await, Ok(()));
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("GET /ready?full HTTP/1.1\r\n"), "{head}");
    for field in ["user-agent: gateway-health", "connection: close", "x-probe: 1"] {
        assert!(head.contains(&format!("\r\n{field}\r\n")), "{field}: {head}");
    }
    assert!(head.contains(&format!("\r\nhost: {}\r\n", server.address)), "{head}");
    assert_eq!(head.lines().count(), 6, "and nothing else: {head}");
    assert_eq!(heads.recv().await.unwrap(), "0 bytes");
}

#[tokio::test]
async fn what_is_wrong_with_an_answer_is_said() {
    for (answer, problem) in [
        ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", "status 503, expected 200-299"),
        ("HTTP/1.1 302 No\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "status 302"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndown", "`up` is not in its body"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "`up` is not in its body"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "upstream_protocol"),
    ] {
        let server = Server::answering(answer).await;
        let found = ask(HttpProbe::default().body("up"), &server.http(), PATIENCE).await;
        assert!(found.as_ref().is_err_and(|found| found.contains(problem)), "{answer}: {found:?}");
    }
    let good =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nis \r\n2\r\nup\r\n0\r\n\r\n";
    let server = Server::answering(good).await;
    assert_eq!(ask(HttpProbe::default().body("is up"), &server.http(), PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn an_endless_body_is_read_up_to_its_limit_or_not_at_all() {
    let server = Server::new(|mut stream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 16 * 1024]).await.is_ok() {}
    })
    .await;
    assert_eq!(ask(HttpProbe::default(), &server.http(), PATIENCE).await, Ok(()));
    let found = ask(HttpProbe::default().body("up"), &server.http(), PATIENCE).await;
    assert_eq!(found, Err("`up` is not in the first 64 KiB of its body".to_owned()));
}

#[tokio::test]
async fn whoever_does_not_answer_in_time_is_not_well() {
    let silent = Server::new(|stream| async move {
        let _open = stream;
        pending::<()>().await;
    })
    .await;
    let stalls = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nu").await;
    let within = Duration::from_millis(100);
    for probe in [Probe::default(), GrpcProbe::default().into()] {
        let found = ask(probe, &silent.http(), within).await.unwrap_err();
        assert!(found.contains("no answer within") || found.contains("timeout"), "{found}");
    }
    let found = ask(HttpProbe::default().body("up"), &stalls.http(), within).await;
    assert!(found.is_err());
    assert_eq!(ask(Probe::Tcp, &silent.http(), PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn nobody_who_refuses_connections_is_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for probe in [Probe::default(), GrpcProbe::default().into(), Probe::Tcp] {
        let found = ask(probe, &address, PATIENCE).await.unwrap_err();
        assert!(found.starts_with("connect_failed: "), "{found}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_asked_as_any_other() {
    let path = std::env::temp_dir().join(format!("gateway-health-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let served = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        head
    };
    let address = format!("unix:{}", path.display());
    let (found, head) = tokio::join!(ask(HttpProbe::default(), &address, PATIENCE), served);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(found, Ok(()));
    assert!(head.contains("\r\nhost: localhost\r\n"), "{head}");
}

/// Answers over HTTP/2 what `answer` says about a request and its body.
async fn http2<F, S>(answer: F) -> Server
where
    F: Fn(http::Request<Bytes>) -> http::Response<S> + Copy + Send + Sync + 'static,
    S: http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    Server::new(move |stream| async move {
        let service =
            hyper::service::service_fn(move |request: http::Request<Incoming>| async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok::<_, hyper::Error>(answer(http::Request::from_parts(head, body)))
            });
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service);
        let _ = connection.await;
    })
    .await
}

type Frames =
    StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

/// A gRPC answer with `message` and the status 0.
fn grpc_answer(message: &'static [u8]) -> http::Response<Frames> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = vec![Ok(Frame::data(Bytes::from_static(message))), Ok(Frame::trailers(trailers))];
    http::Response::new(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn an_h2c_endpoint_is_asked_over_http2() {
    let server = http2(|request| {
        let version = request.version() == Version::HTTP_2;
        let well = version && request.uri().path() == "/healthz" && request.body().is_empty();
        let agent = request.headers().get("user-agent").is_some_and(|one| one == "gateway-health");
        let text = if well && agent { "is up" } else { "is down" };
        http::Response::new(http_body_util::Full::new(Bytes::from_static(text.as_bytes())))
    })
    .await;
    let address = format!("h2c://{}", server.address);
    assert_eq!(ask(HttpProbe::default().body("is up"), &address, PATIENCE).await, Ok(()));
}

#[tokio::test]
async fn a_grpc_server_is_well_when_it_serves() {
    let server = http2(|request| {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        assert_eq!(request.headers()["te"], "trailers");
        grpc_answer(match &request.body()[..] {
            b"\0\0\0\0\0" => b"\0\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x05\x0a\x03a.B" => b"\0\0\0\0\x02\x08\x02",
            _ => b"\0\0\0\0\0",
        })
    })
    .await;
    let address = format!("h2c://{}", server.address);
    let asked =
        async |service: &str| ask(GrpcProbe::default().service(service), &address, PATIENCE).await;
    assert_eq!(asked("").await, Ok(()));
    assert_eq!(asked("a.B").await, Err("NOT_SERVING, expected SERVING".to_owned()));
    assert_eq!(asked("other").await, Err("UNKNOWN, expected SERVING".to_owned()));
}

#[tokio::test]
async fn a_grpc_server_without_health_checks_is_not_well() {
    let server = http2(|_| {
        let mut answer = http::Response::new(http_body_util::Empty::new());
        answer.headers_mut().insert("grpc-status", HeaderValue::from_static("12"));
        answer
    })
    .await;
    let found = ask(GrpcProbe::default(), &format!("h2c://{}", server.address), PATIENCE).await;
    assert_eq!(found, Err("the gRPC status 12".to_owned()));
    let server = http2(|_| http::Response::new(http_body_util::Empty::new())).await;
    let found = ask(GrpcProbe::default(), &format!("h2c://{}", server.address), PATIENCE).await;
    assert_eq!(found, Err("an answer without a gRPC status".to_owned()));
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let found = ask(GrpcProbe::default(), &server.http(), PATIENCE).await;
    assert!(found.is_err(), "it speaks no HTTP/2");
    let found = ask(GrpcProbe::default(), "https://127.0.0.1:1", PATIENCE).await.unwrap_err();
    assert!(found.contains("cannot be asked over gRPC"), "{found}");
}
