//! WebSocket where HTTP/2 is on one side or on both (RFC 8441).

use std::time::Duration;

use gateway_tests::{
    Answer, Frame, Gate, Gateway, Step, Stream, StreamSocket, Upstream, WebSocket, eventually,
};
use h2::Reason;
use h2::ext::Protocol;
use http::Request;

const SIZES: [usize; 7] = [0, 1, 125, 126, 5_000, 65_536, 300_000];

fn echoes() -> Answer {
    Answer::unread().then(Step::WebSocket(Vec::new()))
}

async fn socket(gateway: &Gateway) -> StreamSocket {
    StreamSocket::open(gateway.addr(), "/ws?room=1").await.expect("a websocket")
}

#[tokio::test]
async fn from_http2_to_http1() {
    let upstream = Upstream::http1().answer(echoes()).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut socket = socket(&gateway).await;
    let seen = upstream.seen().pop().expect("a handshake");
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/ws?room=1"));
    assert_eq!(seen.authority, "gateway.test");
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert_eq!(seen.header("connection").map(str::to_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(seen.header("sec-websocket-version"), Some("13"));
    assert!(seen.header("sec-websocket-key").is_some_and(|key| key.len() == 24), "{seen:?}");
    for length in SIZES {
        let frame = Frame::binary(vec![b'x'; length]);
        assert!(socket.send(&frame).await, "{length}");
        assert_eq!(socket.next().await, Some(frame), "{length}");
    }
    drop(socket);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn from_http2_to_http2() {
    let upstream = Upstream::http2().answer(Stream::Echo).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut socket = socket(&gateway).await;
    let seen = upstream.seen().pop().expect("a handshake");
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("CONNECT", "/ws?room=1"));
    assert_eq!(seen.protocol.as_deref(), Some("websocket"));
    assert_eq!(seen.authority, "gateway.test");
    for name in ["connection", "upgrade", "sec-websocket-key"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    for length in SIZES {
        let frame = Frame::binary(vec![b'x'; length]);
        assert!(socket.send(&frame).await, "{length}");
        assert_eq!(socket.next().await, Some(frame), "{length}");
    }
    drop(socket);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn from_http1_to_http2_with_the_accept_key_of_the_client() {
    let upstream = Upstream::http2().answer(Stream::Echo).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    // The harness checks Sec-WebSocket-Accept.
    let mut socket = WebSocket::open(gateway.addr(), "/ws").await.expect("a websocket");
    let seen = upstream.seen().pop().expect("a handshake");
    assert_eq!(seen.protocol.as_deref(), Some("websocket"));
    assert_eq!(seen.header("sec-websocket-version"), Some("13"));
    assert_eq!(seen.header("sec-websocket-key"), None);
    for length in SIZES {
        let frame = Frame::binary(vec![b'x'; length]);
        assert!(socket.send(&frame).await, "{length}");
        assert_eq!(socket.next().await, Some(frame), "{length}");
    }
    drop(socket);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_end_on_one_side_is_an_end_on_the_other() {
    let upstreams = [
        Upstream::http1().answer(echoes()).start().await,
        Upstream::http2().answer(Stream::Echo).start().await,
    ];
    for upstream in upstreams {
        let gateway = Gateway::to(&upstream).start().await;
        let mut socket = socket(&gateway).await;
        assert!(socket.send(&Frame::close(1000)).await);
        assert_eq!(socket.next().await, Some(Frame::close(1000)));
        socket.finish();
        assert_eq!(socket.next().await, None);
        drop(socket);
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_client_that_resets_its_stream_is_gone_upstream_too() {
    let upstream = Upstream::http1().answer(echoes()).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut socket = socket(&gateway).await;
    assert!(socket.send(&Frame::text("here")).await);
    assert_eq!(socket.next().await, Some(Frame::text("here")));
    assert_eq!(upstream.open(), 1);
    socket.reset();
    eventually("the upstream's connection closed", || upstream.open(), |open| *open == 0).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_timeout_of_the_route_does_not_end_it() {
    let upstream = Upstream::http2().answer(Stream::Echo).start().await;
    let gateway = Gateway::to(&upstream).timeout("1s").start().await;
    let mut socket = socket(&gateway).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(socket.send(&Frame::text("still here")).await);
    assert_eq!(socket.next().await, Some(Frame::text("still here")));
    drop(socket);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_rejection_passes_with_its_status() {
    let rejection = Answer::status(403, "not you").header("x-why", "because");
    let over_http2 = vec![("x-why".to_owned(), "because".to_owned())];
    let upstreams = [
        Upstream::http1().answer(rejection).start().await,
        Upstream::http2().answer(Stream::Reply(403, over_http2, "not you".into())).start().await,
    ];
    for upstream in upstreams {
        let gateway = Gateway::to(&upstream).start().await;
        let reply = StreamSocket::open(gateway.addr(), "/ws").await.err().expect("a rejection");
        assert_eq!((reply.status, reply.text().as_str()), (403, "not you"), "{reply:?}");
        assert_eq!(reply.header("x-why"), Some("because"));
        assert!(reply.is_complete() && !reply.is_by_gateway(), "{reply:?}");
        let answer = WebSocket::open(gateway.addr(), "/ws").await.expect_err("a rejection");
        assert_eq!((answer.status, answer.text().as_str()), (403, "not you"), "{answer:?}");
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_upstream_that_resets_the_stream_is_a_bad_gateway() {
    let reset = Stream::Reset(Reason::INTERNAL_ERROR);
    let upstream = Upstream::http2().answer(reset).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let reply = StreamSocket::open(gateway.addr(), "/ws").await.err().expect("a rejection");
    reply.assert_by_gateway(&[502, 503]);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_wrong_accept_key_is_a_bad_gateway() {
    let wrong = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                 Upgrade: websocket\r\n\
                 Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\nLEAK";
    let upstream = Upstream::http1().answer(Answer::unread().send(wrong)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let reply = StreamSocket::open(gateway.addr(), "/ws").await.err().expect("a rejection");
    reply.assert_by_gateway(&[502]);
    assert!(!reply.text().contains("LEAK"));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn any_other_connect_is_rejected() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let ordinary = Request::connect("gateway.test:443").body(()).expect("a request");
    let unknown = Request::connect("http://gateway.test/ws")
        .extension(Protocol::from_static("connect-udp"))
        .body(())
        .expect("a request");
    for request in [ordinary, unknown] {
        let reply =
            StreamSocket::connect(gateway.addr(), request).await.err().expect("a rejection");
        reply.assert_by_gateway(&[405]);
        assert_eq!(upstream.bytes_received(), 0);
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn tunnels_keep_their_connection_and_end_when_idle() {
    let upstream = Upstream::http1().answer(echoes()).start().await;
    let gateway = Gateway::to(&upstream)
        .listener("timeouts = { idle = \"300ms\", tunnel_idle = \"2s\" }")
        .start()
        .await;
    let mut socket = socket(&gateway).await;
    // Ten times the idle timeout of the connection and longer than that of the tunnel, but active.
    for round in 0..10 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(socket.send(&Frame::text("here")).await, "{round}");
        assert_eq!(socket.next().await, Some(Frame::text("here")), "{round}");
    }
    // Its end is a matter of the idle tunnel.
    assert_eq!(socket.next().await, None);
    drop(socket);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_route_decides_about_idle_tunnels() {
    let upstream = Upstream::http1().answer(echoes()).start().await;
    let gateway = Gateway::to(&upstream)
        .listener("timeouts = { tunnel_idle = \"300ms\" }")
        .route("policy.tunnel_idle = \"0s\"")
        .start()
        .await;
    let mut over_http1 = WebSocket::open(gateway.addr(), "/ws").await.expect("a websocket");
    let mut over_http2 = socket(&gateway).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(over_http1.send(&Frame::text("here")).await);
    assert_eq!(over_http1.next().await, Some(Frame::text("here")));
    assert!(over_http2.send(&Frame::text("here")).await);
    assert_eq!(over_http2.next().await, Some(Frame::text("here")));
    drop((over_http1, over_http2));
    gateway.assert_quiet().await;
}

/// An upstream that never ends its side by itself.
#[tokio::test]
async fn a_client_that_is_gone_frees_the_tunnel_over_http2() {
    let gate = Gate::new();
    let upstream = Upstream::http2().answer(Stream::Hold(gate, "".into())).start().await;
    let gateway = Gateway::to(&upstream).with_admin().start().await;
    let admin = gateway.admin();
    for resets in [true, false] {
        let socket = WebSocket::open(gateway.addr(), "/ws").await.expect("a websocket");
        assert_eq!(admin.in_flight().await, 1);
        let mut raw = socket.into_raw();
        let mut half_closed = None;
        if resets {
            raw.reset();
        } else {
            raw.finish().await;
            half_closed = Some(raw);
        }
        for _ in 0..2_000 {
            if admin.in_flight().await == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(admin.in_flight().await, 0, "resets: {resets}");
        drop(half_closed);
    }
    gateway.assert_quiet().await;
}
