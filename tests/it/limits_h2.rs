//! What a listener allows of a request holds over HTTP/2 too.

use std::time::Duration;

use bytes::Bytes;
use gateway_tests::{Client, Gateway, Payload, Upstream, eventually, within};
use http::Request;
use http_body::Frame;

const SOON: Duration = Duration::from_secs(4);

/// The limits of a listener that says nothing about them.
const TARGET: usize = 8 * 1024;
const FIELDS: usize = 100;

fn with_fields(count: usize) -> Request<Payload> {
    let fields = (0..count).map(|number| (format!("x-field-{number}"), "value"));
    let request = Request::builder().uri("/");
    let request = fields.fold(request, |request, (name, value)| request.header(name, value));
    request.body(Payload::empty()).expect("a request")
}

#[tokio::test]
async fn a_target_that_is_too_long_is_rejected_and_the_connection_lives() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    let long = format!("/{}", "a".repeat(TARGET));
    client.get(&long).await.assert_by_gateway(&[414]);
    client.get(&format!("/?{}", "q".repeat(TARGET))).await.assert_by_gateway(&[414]);
    assert_eq!(upstream.bytes_received(), 0);
    client.get(&long[..TARGET]).await.assert_ok("ok");
    assert_eq!(client.connections(), 1);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn too_many_fields_are_rejected_and_the_connection_lives() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    client.send(with_fields(FIELDS + 1)).await.assert_by_gateway(&[431]);
    assert_eq!(upstream.bytes_received(), 0);
    client.send(with_fields(FIELDS - 10)).await.assert_ok("ok");
    assert_eq!(client.connections(), 1);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn fields_that_are_too_large_together_are_rejected() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    let request = Request::builder().uri("/").header("x-large", "v".repeat(70_000));
    let reply = client.send(request.body(Payload::empty()).expect("a request")).await;
    assert!(matches!(reply.status, 0 | 431), "{reply:?}");
    assert_eq!(upstream.bytes_received(), 0);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn limits_of_the_document_are_those_that_hold() {
    let upstream = Upstream::http1().start().await;
    let limits = "limits = { uri = \"16B\", header_count = 3 }";
    let gateway = Gateway::to(&upstream).listener(limits).start().await;
    let mut client = Client::http2(gateway.addr());
    client.get("/0123456789abcdef").await.assert_by_gateway(&[414]);
    client.send(with_fields(4)).await.assert_by_gateway(&[431]);
    client.send(with_fields(2)).await.assert_ok("ok");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_body_that_stands_still_is_cut() {
    for upstream in [Upstream::http1().start().await, Upstream::http2().start().await] {
        let idle = "timeouts = { body_idle = \"1s\" }";
        let gateway = Gateway::to(&upstream).timeout("30s").listener(idle).start().await;
        let mut client = Client::http2(gateway.addr());
        let (sender, body) = Payload::channel();
        sender.send(Ok(Frame::data(Bytes::from_static(b"half of it")))).expect("a receiver");
        let request = Request::post("/").header("content-length", "20").body(body);
        let answer = client.send(request.expect("a request"));
        let reply = within(SOON, "an end of the request", answer).await;
        reply.assert_by_gateway(&[408]);
        let gone = || upstream.seen().iter().all(|seen| seen.left.is_some());
        eventually("the upstream sees it end", gone, |gone| *gone).await;
        assert!(upstream.seen().iter().all(|seen| !seen.complete));
        // Others on the connection are not concerned.
        client.get("/next").await.assert_ok("ok");
        assert_eq!(client.connections(), 1);
        drop(sender);
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_body_that_keeps_coming_is_not_cut() {
    let upstream = Upstream::http1().start().await;
    let idle = "timeouts = { body_idle = \"1s\" }";
    let gateway = Gateway::to(&upstream).timeout("30s").listener(idle).start().await;
    let (sender, body) = Payload::channel();
    let mut client = Client::http2(gateway.addr());
    let feeding = async move {
        for _ in 0..8 {
            let piece = Bytes::from(vec![b'x'; 1_000]);
            sender.send(Ok(Frame::data(piece))).expect("a receiver");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let (reply, ()) = tokio::join!(client.post("/", body), feeding);
    reply.assert_ok("ok");
    assert_eq!(upstream.seen()[0].body_length, 8_000);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_body_that_grows_too_large_on_its_way_is_rejected() {
    for upstream in [Upstream::http1().start().await, Upstream::http2().start().await] {
        let gateway = Gateway::to(&upstream).route("policy.body_limit = \"64KiB\"").start().await;
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let reply = client.post("/", Payload::unsized_pattern(200_000)).await;
            reply.assert_by_gateway(&[413]);
            assert!(upstream.seen().iter().all(|seen| !seen.complete));
        }
        gateway.assert_quiet().await;
    }
}
