//! What every pair of protocols must carry: HTTP/1 and HTTP/2 clients, HTTP/1 and HTTP/2
//! upstreams (hardening 58, 59).

use std::net::SocketAddr;
use std::time::Duration;

use gateway_tests::{
    Answer, Client, Gate, Gateway, Pattern, Payload, Seen, Step, Stream, Upstream, within,
};
use http::Request;

const LARGE: u64 = 8 << 20;

type Open = fn(SocketAddr) -> Client;

struct Pair {
    name: &'static str,
    open: Open,
    upstream: Upstream,
    gateway: Gateway,
}

impl Pair {
    fn client(&self) -> Client {
        (self.open)(self.gateway.addr())
    }
}

fn http1_script(seen: &Seen) -> Answer {
    match seen.target.split(['/', '?']).nth(1).unwrap_or_default() {
        "echo" => Answer::echo(),
        "empty" => Answer::status(204, ""),
        "unchanged" => Answer::status(304, "").header("etag", "\"1\""),
        "large" => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n");
            Answer::raw(head).then(Step::Pattern(LARGE))
        }
        "fields" => Answer::ok("fields")
            .header("x-one", "1")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("x-latin", "caf\u{e9}"),
        _ => Answer::ok("said"),
    }
}

fn http2_script(seen: &Seen) -> Stream {
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    match seen.target.split(['/', '?']).nth(1).unwrap_or_default() {
        "echo" => Stream::Echo,
        "empty" => Stream::Reply(204, Vec::new(), "".into()),
        "unchanged" => Stream::Reply(304, vec![line("etag", "\"1\"")], "".into()),
        "large" => Stream::Pattern(LARGE),
        "fields" => {
            let fields = [("x-one", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
            let fields = fields.map(|(name, value)| line(name, value));
            Stream::Reply(200, fields.to_vec(), "fields".into())
        }
        _ => {
            let length = line("content-length", "4");
            Stream::Reply(200, vec![length], "said".into())
        }
    }
}

/// All four pairs, each with a gateway of its own.
async fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    let clients: [(&str, &str, Open); 2] =
        [("h1 to h1", "h1 to h2", Client::http1), ("h2 to h1", "h2 to h2", Client::http2)];
    for (to_http1, to_http2, open) in clients {
        let http1 = Upstream::http1().script(http1_script).start().await;
        let http2 = Upstream::http2().script(http2_script).start().await;
        for (name, upstream) in [(to_http1, http1), (to_http2, http2)] {
            let gateway = Gateway::to(&upstream).timeout("20s").start().await;
            pairs.push(Pair { name, open, upstream, gateway });
        }
    }
    pairs
}

#[tokio::test]
async fn methods_paths_and_queries_arrive_as_they_were() {
    for pair in pairs().await {
        let mut client = pair.client();
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "M-SEARCH"] {
            let target = "/a/b;c=d/%C3%A4?x=1&y=%2F&z=a+b&x=2&empty";
            client.method(method, target, Payload::empty()).await.assert_ok("said");
            let seen = pair.upstream.seen().pop().expect("a request");
            assert_eq!((seen.method.as_str(), seen.target.as_str()), (method, target));
            assert_eq!(seen.authority, "gateway.test", "{}", pair.name);
            assert!(seen.complete && seen.body_length == 0, "{} {method}: {seen:?}", pair.name);
        }
        assert_eq!(client.connections(), 1, "{}", pair.name);
        pair.gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn bodies_arrive_whole_in_both_directions() {
    for pair in pairs().await {
        let mut client = pair.client();
        for length in [0, 1, 1_000, 16_384, 100_000, 900_000] {
            for payload in [Payload::pattern(length), Payload::unsized_pattern(length)] {
                let reply = client.post("/echo", payload).await;
                assert!(reply.is_complete(), "{} {length}: {:?}", pair.name, reply.end);
                let expected = Pattern::new(1).bytes(length as usize);
                assert!(reply.body == expected, "{} {length}: {}", pair.name, reply.body.len());
                let seen = pair.upstream.seen().pop().expect("a request");
                assert!(seen.complete && seen.exact, "{} {length}", pair.name);
            }
        }
        pair.gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn large_bodies_arrive_byte_for_byte() {
    for pair in pairs().await {
        let mut client = pair.client();
        let reply = client.get("/large").await;
        assert!(reply.is_complete(), "{}: {:?}", pair.name, reply.end);
        assert!(reply.body == Pattern::new(1).bytes(LARGE as usize), "{}", pair.name);
        client.post("/said", Payload::pattern(LARGE)).await.assert_ok("said");
        client.post("/said", Payload::unsized_pattern(LARGE)).await.assert_ok("said");
        for seen in pair.upstream.seen().into_iter().skip(1) {
            assert!(seen.complete && seen.exact, "{}", pair.name);
            assert_eq!(seen.body_length, LARGE, "{}", pair.name);
        }
        pair.gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    for pair in pairs().await {
        let mut client = pair.client();
        let head = client.method("HEAD", "/said", Payload::empty()).await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("4")), "{}", pair.name);
        assert!(head.body.is_empty() && head.is_complete(), "{}: {head:?}", pair.name);
        let empty = client.get("/empty").await;
        assert_eq!((empty.status, empty.body.len()), (204, 0), "{}", pair.name);
        assert_eq!(empty.header("content-length"), None, "{}", pair.name);
        assert_eq!(empty.header("transfer-encoding"), None, "{}", pair.name);
        let unchanged = client.get("/unchanged").await;
        assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some("\"1\"")));
        assert!(unchanged.body.is_empty() && unchanged.is_complete(), "{}", pair.name);
        client.get("/said").await.assert_ok("said");
        assert_eq!(client.connections(), 1, "{}", pair.name);
        pair.gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn fields_of_an_answer_arrive_in_order() {
    for pair in pairs().await {
        let reply = pair.client().get("/fields").await;
        assert_eq!(reply.header("x-one"), Some("1"), "{}", pair.name);
        assert_eq!(reply.header_all("set-cookie"), ["a=1", "b=2"], "{}", pair.name);
        pair.gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn fields_of_a_request_arrive_in_order() {
    for pair in pairs().await {
        let request = Request::builder()
            .uri("/said")
            .header("x-list", "1")
            .header("x-list", "2")
            .header("x-empty", "")
            .header("accept", "a/b, c/d;q=0.5")
            .header("authorization", "Bearer abc")
            .header("x-high", http::HeaderValue::from_bytes(b"caf\xe9").expect("a value"));
        pair.client().send(request.body(Payload::empty()).expect("a request")).await;
        let seen = pair.upstream.seen().pop().expect("a request");
        assert_eq!(seen.header_all("x-list"), ["1", "2"], "{}", pair.name);
        assert_eq!(seen.header("x-empty"), Some(""), "{}", pair.name);
        assert_eq!(seen.header("accept"), Some("a/b, c/d;q=0.5"), "{}", pair.name);
        assert_eq!(seen.header("authorization"), Some("Bearer abc"), "{}", pair.name);
        assert!(seen.header("x-high").is_some_and(|value| value.starts_with("caf")));
        pair.gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn trailers_arrive_in_both_directions() {
    for pair in pairs().await {
        let request = Request::post("/echo")
            .header("te", "trailers")
            .header("trailer", "x-sum")
            .body(Payload::with_trailers("body", &[("x-sum", "4")]))
            .expect("a request");
        let reply = pair.client().send(request).await;
        reply.assert_ok("body");
        let seen = pair.upstream.seen().pop().expect("a request");
        let sum = [("x-sum".to_owned(), "4".to_owned())];
        assert_eq!(seen.trailers, sum, "{}: upstream", pair.name);
        // An HTTP/1 head must announce trailers, and an HTTP/2 upstream did not.
        if pair.name != "h1 to h2" {
            assert_eq!(reply.trailers, sum, "{}: client", pair.name);
        }
        pair.gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn each_event_arrives_before_the_next_is_made() {
    let gate = Gate::new();
    let mut events = Answer::raw(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    for number in 0..20 {
        events = events.then(Step::Gate(gate.clone())).send(format!("8\r\ndata:{number:02}\n\r\n"));
    }
    let upstream = Upstream::http1().answer(events.send("0\r\n\r\n")).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        let request = Request::builder().uri("/").body(Payload::empty()).expect("a request");
        let mut answer = client.open(request).await.expect("a head before the first event");
        for number in 0..20 {
            gate.open();
            let next = within(Duration::from_secs(2), "an event", answer.next()).await;
            let event = next.expect("an event").expect("no error");
            assert_eq!(event, format!("data:{number:02}\n"));
        }
        assert_eq!(answer.next().await, None);
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_conversation_runs_in_both_directions_at_once() {
    let upstream = Upstream::http2().answer(Stream::Echo).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        let (sender, body) = Payload::channel();
        let request = Request::post("/").body(body).expect("a request");
        let mut answer = within(Duration::from_secs(2), "a head", client.open(request))
            .await
            .expect("a head before the body");
        for number in 0..20 {
            let piece = bytes::Bytes::from(format!("piece {number}"));
            sender.send(Ok(http_body::Frame::data(piece.clone()))).expect("a receiver");
            let next = within(Duration::from_secs(2), "an echo", answer.next()).await;
            assert_eq!(next, Some(Ok(piece)));
        }
        drop(sender);
        assert_eq!(within(Duration::from_secs(2), "the end", answer.next()).await, None);
    }
    gateway.assert_quiet().await;
}
