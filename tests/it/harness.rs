//! The harness itself, without a gateway: an upstream does what its script says.

use gateway_tests::{Answer, Client, Payload, Raw, Stream, Upstream, eventually};

#[tokio::test]
async fn an_http1_upstream_answers_and_records() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let mut client = Client::http1(upstream.addr());
    client.get("/a").await.assert_ok("hello");
    client.post("/b", "body").await.assert_ok("hello");
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[1].method.as_str(), seen[1].target.as_str()), ("POST", "/b"));
    assert_eq!(seen[1].body, b"body");
    assert!(seen[1].complete);
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_http2_upstream_echoes_with_trailers() {
    let upstream = Upstream::http2().answer(Stream::Echo).start().await;
    let mut client = Client::http2(upstream.addr());
    let payload = Payload::with_trailers("body", &[("x-sum", "1")]);
    let reply = client.post("/", payload).await;
    reply.assert_ok("body");
    assert_eq!(reply.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    assert_eq!(upstream.seen()[0].authority, "gateway.test");
}

#[tokio::test]
async fn a_cut_body_is_seen_as_broken() {
    let cut = Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort");
    for step in [gateway_tests::Step::Reset, gateway_tests::Step::Close] {
        let upstream = Upstream::http1().answer(cut.clone().then(step)).start().await;
        assert!(!Client::http1(upstream.addr()).get("/").await.is_complete());
        let mut raw = Raw::connect(upstream.addr()).await;
        raw.send("GET / HTTP/1.1\r\n\r\n").await;
        assert!(!raw.answer("GET").await.is_some_and(|answer| answer.complete));
    }
}

#[tokio::test]
async fn a_reset_stream_is_seen_as_broken() {
    let reset = Stream::ResetInBody("part".into(), h2::Reason::INTERNAL_ERROR);
    let upstream = Upstream::http2().answer(reset).start().await;
    let reply = Client::http2(upstream.addr()).get("/").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "part"));
    assert!(!reply.is_complete());
}

#[tokio::test]
async fn an_upload_that_is_reset_is_not_complete() {
    let upstream = Upstream::http2().start().await;
    let mut client = Client::http2(upstream.addr());
    let (sender, body) = Payload::channel();
    sender.send(Ok(http_body::Frame::data("half".into()))).unwrap();
    let asking = tokio::spawn(async move { client.post("/", body).await });
    eventually("an upload", || upstream.seen(), |seen| seen.len() == 1).await;
    sender.send(Err(std::io::Error::other("left"))).unwrap();
    assert!(!asking.await.unwrap().is_complete());
    let seen = eventually("left", || upstream.seen(), |seen| seen[0].left.is_some()).await;
    assert!(!seen[0].complete);
}
