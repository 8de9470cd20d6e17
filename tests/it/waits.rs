//! Clients that take their responses slowly, or not at all: every wait has an end, and whoever
//! takes something is waited for.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::message::Stream as Socket;
use gateway_tests::certs::{Authority, ClientTls, Files};
use gateway_tests::{
    Answer, Client, FRESH, Gateway, GatewayBuilder, Step, Stream, Upstream, eventually,
    eventually_within, within,
};
use h2::RecvStream;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Longer than a busy machine takes, shorter than the limits that must not be reached.
const SOON: Duration = Duration::from_secs(8);

/// Of what a client does not read, its system keeps at most about this much.
const RECEIVE_BUFFER: u32 = 4 * 1024;

const GET: &str = "GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

fn endless() -> Answer {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    Answer::raw(head).then(Step::Endless(Bytes::from(vec![b'x'; 32 * 1024])))
}

/// An authority and the listener's line of a certificate by it.
fn secured(files: &Files) -> (ClientTls, String) {
    let authority = Authority::new("tests");
    let pair = files.pair("a", &authority.server(&["gateway.test"]));
    (ClientTls::new(&authority, "gateway.test"), format!("tls = {{ certificates = [{pair}] }}"))
}

/// Connects with a small buffer.
async fn connect(addr: SocketAddr, tls: Option<&ClientTls>) -> Pin<Box<dyn Socket>> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(RECEIVE_BUFFER).expect("a small buffer");
    let socket = socket.connect(addr).await.expect("connect");
    match tls {
        None => Box::pin(socket),
        Some(tls) => Box::pin(tls.handshake(socket).await.expect("a TLS handshake")),
    }
}

/// Requests the body on a connection of its own, reads `size` bytes every `pause`, and gives how
/// long that went on; at most as long as `limit`.
async fn read_slowly(
    mut socket: Pin<Box<dyn Socket>>,
    size: usize,
    pause: Duration,
    limit: Duration,
) -> Duration {
    let began = Instant::now();
    socket.write_all(GET.as_bytes()).await.expect("a gateway");
    let mut buffer = vec![0; size];
    while began.elapsed() < limit {
        match socket.read_exact(&mut buffer).await {
            Ok(_) => sleep(pause).await,
            Err(_) => break,
        }
    }
    began.elapsed()
}

/// An HTTP/2 connection whose streams have `window` each, and requests on it.
struct Http2 {
    sender: h2::client::SendRequest<Bytes>,
    tasks: JoinSet<()>,
}

impl Http2 {
    async fn connect(addr: SocketAddr, window: u32) -> Self {
        let socket = connect(addr, None).await;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(1 << 30);
        let (sender, connection) = builder.handshake::<_, Bytes>(socket).await.expect("HTTP/2");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        Self { sender, tasks }
    }

    /// The body of a response with status 200.
    async fn open(&mut self, path: &str) -> RecvStream {
        let mut sender = self.sender.clone().ready().await.expect("a stream");
        let uri = format!("http://gateway.test{path}");
        let request = Request::get(uri).body(()).expect("a request");
        let (response, _) = sender.send_request(request, true).expect("a stream");
        let response = within(SOON, "a head", response).await.expect("a response");
        assert_eq!(response.status(), 200);
        response.into_body()
    }

    async fn is_over(&mut self) {
        within(SOON, "the end of the connection", self.tasks.join_next()).await;
    }
}

/// The reason for which a stream was reset while its client read nothing.
async fn reset(mut body: RecvStream) -> Option<h2::Reason> {
    loop {
        match within(SOON, "the end of a stream", body.data()).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.reason(),
            None => return None,
        }
    }
}

/// A gateway with four connections to its upstream.
fn narrow(upstream: &Upstream) -> GatewayBuilder {
    Gateway::to(upstream).cluster("pool = { total = 4, pending_timeout = \"100ms\" }")
}

async fn assert_serves_again(gateway: &Gateway) {
    let began = Instant::now();
    while Client::http1(gateway.addr()).get(FRESH).await.status != 200 {
        assert!(began.elapsed() < SOON, "the pool is still held");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn http2_client_without_window_is_cut() {
    for (timeout, idle) in [("60s", "1s"), ("1s", "60s")] {
        let upstream = Upstream::http1().answer(endless()).start().await;
        let line = format!("timeouts = {{ body_idle = {idle:?} }}");
        let gateway = narrow(&upstream).timeout(timeout).listener(&line).start().await;
        let (mut first, mut second) =
            (Http2::connect(gateway.addr(), 0).await, Http2::connect(gateway.addr(), 0).await);
        let mut bodies = Vec::new();
        for _ in 0..2 {
            bodies.push(first.open("/").await);
            bodies.push(second.open("/").await);
        }
        Client::http1(gateway.addr()).get("/").await.assert_by_gateway(&[503]);
        for body in bodies {
            assert_eq!(reset(body).await, Some(h2::Reason::CANCEL), "{timeout}, {idle}");
        }
        assert_serves_again(&gateway).await;
        eventually("upstream connections", || upstream.open(), |open| *open <= 1).await;
        // The connection goes on.
        drop(first.sender.clone().ready().await.expect("a stream"));
        drop((first, second));
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn http2_stream_of_http2_upstream_is_cut() {
    for (timeout, idle) in [("60s", "1s"), ("1s", "60s")] {
        let upstream = Upstream::http2().answer(Stream::Pattern(1 << 30)).start().await;
        let line = format!("timeouts = {{ body_idle = {idle:?} }}");
        let gateway = Gateway::to(&upstream).timeout(timeout).listener(&line).start().await;
        let mut client = Http2::connect(gateway.addr(), 1_000).await;
        let body = client.open("/").await;
        assert_eq!(reset(body).await, Some(h2::Reason::CANCEL), "{timeout}, {idle}");
        let left = || upstream.seen().iter().all(|seen| seen.left.is_some());
        eventually("the upstream sees it end", left, |left| *left).await;
        drop(client);
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn http2_connection_that_takes_no_small_body_is_closed() {
    let upstream = Upstream::http1().answer(Answer::ok("x".repeat(2_000))).start().await;
    let idle = "timeouts = { body_idle = \"500ms\" }";
    let gateway = Gateway::to(&upstream).timeout("60s").listener(idle).start().await;
    let mut client = Http2::connect(gateway.addr(), 100).await;
    let _body = client.open("/").await;
    client.is_over().await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn http1_client_that_reads_nothing_is_cut() {
    let files = Files::new();
    let (tls, line) = secured(&files);
    for (timeout, idle) in [("60s", "1s"), ("1s", "60s")] {
        for tls in [None, Some(&tls)] {
            let upstream = Upstream::http1().answer(endless()).start().await;
            let idle = format!("timeouts = {{ body_idle = {idle:?} }}");
            let line = if tls.is_some() { &*line } else { "" };
            let gateway = narrow(&upstream).timeout(timeout).listener(&idle).listener(line);
            let gateway = gateway.start().await;
            let mut sockets = Vec::new();
            for _ in 0..4 {
                let mut socket = connect(gateway.addr(), tls).await;
                socket.write_all(GET.as_bytes()).await.expect("a gateway");
                sockets.push(socket);
            }
            eventually("four requests", || upstream.seen().len(), |seen| *seen == 4).await;
            eventually("upstream connections", || upstream.open(), |open| *open == 0).await;
            drop(sockets);
        }
    }
}

/// What the socket of the gateway still takes on its own is nothing that the client has taken.
#[tokio::test]
async fn room_in_the_socket_does_not_prolong_the_wait() {
    let http1 = Upstream::http1().answer(endless()).start().await;
    let http2 = Upstream::http2().answer(Stream::Pattern(1 << 30)).start().await;
    for upstream in [http1, http2] {
        let idle = "timeouts = { body_idle = \"4s\" }";
        let gateway = Gateway::to(&upstream).timeout("60s").listener(idle).start().await;
        let mut socket = connect(gateway.addr(), None).await;
        socket.write_all(GET.as_bytes()).await.expect("a gateway");
        eventually("a request", || upstream.seen().len(), |seen| *seen == 1).await;
        let began = Instant::now();
        let limit = Duration::from_secs(30);
        let ended = |log: &String| log.contains("end=");
        eventually_within(limit, "the end in the log", || gateway.log(), ended).await;
        let held = began.elapsed();
        assert!((3..7).contains(&held.as_secs()), "held for {held:?}");
        drop(socket);
    }
}

#[tokio::test]
async fn total_timeout_holds_for_a_client_that_reads() {
    let files = Files::new();
    let (tls, line) = secured(&files);
    for tls in [None, Some(&tls)] {
        let upstream = Upstream::http1().answer(endless()).start().await;
        let line = if tls.is_some() { &*line } else { "" };
        let gateway = Gateway::to(&upstream).timeout("1s").listener(line).start().await;
        let socket = connect(gateway.addr(), tls).await;
        let pause = Duration::from_millis(100);
        let read = read_slowly(socket, 64 * 1024, pause, SOON).await;
        assert!(read >= Duration::from_millis(900) && read < SOON, "{read:?}");
        eventually("upstream connections", || upstream.open(), |open| *open == 0).await;
    }
}

#[tokio::test]
async fn total_timeout_holds_for_an_http2_client_that_reads() {
    let upstream = Upstream::http1().answer(endless()).start().await;
    let gateway = Gateway::to(&upstream).timeout("1s").start().await;
    let mut client = Http2::connect(gateway.addr(), 64 * 1024).await;
    let mut body = client.open("/").await;
    let began = Instant::now();
    let reason = loop {
        match within(SOON, "the end of a stream", body.data()).await {
            Some(Ok(data)) => {
                body.flow_control().release_capacity(data.len()).expect("capacity");
                sleep(Duration::from_millis(10)).await;
                assert!(began.elapsed() < SOON, "not cut");
            }
            Some(Err(error)) => break error.reason(),
            None => break None,
        }
    };
    assert_eq!(reason, Some(h2::Reason::CANCEL));
    drop((body, client));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn slow_reader_is_not_cut() {
    let files = Files::new();
    let (tls, line) = secured(&files);
    for tls in [None, Some(&tls)] {
        let upstream = Upstream::http1().answer(endless()).start().await;
        let line = if tls.is_some() { &*line } else { "" };
        let idle = "timeouts = { body_idle = \"3s\" }";
        let gateway = Gateway::to(&upstream).timeout("60s").listener(idle).listener(line);
        let gateway = gateway.start().await;
        let socket = connect(gateway.addr(), tls).await;
        // Over TLS the client takes a record of 16 KiB in a second.
        let limit = Duration::from_secs(8);
        let read = read_slowly(socket, 4 * 1024, Duration::from_millis(250), limit).await;
        assert!(read >= limit, "cut after {read:?}");
    }
}

#[tokio::test]
async fn slow_http2_reader_is_not_cut() {
    let upstream = Upstream::http1().answer(endless()).start().await;
    let idle = "timeouts = { body_idle = \"2s\" }";
    let gateway = Gateway::to(&upstream).timeout("60s").listener(idle).start().await;
    let mut client = Http2::connect(gateway.addr(), 4 * 1024).await;
    let mut body = client.open("/").await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(6) {
        let data = within(SOON, "more of a body", body.data()).await;
        let data = data.expect("a body").expect("no error");
        sleep(Duration::from_millis(500)).await;
        body.flow_control().release_capacity(data.len()).expect("capacity");
    }
    drop((body, client));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn half_closed_client_gets_its_response_while_it_flows() {
    let head = Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n");
    let slow = ["a", "b", "c", "d", "e", "f", "g", "h"]
        .iter()
        .fold(head, |answer, piece| answer.pause(Duration::from_millis(200)).send(*piece));
    let upstream = Upstream::http1().answer(slow).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut socket = connect(gateway.addr(), None).await;
    socket.write_all(GET.as_bytes()).await.expect("a gateway");
    socket.shutdown().await.expect("an end of the sending side");
    let mut response = String::new();
    within(SOON, "the response", socket.read_to_string(&mut response)).await.expect("a response");
    assert!(response.ends_with("abcdefgh"), "{response}");
    gateway.assert_quiet().await;
}
