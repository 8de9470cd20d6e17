//! What an upstream says about its connections, and how much it may say in the head of a response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_tests::{Answer, Client, Gateway, Headers, Payload, Raw, Stream, Upstream, eventually};
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn post(path: &str) -> Request<Payload> {
    Request::post(path).body(Payload::empty()).expect("a request")
}

fn many_headers(count: usize) -> Headers {
    (0..count).map(|index| (format!("x-{index}"), "1".to_owned())).collect()
}

#[tokio::test]
async fn announced_keep_alive_timeout_is_honored() {
    for (announced, connections) in [("timeout=60, max=100", 1), ("max=9, Timeout=1", 4)] {
        let answer = Answer::ok("ok").header("keep-alive", announced);
        let upstream = Upstream::http1().answer(answer).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        let before = upstream.connections();
        let mut client = Client::http1(gateway.addr());
        for _ in 0..4 {
            let reply = client.get("/").await;
            reply.assert_ok("ok");
            assert_eq!(reply.header("keep-alive"), None);
        }
        assert_eq!(upstream.connections() - before, connections, "{announced}");
        gateway.assert_quiet().await;
    }
}

/// An upstream that ends each connection right behind its first response, without a word.
async fn closing() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("an address").port();
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok_and(|size| size > 0) {
                    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    let _ = stream.write_all(response).await;
                    let _ = stream.shutdown().await;
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (port, served)
}

#[tokio::test]
async fn closed_connection_takes_no_request() {
    const REQUESTS: usize = 100;
    let (port, served) = closing().await;
    let document = format!(
        "[[listeners]]\naddress = \"{{listen}}\"\n[clusters.back]\n\
         endpoints = [\"http://127.0.0.1:{port}\"]\noutlier_detection = \"off\"\n\
         [[routes]]\nmatch = {{ prefix = \"/\" }}\ntarget = {{ cluster = \"back\" }}\n"
    );
    let gateway = Gateway::document(document).start().await;
    let mut client = Client::http1(gateway.addr());
    for request in 1..=REQUESTS {
        // Not idempotent: it is not sent again.
        client.send(post("/")).await.assert_ok("ok");
        let count = || served.load(Ordering::SeqCst);
        eventually("the end of the connection", count, |count| *count >= request).await;
    }
}

/// The status of the response to `GET path`, and its body. Clients of the harness accept fewer
/// headers.
async fn get(gateway: &Gateway, path: &str) -> (u16, String) {
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n")).await;
    let answer = raw.answer("GET").await.expect("a response");
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn limits_of_response_heads_are_settings() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.target.as_str() {
            "/many" => many_headers(250)
                .iter()
                .fold(Answer::ok("ok"), |answer, (name, value)| answer.header(name, value)),
            "/large" => Answer::ok("ok").header("x-large", &"x".repeat(70 * 1024)),
            _ => Answer::ok("ok").header("x-a", "1"),
        })
        .start()
        .await;
    let default = Gateway::to(&upstream).start().await;
    let more = "limits = { headers = \"80KiB\", header_count = 300 }";
    let more = Gateway::to(&upstream).cluster(more).start().await;
    for path in ["/many", "/large"] {
        let (status, body) = get(&default, path).await;
        assert_eq!(status, 502, "{path}: {body}");
        assert!(body.contains("upstream_headers_too_large"), "{path}: {body}");
        assert_eq!(get(&more, path).await, (200, "ok".to_owned()), "{path}");
    }
    let strict = Gateway::to(&upstream).cluster("limits.header_count = 1").start().await;
    for (gateway, status) in [(&default, 200), (&more, 200), (&strict, 502)] {
        // Two headers: its length is one.
        assert_eq!(get(gateway, "/").await.0, status);
    }
}

#[tokio::test]
async fn limits_of_response_heads_hold_for_http2() {
    let upstream = Upstream::http2()
        .script(|seen| match seen.target.as_str() {
            "/many" => Stream::Reply(200, many_headers(250), "ok".into()),
            _ => Stream::ok("ok"),
        })
        .start()
        .await;
    let default = Gateway::to(&upstream).start().await;
    let (status, body) = get(&default, "/many").await;
    assert_eq!(status, 502);
    assert!(body.contains("upstream_headers_too_large"), "{body}");
    assert_eq!(get(&default, "/").await, (200, "ok".to_owned()));
    let more = Gateway::to(&upstream).cluster("limits.header_count = 300").start().await;
    assert_eq!(get(&more, "/many").await, (200, "ok".to_owned()));
    let small = Gateway::to(&upstream).cluster("limits.headers = \"1KiB\"").start().await;
    assert_eq!(get(&small, "/many").await.0, 502);
    assert_eq!(get(&small, "/").await, (200, "ok".to_owned()));
}

#[tokio::test]
async fn event_stream_in_any_case_has_no_total_timeout() {
    const BEAT: Duration = Duration::from_millis(100);
    for kind in ["text/event-stream", "Text/Event-Stream", "TEXT/EVENT-STREAM; charset=utf-8"] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n");
        let events =
            (0..8).fold(Answer::raw(head), |answer, _| answer.send("data: 1\n\n").pause(BEAT));
        let upstream =
            Upstream::http1().answer(events.then(gateway_tests::Step::Finish)).start().await;
        let gateway = Gateway::to(&upstream).timeout("300ms").start().await;
        let reply = Client::http1(gateway.addr()).get("/").await;
        assert!(reply.is_complete(), "{kind}: {reply:?}");
        assert_eq!(reply.text(), "data: 1\n\n".repeat(8), "{kind}");
        eventually("the end of the connections", || upstream.open(), |open| *open == 0).await;
    }
}
