//! Responses that end before their request does.

use std::time::Duration;

use gateway_tests::{Client, Gateway, Payload, Raw, Seen, Stream, Upstream, eventually};
use http::Request;

const PATIENCE: Duration = Duration::from_secs(15);

fn all_left(seen: &[Seen], count: usize) -> bool {
    seen.iter().filter(|seen| seen.left.is_some() && !seen.complete).count() == count
}

/// An upload that stops in the middle of its body.
async fn stalled(gateway: &Gateway, framing: &str, part: &str) -> Raw {
    let mut client = Raw::connect(gateway.addr()).await;
    let head = format!("POST / HTTP/1.1\r\nhost: gateway.test\r\n{framing}\r\n\r\n{part}");
    assert!(client.send(head).await);
    client
}

const UPLOADS: [(&str, &str); 2] =
    [("content-length: 1000000", "part"), ("transfer-encoding: chunked", "4\r\npart\r\n")];

#[tokio::test]
async fn upload_to_h2c_ends_with_its_early_response() {
    let upstream = Upstream::http2().answer(Stream::Early(413)).start().await;
    let gateway = Gateway::to(&upstream).listener("limits.connections = 4").start().await;
    for round in 1..=3 {
        for (framing, part) in UPLOADS {
            let mut clients = [
                stalled(&gateway, framing, part).await,
                stalled(&gateway, framing, part).await,
                stalled(&gateway, framing, part).await,
                stalled(&gateway, framing, part).await,
            ];
            for client in &mut clients {
                let response = client.answer("POST").await.expect("a response");
                assert_eq!(response.status, 413, "{framing}, round {round}");
                assert!(client.ends_within(PATIENCE).await, "{framing}, round {round}");
            }
        }
        eventually("streams are reset", || upstream.seen(), |seen| all_left(seen, round * 8)).await;
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn stream_to_h2c_ends_with_its_early_response() {
    let upstream = Upstream::http2().answer(Stream::Early(413)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    let mut senders = Vec::new();
    for _ in 0..3 {
        let (sender, body) = Payload::channel();
        sender.send(Ok(http_body::Frame::data("part".into()))).expect("a reader");
        let request = Request::builder().method("POST").uri("/").body(body).expect("a request");
        assert_eq!(client.send(request).await.status, 413);
        senders.push(sender);
    }
    eventually("streams are reset", || upstream.seen(), |seen| all_left(seen, 3)).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn upload_to_h2c_ends_with_the_attempt() {
    let upstream = Upstream::http2().answer(Stream::Hang).start().await;
    let line = "timeouts.attempt = \"300ms\"";
    let gateway = Gateway::to(&upstream).cluster(line).cluster("outlier_detection = \"off\"");
    let gateway = gateway.start().await;
    for (count, (framing, part)) in (1..).zip(UPLOADS) {
        let mut client = stalled(&gateway, framing, part).await;
        let response = client.answer("POST").await.expect("a response");
        assert!(matches!(response.status, 408 | 504), "{framing}: {}", response.status);
        assert!(client.ends_within(PATIENCE).await, "{framing}");
        eventually("the stream is reset", || upstream.seen(), |seen| all_left(seen, count)).await;
    }
    gateway.assert_quiet().await;
}
