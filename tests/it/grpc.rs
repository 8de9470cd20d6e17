//! gRPC, which is HTTP/2 with trailers: every shape of a call, and failures in its own words.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use gateway_tests::{
    Client, Gateway, Headers, Payload, Reply, Stream, Streaming, Upstream, eventually, get, within,
};
use http::Request;
use http_body::Frame;

use crate::routing::LISTENER;

const SOON: Duration = Duration::from_secs(4);
const METHOD: &str = "/shop.v1.Orders/Place";

/// A message with its five bytes in front.
fn message(text: &str) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(text.len() as u32);
    framed.put_slice(text.as_bytes());
    framed.freeze()
}

fn messages(texts: &[&str]) -> Bytes {
    texts.iter().flat_map(|text| message(text)).collect()
}

fn fields(lines: &[(&str, &str)]) -> Headers {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn fine() -> Headers {
    fields(&[("grpc-status", "0"), ("x-checked", "yes")])
}

fn call(body: Payload) -> Request<Payload> {
    Request::post(METHOD)
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("grpc-encoding", "identity")
        .body(body)
        .expect("a request")
}

#[track_caller]
fn assert_fine(reply: &Reply, body: &Bytes) {
    assert_eq!((reply.status, &reply.body), (200, body), "{reply:?}");
    assert_eq!(get(&reply.trailers, "grpc-status"), Some("0"), "{reply:?}");
    assert_eq!(get(&reply.trailers, "x-checked"), Some("yes"), "{reply:?}");
    assert!(reply.is_complete() && !reply.is_by_gateway(), "{reply:?}");
}

/// Fails unless the gateway says this in trailers alone, as gRPC reads them.
async fn assert_made_here(answer: Result<Streaming, Reply>, status: &str) {
    let Ok(answer) = answer else { panic!("no answer but a reset") };
    assert!(answer.is_head_only(), "more than trailers: {:?}", answer.parts);
    let reply = answer.rest().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/grpc"), "{reply:?}");
    assert_eq!(reply.header("grpc-status"), Some(status), "{reply:?}");
    assert!(reply.header("grpc-message").is_some_and(|text| !text.is_empty()), "{reply:?}");
    assert!(reply.is_by_gateway() && reply.is_complete(), "{reply:?}");
}

#[tokio::test]
async fn one_message_each_way() {
    let answer = Stream::Trailers(message("placed"), fine());
    let upstream = Upstream::http2().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let reply = Client::http2(gateway.addr()).send(call(message("place").into())).await;
    assert_fine(&reply, &message("placed"));
    let seen = upstream.seen().pop().expect("a call");
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", METHOD));
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("content-type"), Some("application/grpc+proto"));
    assert_eq!(seen.body, message("place"));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn many_messages_to_the_server() {
    let answer = Stream::Trailers(message("all of them"), fine());
    let upstream = Upstream::http2().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let (sender, body) = Payload::channel();
    let mut client = Client::http2(gateway.addr());
    let sending = async {
        for text in ["one", "two", "three"] {
            let length = || upstream.seen().first().map_or(0, |seen| seen.body_length);
            let before = length();
            sender.send(Ok(Frame::data(message(text)))).expect("a receiver");
            eventually("the message upstream", length, |length| *length > before).await;
        }
        drop(sender);
    };
    let (reply, ()) = tokio::join!(client.send(call(body)), sending);
    assert_fine(&reply, &message("all of them"));
    assert_eq!(upstream.seen()[0].body, messages(&["one", "two", "three"]));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn many_messages_from_the_server() {
    let large = "x".repeat(100_000);
    let content = messages(&["one", &large, "three"]);
    let answer = Stream::Trailers(content.clone(), fine());
    let upstream = Upstream::http2().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let reply = Client::http2(gateway.addr()).send(call(message("all").into())).await;
    assert_fine(&reply, &content);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn messages_to_and_fro() {
    let upstream = Upstream::http2().answer(Stream::EchoThen(fine())).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let (sender, body) = Payload::channel();
    let mut client = Client::http2(gateway.addr());
    let Ok(mut answer) = client.open(call(body)).await else { panic!("no answer") };
    for round in 0..20 {
        let message = message(&format!("round {round}"));
        sender.send(Ok(Frame::data(message.clone()))).expect("a receiver");
        assert_eq!(answer.next().await, Some(Ok(message)), "{round}");
    }
    drop(sender);
    let reply = answer.rest().await;
    assert_fine(&reply, &Bytes::new());
    assert!(upstream.seen()[0].complete);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_error_in_trailers_alone_passes() {
    let lines = [
        ("content-type", "application/grpc"),
        ("grpc-status", "5"),
        ("grpc-message", "no such order"),
    ];
    let answer = Stream::Reply(200, fields(&lines), Bytes::new());
    let upstream = Upstream::http2().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    let Ok(answer) = client.open(call(message("which").into())).await else { panic!("no answer") };
    assert!(answer.is_head_only(), "{:?}", answer.parts);
    let reply = answer.rest().await;
    assert_eq!(reply.header("grpc-status"), Some("5"), "{reply:?}");
    assert_eq!(reply.header("grpc-message"), Some("no such order"));
    assert!(!reply.is_by_gateway(), "{reply:?}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_error_after_messages_passes() {
    let trailers = fields(&[("grpc-status", "8"), ("grpc-message", "enough")]);
    let answer = Stream::Trailers(message("some"), trailers);
    let upstream = Upstream::http2().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let reply = Client::http2(gateway.addr()).send(call(message("all").into())).await;
    assert_eq!(reply.body, message("some"));
    assert_eq!(get(&reply.trailers, "grpc-status"), Some("8"), "{reply:?}");
    assert_eq!(get(&reply.trailers, "grpc-message"), Some("enough"));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn only_te_trailers_reaches_the_upstream() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http1(gateway.addr());
    for (te, expected) in
        [("trailers", Some("trailers")), ("gzip, trailers", Some("trailers")), ("gzip", None)]
    {
        let request = Request::get("/").header("te", te).header("connection", "te");
        client.send(request.body(Payload::empty()).expect("a request")).await.assert_ok("ok");
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.header("te"), expected, "{te}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn no_route_is_unimplemented() {
    let routes = "[[routes]]\nid = \"other\"\nmatch = { prefix = \"/other\" }\n\
                  target = { respond = { status = 200 } }\n";
    let gateway = Gateway::document(format!("{LISTENER}{routes}")).start().await;
    let mut client = Client::http2(gateway.addr());
    assert_made_here(client.open(call(message("place").into())).await, "12").await;
    // Whoever does not speak gRPC is told in HTTP.
    client.post(METHOD, "place").await.assert_by_gateway(&[404]);
}

#[tokio::test]
async fn a_dead_upstream_is_unavailable() {
    let upstream = Upstream::rejecting();
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    for _ in 0..3 {
        assert_made_here(client.open(call(message("place").into())).await, "14").await;
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_timeout_is_a_deadline_exceeded() {
    let upstream = Upstream::http2().answer(Stream::Hang).start().await;
    let gateway = Gateway::to(&upstream).timeout("500ms").start().await;
    let mut client = Client::http2(gateway.addr());
    let answer = within(SOON, "an answer", client.open(call(message("place").into()))).await;
    assert_made_here(answer, "4").await;
    let left = || upstream.seen()[0].left.is_some();
    eventually("the upstream's stream reset", left, |left| *left).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_client_that_asks_for_less_time_gets_it() {
    let upstream = Upstream::http2().answer(Stream::Hang).start().await;
    let gateway = Gateway::to(&upstream).timeout("30s").start().await;
    let mut client = Client::http2(gateway.addr());
    let mut request = call(message("place").into());
    request.headers_mut().insert("grpc-timeout", http::HeaderValue::from_static("300m"));
    let answer = within(SOON, "an answer", client.open(request)).await;
    assert_made_here(answer, "4").await;
    gateway.assert_quiet().await;
}
