//! Slow and stalled uploads: the client's failure, and nobody else's.

use std::time::Duration;

use bytes::Bytes;
use gateway_tests::{Answer, Client, Gateway, Payload, Reply, Stream, Upstream};
use http::Request;
use http_body::Frame;

const SOME: usize = 6;

/// An upstream of each protocol, that reads the body and responds.
async fn upstreams() -> [Upstream; 2] {
    [
        Upstream::http1().script(|_| Answer::ok("taken")).start().await,
        Upstream::http2().script(|_| Stream::ok("taken")).start().await,
    ]
}

fn clients(gateway: &Gateway) -> [Client; 2] {
    [Client::http1(gateway.addr()), Client::http2(gateway.addr())]
}

fn upload(body: Payload) -> Request<Payload> {
    Request::post("/upload").body(body).expect("a request")
}

fn piece() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(b"abc"))
}

/// Sends three bytes, and nothing more before the response.
async fn stalls(client: &mut Client) -> Reply {
    let (sender, body) = Payload::channel();
    sender.send(Ok(piece())).expect("a reader");
    let reply = client.send(upload(body)).await;
    drop(sender);
    reply
}

/// Sends a piece every 100 ms, for twice as long as an attempt may take.
async fn is_slow(client: &mut Client) -> Reply {
    let (sender, body) = Payload::channel();
    let sending = async move {
        for _ in 0..SOME {
            // An early response ends the upload.
            let _ = sender.send(Ok(piece()));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(client.send(upload(body)), sending).0
}

#[tokio::test]
async fn stalled_uploads_are_the_clients_failure() {
    for upstream in upstreams().await {
        for limit in ["policy.timeout = \"300ms\"", ""] {
            let gateway = Gateway::to(&upstream)
                .with_admin()
                .listener("timeouts.body_idle = \"60s\"")
                .cluster("timeouts.idle = \"300ms\"")
                .cluster("outlier_detection = { consecutive_failures = 2 }")
                .cluster("circuit_breaker = { consecutive_failures = 2, min_requests = 2 }");
            let gateway = match limit {
                "" => gateway.start().await,
                _ => gateway.timeout("300ms").start().await,
            };
            for mut client in clients(&gateway) {
                for _ in 0..3 {
                    let reply = stalls(&mut client).await;
                    reply.assert_by_gateway(&[408]);
                    assert_eq!(reply.reason().as_deref(), Some("request_timeout"), "{reply:?}");
                }
            }
            let cluster = gateway.admin().cluster("upstream").await;
            let breaker = &cluster["circuit_breaker"];
            assert!(breaker["state"] == "closed" && breaker["failures"] == 0, "{cluster}");
            for mut client in clients(&gateway) {
                client.get("/").await.assert_ok("taken");
            }
            gateway.assert_quiet_without_healing().await;
        }
    }
}

#[tokio::test]
async fn attempt_clock_stands_still_for_the_client() {
    for upstream in upstreams().await {
        let gateway = Gateway::to(&upstream)
            .timeout("20s")
            .cluster("timeouts = { attempt = \"300ms\", response_head = \"300ms\" }")
            .start()
            .await;
        for mut client in clients(&gateway) {
            is_slow(&mut client).await.assert_ok("taken");
        }
        gateway.assert_quiet_without_healing().await;
    }
}

#[tokio::test]
async fn slow_upstream_is_blamed_once_it_has_the_upload() {
    let upstreams = [
        Upstream::http1().script(|_| Answer::hang()).start().await,
        Upstream::http2().script(|_| Stream::Hang).start().await,
    ];
    for upstream in upstreams {
        for (timeouts, route, reason) in [
            ("attempt = \"300ms\"", "", "attempt_timeout"),
            ("response_head = \"300ms\"", "", "response_head_timeout"),
            (
                "connect = \"3s\"",
                "policy.response_head_timeout = \"300ms\"",
                "response_head_timeout",
            ),
            ("response_head = \"300ms\"", "policy.response_head_timeout = \"0s\"", "route_timeout"),
        ] {
            let gateway = Gateway::to(&upstream)
                .timeout("2s")
                .cluster(&format!("timeouts = {{ {timeouts} }}\noutlier_detection = \"off\""))
                .route(route)
                .start()
                .await;
            for mut client in clients(&gateway) {
                let reply = is_slow(&mut client).await;
                reply.assert_by_gateway(&[504]);
                assert_eq!(reply.reason().as_deref(), Some(reason), "{timeouts} {route}");
                let reply = client.get("/").await;
                assert_eq!(reply.reason().as_deref(), Some(reason), "{timeouts} {route}");
            }
        }
    }
}
