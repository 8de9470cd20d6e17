//! Clients that send slowly, stop, or leave: how long they are waited for is the same over every
//! protocol and towards every upstream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::{Address, Listener, Module, Server, Timeouts, module_fn};
use gateway_tests::certs::{Authority, ClientTls, Files};
use gateway_tests::{
    Answer, Client, Ended, Gateway, Payload, Raw, Step, Stream, Upstream, eventually,
    eventually_within, within,
};
use http::Request;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Longer than a busy machine takes, shorter than the limits that must not be reached.
const SOON: Duration = Duration::from_secs(8);

const POST: &str = "POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100000\r\n\r\n";

async fn upstreams() -> [Upstream; 2] {
    [
        Upstream::http1().answer(Answer::hang()).start().await,
        Upstream::http2().answer(Stream::ok("taken")).start().await,
    ]
}

/// Sends `size` bytes of a body every 200 ms, over HTTP/1 or HTTP/2, until there is a response or
/// `limit` is over; gives the status of the response.
async fn drip(gateway: &Gateway, http2: bool, size: usize, limit: Duration) -> Option<u16> {
    let began = Instant::now();
    let (sender, body) = Payload::channel();
    let request = Request::post("/").header("content-length", "100000").body(body);
    let mut client =
        if http2 { Client::http2(gateway.addr()) } else { Client::http1(gateway.addr()) };
    let sending = client.send(request.expect("a request"));
    let dripping = async {
        while began.elapsed() < limit {
            let _ = sender.send(Ok(Frame::data(Bytes::from(vec![b'x'; size]))));
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        reply = sending => Some(reply.status),
        () = dripping => None,
    }
}

#[tokio::test]
async fn stalled_upload_is_cut_towards_every_upstream() {
    for upstream in upstreams().await {
        let idle = "timeouts = { body_idle = \"1s\" }";
        let gateway = Gateway::to(&upstream).timeout("60s").listener(idle).start().await;
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(POST).await;
        sleep(Duration::from_millis(100)).await;
        raw.send("some of it").await;
        let answer = raw.answer_within(SOON, "POST").await.expect("an answer");
        assert_eq!(answer.status, 408);
        let left = || upstream.seen().iter().all(|seen| seen.left.is_some());
        eventually("the upstream sees it end", left, |left| *left).await;
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn min_body_rate_holds_over_every_protocol() {
    for upstream in upstreams().await {
        for http2 in [false, true] {
            let rate = "timeouts = { body_idle = \"1s\", min_body_rate = \"10KiB\" }";
            let gateway = Gateway::to(&upstream).timeout("60s").listener(rate).start().await;
            let status = drip(&gateway, http2, 100, SOON).await;
            assert_eq!(status, Some(408), "http2: {http2}");
            let status = drip(&gateway, http2, 8_000, Duration::from_secs(2)).await;
            assert_eq!(status, None, "http2: {http2}");
        }
    }
}

#[tokio::test]
async fn without_min_body_rate_every_piece_counts() {
    for upstream in upstreams().await {
        for http2 in [false, true] {
            let rate = "timeouts = { body_idle = \"1s\", min_body_rate = \"0B\" }";
            let gateway = Gateway::to(&upstream).timeout("60s").listener(rate).start().await;
            let status = drip(&gateway, http2, 1, Duration::from_secs(3)).await;
            assert_eq!(status, None, "http2: {http2}");
        }
    }
}

#[tokio::test]
async fn client_that_leaves_after_its_body_is_noticed() {
    let http2 = Upstream::http2().answer(Stream::Hang).start().await;
    for upstream in [Upstream::http1().answer(Answer::hang()).start().await, http2] {
        for (request, end) in [(1, "x"), (2, "")] {
            let gateway = Gateway::to(&upstream).timeout("60s").start().await;
            let mut raw = Raw::connect(gateway.addr()).await;
            let size = 3 + end.len();
            raw.send(POST.replace("100000", &size.to_string())).await;
            eventually("the head", || upstream.seen().len(), |seen| *seen == request).await;
            raw.send("one").await;
            sleep(Duration::from_millis(100)).await;
            raw.send(end).await;
            sleep(Duration::from_millis(100)).await;
            drop(raw);
            let left = || upstream.seen().iter().all(|seen| seen.left.is_some());
            eventually_within(SOON, "the upstream sees it end", left, |left| *left).await;
        }
    }
}

/// Serves a module that reads the body of its request in a task of its own, then waits for ever;
/// what it gives is dropped once the request is over.
async fn reading_elsewhere() -> (SocketAddr, Arc<()>) {
    let request_lives = Arc::new(());
    let lives = Arc::clone(&request_lives);
    let module = Module::new(module_fn(move |request: gateway_core::Request| {
        let lives = Arc::clone(&lives);
        async move {
            let (_lives, body) = (lives, request.into_body());
            let read = tokio::spawn(async move { body.collect().await.map(|_| ()) });
            read.await.expect("a task")?;
            std::future::pending::<gateway_core::Outcome>().await
        }
    }));
    let mut timeouts = Timeouts::default();
    timeouts.body_idle = Duration::from_secs(1);
    let listener = Listener::new("127.0.0.1:0".parse().expect("an address")).timeouts(timeouts);
    let listener = listener.bind().expect("a listener");
    let Address::Tcp(addr) = listener.local_address() else { panic!("no TCP address") };
    tokio::spawn(Server::new(module).listen(listener).serve(std::future::pending()));
    (addr, request_lives)
}

#[tokio::test]
async fn body_read_by_another_task_has_the_same_limits() {
    let (addr, request_lives) = reading_elsewhere().await;
    let mut raw = Raw::connect(addr).await;
    raw.send(POST).await;
    sleep(Duration::from_millis(100)).await;
    raw.send("some of it").await;
    let answer = raw.answer_within(SOON, "POST").await.expect("an answer");
    assert_eq!(answer.status, 408);
    let mut raw = Raw::connect(addr).await;
    raw.send(POST.replace("100000", "3")).await;
    sleep(Duration::from_millis(100)).await;
    raw.send("all").await;
    sleep(Duration::from_millis(100)).await;
    drop(raw);
    // The module's own handle and the test's.
    let handles = || Arc::strong_count(&request_lives);
    eventually_within(SOON, "an end of the request", handles, |handles| *handles == 2).await;
}

#[tokio::test]
async fn client_that_sent_ahead_and_leaves_is_noticed() {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = Gateway::to(&upstream).timeout("60s").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n".repeat(1_000)).await;
    eventually("a request", || upstream.seen().len(), |seen| *seen == 1).await;
    drop(raw);
    eventually_within(SOON, "an end upstream", || upstream.open(), |open| *open == 0).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn first_byte_has_the_time_of_a_head() {
    let upstream = Upstream::http1().start().await;
    let authority = Authority::new("tests");
    let files = Files::new();
    let pair = files.pair("a", &authority.server(&["gateway.test"]));
    let secured = format!("tls = {{ certificates = [{pair}] }}");
    let tls = ClientTls::new(&authority, "gateway.test").offering(&["http/1.1"]);
    for (line, tls) in [("protocol = \"http1\"", None), ("", None), (&*secured, Some(&tls))] {
        let header = "timeouts = { header = \"1s\", idle = \"60s\" }";
        let gateway = Gateway::to(&upstream).listener(header).listener(line).start().await;
        let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
        let silent = async {
            let mut buffer = [0];
            match tls {
                None => tokio::io::AsyncReadExt::read(&mut { socket }, &mut buffer).await,
                Some(tls) => {
                    let mut socket = tls.handshake(socket).await.expect("a TLS handshake");
                    tokio::io::AsyncReadExt::read(&mut socket, &mut buffer).await
                }
            }
        };
        let ended = within(SOON, "the end of a silent connection", silent).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{line}: {ended:?}");
        // Between two requests there is more time.
        if tls.is_none() {
            let mut raw = Raw::connect(gateway.addr()).await;
            raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
            assert_eq!(raw.answer("GET").await.expect("an answer").status, 200);
            let (_, ended) = raw.read_to_end(Duration::from_secs(3)).await;
            assert_eq!(ended, Ended::Open, "{line}");
        }
    }
}

#[tokio::test]
async fn stalled_uploads_do_not_hold_up_others_of_their_connection() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.target.as_str() {
            "/deaf" => Answer::unread().then(Step::Deaf),
            _ => Answer::ok("taken"),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).timeout("60s").start().await;
    let mut client = Client::http2(gateway.addr());
    client.get("/first").await.assert_ok("taken");
    let mut stalled = JoinSet::new();
    for _ in 0..40 {
        let mut neighbour = client.neighbour();
        stalled.spawn(async move { neighbour.post("/deaf", Payload::pattern(8 << 20)).await });
    }
    let deaf = || upstream.seen_for("/deaf").len();
    eventually_within(SOON, "stalled uploads", deaf, |seen| *seen == 40).await;
    sleep(Duration::from_millis(500)).await;
    let upload = client.post("/upload", Payload::pattern(1 << 20));
    within(SOON, "an upload beside them", upload).await.assert_ok("taken");
    stalled.shutdown().await;
    drop(client);
    gateway.assert_quiet().await;
}
