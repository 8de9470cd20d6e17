//! WebSocket and other upgrades (hardening 57, class A3).

use std::process::Command;
use std::time::Duration;

use gateway_tests::{Answer, Client, Frame, Gateway, Raw, Step, Upstream, WebSocket, find};

const SOON: Duration = Duration::from_secs(3);

fn echoes(first: Vec<Frame>) -> Answer {
    Answer::unread().then(Step::WebSocket(first))
}

async fn socket(gateway: &Gateway) -> WebSocket {
    WebSocket::open(gateway.addr(), "/ws").await.expect("a websocket")
}

#[tokio::test]
async fn frames_of_every_size_come_back() {
    let upstream = Upstream::http1().answer(echoes(Vec::new())).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut socket = socket(&gateway).await;
    for length in [0, 1, 125, 126, 5_000, 65_535, 65_536, 300_000] {
        let frame = Frame::binary(vec![b'x'; length]);
        assert!(socket.send(&frame).await);
        assert_eq!(socket.next().await, Some(frame), "{length}");
    }
    for round in 0..200 {
        let frame = Frame::text(&format!("message {round}"));
        assert!(socket.send(&frame).await);
        assert_eq!(socket.next().await, Some(frame));
    }
    drop(socket);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_upstream_may_speak_first() {
    let first = vec![Frame::text("welcome"), Frame::text("again")];
    let upstream = Upstream::http1().answer(echoes(first.clone())).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for _ in 0..20 {
        let mut socket = socket(&gateway).await;
        assert_eq!(socket.next().await.as_ref(), Some(&first[0]));
        assert_eq!(socket.next().await.as_ref(), Some(&first[1]));
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_handshake_arrives_and_the_timeout_of_the_route_does_not_end_it() {
    let upstream = Upstream::http1().answer(echoes(Vec::new())).start().await;
    let gateway = Gateway::to(&upstream).timeout("1s").start().await;
    let mut socket = socket(&gateway).await;
    let seen = upstream.seen().pop().expect("a handshake");
    assert_eq!(seen.header("upgrade").map(str::to_lowercase).as_deref(), Some("websocket"));
    assert_eq!(seen.header("connection").map(str::to_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(seen.header("sec-websocket-version"), Some("13"));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(socket.send(&Frame::text("still here")).await);
    assert_eq!(socket.next().await, Some(Frame::text("still here")));
    drop(socket);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_rejection_passes_with_its_body_and_the_connection_lives() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.target.as_str() {
            "/ws" => Answer::status(403, "not you").header("x-why", "because"),
            _ => Answer::ok("ok"),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).start().await;
    let answer = WebSocket::open(gateway.addr(), "/ws").await.expect_err("a rejection");
    assert_eq!((answer.status, answer.text().as_str()), (403, "not you"));
    assert_eq!(answer.header("x-why"), Some("because"));
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(WebSocket::request("/ws")).await;
    assert_eq!(raw.answer("GET").await.expect("an answer").status, 403);
    raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
    assert_eq!(raw.answer("GET").await.expect("an answer").text(), "ok");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn bytes_before_the_agreement_are_not_forwarded() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.target.as_str() {
            "/ws" => Answer::unread().pause(Duration::from_millis(200)).then(Step::Reply(
                403,
                Vec::new(),
                "not you".into(),
            )),
            _ => Answer::ok("ok"),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(WebSocket::request("/ws")).await;
    raw.send("GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\nX-Length: 0\r\n\r\n").await;
    assert_eq!(raw.answer("GET").await.expect("an answer").status, 403);
    // As a request of its own it may pass; as bytes of the rejected tunnel it may not.
    let _ = raw.answer_within(Duration::from_millis(500), "GET").await;
    let seen = upstream.seen();
    let smuggled = seen.iter().find(|seen| seen.target == "/smuggled");
    assert!(smuggled.is_none_or(|seen| seen.at - upstream.seen()[0].at > SLOW), "{smuggled:?}");
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    gateway.assert_quiet().await;
}

const SLOW: Duration = Duration::from_millis(150);

#[tokio::test]
async fn a_close_frame_ends_both_sides() {
    let upstream = Upstream::http1().answer(echoes(Vec::new())).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut socket = socket(&gateway).await;
    assert!(socket.send(&Frame::close(1000)).await);
    assert_eq!(socket.next().await, Some(Frame::close(1000)));
    assert_eq!(socket.next().await, None);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_upstream_that_goes_ends_the_client() {
    for (name, end) in [("closes", Step::Close), ("resets", Step::Reset)] {
        let accepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                        Upgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nlast words";
        let answer = Answer::unread().send(accepted).pause(Duration::from_millis(100)).then(end);
        let upstream = Upstream::http1().answer(answer).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        let mut raw = socket(&gateway).await.into_raw();
        assert!(raw.read_until(SOON, "last words").await, "{name}");
        assert!(raw.ends_within(SOON).await, "{name}");
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn one_side_may_end_before_the_other() {
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: websocket\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let answer = Answer::unread().send(accepted).then(Step::Tunnel);
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = socket(&gateway).await.into_raw();
    raw.send("last words").await;
    raw.finish().await;
    let (bytes, ended) = raw.read_to_end(SOON).await;
    assert!(find(&bytes, b"last words").is_some(), "{bytes:?}");
    assert_ne!(ended, gateway_tests::Ended::Open);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_upgrade_of_http10_is_an_ordinary_request() {
    let upstream = Upstream::http1().answer(Answer::ok("ok")).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(WebSocket::request("/ws").replace("HTTP/1.1", "HTTP/1.0")).await;
    assert_ne!(raw.answer("GET").await.expect("an answer").status, 101);
    assert!(upstream.seen().iter().all(|seen| seen.header("upgrade").is_none()));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_agreement_to_another_protocol_is_a_bad_gateway() {
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: something-else\r\n\r\nLEAK";
    let upstream = Upstream::http1().answer(Answer::unread().send(accepted)).start().await;
    let gateway = Gateway::to(&upstream).timeout("2s").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(WebSocket::request("/ws")).await;
    let answer = raw.answer("GET").await.expect("an answer");
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(!answer.text().contains("LEAK"));
    gateway.assert_quiet().await;
}

const SCRIPT: &str = r#"
import asyncio, sys, websockets

async def main():
    async with websockets.connect(sys.argv[1], max_size=None) as socket:
        for message in ["text", "", "x" * 70000, b"bytes", b"\x00" * 300000]:
            await socket.send(message)
            answer = await asyncio.wait_for(socket.recv(), 5)
            assert answer == message, (len(answer), len(message))
        pong = await socket.ping()
        await asyncio.wait_for(pong, 5)
    print("done")

asyncio.run(main())
"#;

#[tokio::test]
async fn a_client_of_another_make_is_served() {
    let python = std::env::var("GATEWAY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let known = Command::new(&python).args(["-c", "import websockets"]).output();
    if !known.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {python} has no module websockets (see GATEWAY_TEST_PYTHON)");
        return;
    }
    let upstream = Upstream::http1().answer(echoes(Vec::new())).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let url = format!("ws://{}/ws", gateway.addr());
    let run = move || Command::new(&python).args(["-c", SCRIPT, &url]).output();
    let output = tokio::task::spawn_blocking(run).await.expect("no panic").expect("run python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    gateway.assert_quiet().await;
}
