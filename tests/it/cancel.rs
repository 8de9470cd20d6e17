//! Clients that leave (hardening 26 to 30).

use std::time::Duration;

use bytes::Bytes;
use gateway_tests::{
    Answer, Client, Gate, Gateway, Payload, Raw, Step, Stream, Upstream, WebSocket,
    eventually_within, within,
};
use http::Request;
use http_body::Frame;

const SOON: Duration = Duration::from_secs(2);
const HOST: &str = "Host: gateway.test\r\n\r\n";

fn request(path: &str) -> Request<Payload> {
    Request::builder().uri(path).body(Payload::empty()).expect("a request")
}

async fn upstream_is_left(upstream: &Upstream, what: &str) {
    let asked = || upstream.seen();
    eventually_within(SOON, what, asked, |seen| seen.iter().all(|seen| seen.left.is_some())).await;
}

async fn arrived(upstream: &Upstream, requests: usize) {
    let count = || upstream.seen().len();
    eventually_within(SOON, "requests upstream", count, |count| *count == requests).await;
}

/// Events of a server, without an end.
fn events() -> Answer {
    let event = "11\r\ndata: something\n\n\r\n";
    let mut answer = Answer::raw(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for _ in 0..400 {
        answer = answer.send(event).pause(Duration::from_millis(25));
    }
    answer
}

/// A body that is always more than was read.
fn endless_body() -> Answer {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    Answer::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .then(Step::Endless(chunk.into()))
}

#[tokio::test]
async fn a_client_that_leaves_an_http1_connection_is_missed_upstream() {
    for (name, answer, body) in [
        ("waiting", Answer::hang(), false),
        ("in events", events(), true),
        ("in a body", endless_body(), true),
    ] {
        for reset in [false, true] {
            let upstream = Upstream::http1().answer(answer.clone()).start().await;
            let gateway = Gateway::to(&upstream).timeout("30s").start().await;
            let mut raw = Raw::connect(gateway.addr()).await;
            raw.send(format!("GET /x HTTP/1.1\r\n{HOST}")).await;
            match body {
                true => assert!(raw.read_until(SOON, "200 OK").await, "{name}"),
                false => arrived(&upstream, 1).await,
            }
            if reset {
                raw.reset();
            } else {
                drop(raw);
            }
            upstream_is_left(&upstream, &format!("{name}, reset: {reset}")).await;
            gateway.assert_quiet().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_an_http2_stream_is_missed_upstream() {
    for (name, answer) in
        [("waiting", Answer::hang()), ("in events", events()), ("in a body", endless_body())]
    {
        for whole_connection in [false, true] {
            let upstream = Upstream::http1().answer(answer.clone()).start().await;
            let gateway = Gateway::to(&upstream).timeout("30s").start().await;
            let mut client = Client::http2(gateway.addr());
            client.connect().await;
            let mut other = client.neighbour();
            let asking = tokio::spawn(async move {
                let answer = other.open(request("/x")).await;
                std::future::pending::<()>().await;
                drop(answer);
            });
            arrived(&upstream, 1).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            if whole_connection {
                drop(client);
            }
            asking.abort();
            let what = format!("{name}, whole connection: {whole_connection}");
            upstream_is_left(&upstream, &what).await;
            gateway.assert_quiet().await;
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_missed_by_an_http2_upstream() {
    for answer in [Stream::Hang, Stream::Hold(Gate::new(), Bytes::new())] {
        let upstream = Upstream::http2().answer(answer).start().await;
        let gateway = Gateway::to(&upstream).timeout("30s").start().await;
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("GET /x HTTP/1.1\r\n{HOST}")).await;
        arrived(&upstream, 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(raw);
        upstream_is_left(&upstream, "a stream").await;
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_websocket_client_that_leaves_is_missed_upstream() {
    let upstream =
        Upstream::http1().answer(Answer::unread().then(Step::WebSocket(Vec::new()))).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for reset in [false, true] {
        let socket = WebSocket::open(gateway.addr(), "/ws").await.expect("a websocket");
        let raw = socket.into_raw();
        if reset {
            raw.reset();
        } else {
            drop(raw);
        }
        upstream_is_left(&upstream, &format!("reset: {reset}")).await;
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_cut_upload_over_http1_is_never_whole_upstream() {
    let heads = [
        ("POST /x HTTP/1.1\r\nContent-Length: 100000\r\n", "half of it"),
        ("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "5\r\nabcde\r\n"),
        ("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "5\r\nabcde\r\n0\r\n"),
    ];
    for (head, part) in heads {
        for how in ["close", "reset", "half-close"] {
            let upstream = Upstream::http1().start().await;
            let gateway = Gateway::to(&upstream).timeout("2s").start().await;
            let mut raw = Raw::connect(gateway.addr()).await;
            raw.send(format!("{head}{HOST}{part}")).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            match how {
                "close" => drop(raw),
                "reset" => raw.reset(),
                _ => {
                    raw.finish().await;
                    assert!(raw.ends_within(Duration::from_secs(4)).await, "{head} {how}");
                }
            }
            upstream_is_left(&upstream, &format!("{head} {how}")).await;
            let seen = upstream.seen();
            assert!(seen.iter().all(|seen| !seen.complete), "{head} {how}: {seen:?}");
            gateway.assert_quiet().await;
        }
    }
}

#[tokio::test]
async fn a_cut_upload_over_http2_is_never_whole_upstream() {
    let h1 = Upstream::http1().start().await;
    let h2 = Upstream::http2().start().await;
    for upstream in [h1, h2] {
        let gateway = Gateway::to(&upstream).timeout("5s").start().await;
        let mut client = Client::http2(gateway.addr());
        client.connect().await;
        let (sender, body) = Payload::channel();
        sender.send(Ok(Frame::data("half of it".into()))).expect("a receiver");
        let mut other = client.neighbour();
        let asking = tokio::spawn(async move { other.post("/x", body).await });
        arrived(&upstream, 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        sender.send(Err(std::io::Error::other("left"))).expect("a receiver");
        upstream_is_left(&upstream, "an upload").await;
        assert!(!upstream.seen()[0].complete, "{:?}", upstream.seen());
        assert!(!asking.await.expect("no panic").is_complete());
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_thousand_that_ask_and_leave_cost_nothing() {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = Gateway::to(&upstream).timeout("30s").start().await;
    let before = gateway.usage();
    for round in 0..20 {
        let mut leaving = Vec::new();
        for _ in 0..50 {
            let mut raw = Raw::connect(gateway.addr()).await;
            raw.send(format!("GET /x HTTP/1.1\r\n{HOST}")).await;
            leaving.push(raw);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        for raw in leaving {
            if round % 2 == 0 {
                raw.reset();
            }
        }
    }
    let open = || upstream.open();
    eventually_within(Duration::from_secs(5), "nothing upstream", open, |open| *open == 0).await;
    gateway.assert_quiet().await;
    let grown = gateway.usage().resident_kib.saturating_sub(before.resident_kib);
    assert!(grown < 32 << 10, "{grown} KiB more");
}

#[tokio::test]
async fn neighbours_of_a_reset_stream_are_unharmed() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.target.as_str() {
            "/hang" => Answer::hang(),
            _ => Answer::ok("well"),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).timeout("30s").start().await;
    let mut client = Client::http2(gateway.addr());
    client.connect().await;
    for round in 0..50 {
        let mut other = client.neighbour();
        let leaving = tokio::spawn(async move { other.get("/hang").await });
        if round % 5 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let well = client.get("/well");
        leaving.abort();
        within(SOON, "a neighbour", well).await.assert_ok("well");
    }
    assert_eq!(client.connections(), 1);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_client_that_ended_its_side_is_still_answered() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!("GET /x HTTP/1.1\r\n{HOST}")).await;
    raw.finish().await;
    assert_eq!(raw.answer("GET").await.expect("an answer").text(), "hello");
    assert!(raw.ends_within(SOON).await);
    gateway.assert_quiet().await;
}
