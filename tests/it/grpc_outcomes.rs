//! gRPC calls that fail inside of a response with the status 200: breaker, ejection, retry, metrics
//! and log go by their own status.

use std::time::Duration;

use bytes::Bytes;
use gateway_tests::{
    Client, Gateway, Headers, Payload, Seen, Stream, Upstream, eventually, get, within,
};
use http::Request;

const PATIENCE: Duration = Duration::from_secs(5);
const EJECTION_OFF: &str = "outlier_detection = \"off\"";

fn fields(lines: &[(&str, &str)]) -> Headers {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The status in the head of a response that is nothing else.
fn in_head(status: &str) -> Stream {
    let lines = [("content-type", "application/grpc"), ("grpc-status", status)];
    Stream::Reply(200, fields(&lines), Bytes::new())
}

/// The status behind `message`.
fn in_trailers(message: &'static str, status: &str) -> Stream {
    Stream::Trailers(message.into(), fields(&[("grpc-status", status)]))
}

/// Answers `/shop.Orders/head-14` with the status 14 in the head, and so on.
fn by_target(seen: &Seen) -> Stream {
    let wanted = seen.target.rsplit('/').next().unwrap_or_default();
    match wanted.split_once('-') {
        Some(("head", status)) => in_head(status),
        Some(("trailers", status)) => in_trailers("", status),
        Some(("message", status)) => in_trailers("\0\0\0\0\0", status),
        _ => in_trailers("\0\0\0\0\0", "0"),
    }
}

async fn upstream() -> Upstream {
    Upstream::http2().script(by_target).start().await
}

fn call(method: &str) -> Request<Payload> {
    Request::post(format!("/shop.Orders/{method}"))
        // The case of a media type means nothing.
        .header("content-type", "Application/gRPC+proto")
        .header("te", "trailers")
        .body("\0\0\0\0\0".into())
        .expect("a request")
}

#[tokio::test]
async fn failed_status_opens_breaker() {
    for method in ["head-14", "trailers-13", "trailers-4", "message-8", "message-15"] {
        let upstream = upstream().await;
        let gateway = Gateway::to(&upstream)
            .cluster(EJECTION_OFF)
            .cluster("circuit_breaker = { consecutive_failures = 3, open = \"60s\" }")
            .start()
            .await;
        let mut client = Client::http2(gateway.addr());
        for _ in 0..3 {
            let reply = client.send(call(method)).await;
            assert!(!reply.is_by_gateway(), "{method}: {reply:?}");
        }
        let reply = client.send(call(method)).await;
        let why = reply.header("proxy-status").unwrap_or_default();
        assert!(why.contains("circuit_open"), "{method}: {reply:?}");
        assert_eq!(upstream.seen().len(), 3, "{method}");
    }
}

#[tokio::test]
async fn client_status_blames_no_upstream() {
    let (upstream, other) = (upstream().await, upstream().await);
    let gateway = Gateway::to(&upstream)
        .and(&other)
        .with_admin()
        .cluster("outlier_detection = { consecutive_failures = 3, base_ejection_time = \"60s\" }")
        .cluster("circuit_breaker = { consecutive_failures = 3, open = \"60s\" }")
        .start()
        .await;
    let mut client = Client::http2(gateway.addr());
    for status in [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 12, 16, 99] {
        for place in ["head", "trailers", "message"] {
            for _ in 0..4 {
                let reply = client.send(call(&format!("{place}-{status}"))).await;
                assert!(!reply.is_by_gateway(), "{place} {status}: {reply:?}");
            }
        }
    }
    for upstream in [&upstream, &other] {
        let shown = gateway.admin().endpoint("upstream", &upstream.url()).await;
        assert!(shown["ejected"].is_null(), "{shown}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn other_requests_go_by_http_status() {
    let upstream = upstream().await;
    let gateway = Gateway::to(&upstream)
        .cluster(EJECTION_OFF)
        .cluster("circuit_breaker = { consecutive_failures = 3, open = \"60s\" }")
        .start()
        .await;
    let mut client = Client::http2(gateway.addr());
    for _ in 0..6 {
        for target in ["/shop.Orders/head-14", "/shop.Orders/trailers-14"] {
            let reply = client.post(target, "no call").await;
            assert!(!reply.is_by_gateway(), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn failed_status_ejects_endpoint() {
    for method in ["head-14", "trailers-14"] {
        let failing = Upstream::http2().script(by_target).start().await;
        let well = Upstream::http2().answer(in_trailers("\0\0\0\0\0", "0")).start().await;
        let gateway = Gateway::to(&failing)
            .and(&well)
            .with_admin()
            .cluster("balance = \"round_robin\"")
            .cluster(
                "outlier_detection = { consecutive_failures = 3, base_ejection_time = \"60s\" }",
            )
            .start()
            .await;
        let mut client = Client::http2(gateway.addr());
        for _ in 0..6 {
            client.send(call(method)).await;
        }
        let shown = gateway.admin().endpoint("upstream", &failing.url()).await;
        assert!(shown["ejected"].is_object(), "{method}: {shown}");
        for _ in 0..6 {
            let reply = client.send(call(method)).await;
            assert_eq!(get(&reply.trailers, "grpc-status"), Some("0"), "{method}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn breaker_closes_with_a_good_probe() {
    let upstream = Upstream::http2()
        .answers(vec![
            in_trailers("", "14"),
            in_trailers("", "14"),
            in_trailers("", "14"),
            in_trailers("\0\0\0\0\0", "0"),
        ])
        .start()
        .await;
    let gateway = Gateway::to(&upstream)
        .with_admin()
        .cluster(EJECTION_OFF)
        .cluster("circuit_breaker = { consecutive_failures = 2, open = \"200ms\", half_open = 1 }")
        .start()
        .await;
    let mut client = Client::http2(gateway.addr());
    let recovery = async {
        loop {
            let reply = client.send(call("any")).await;
            if get(&reply.trailers, "grpc-status") == Some("0") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(PATIENCE, "the breaker closes", recovery).await;
    let shown = gateway.admin().cluster("upstream").await["circuit_breaker"].clone();
    assert_eq!((&shown["state"], &shown["opened"]), (&"closed".into(), &2.into()), "{shown}");
    assert_eq!(upstream.seen().len(), 4, "the first probe failed");
}

#[tokio::test]
async fn retries_status_in_head_only() {
    let policy = "policy.retry = { max_retries = 1, methods = [\"POST\"], statuses = [503, 429], \
                  backoff = { base = \"1ms\", max = \"1ms\" } }";
    for (status, retried) in [("14", true), ("8", true), ("13", false), ("5", false)] {
        let answers = vec![in_head(status), in_trailers("\0\0\0\0\0", "0")];
        let upstream = Upstream::http2().answers(answers).start().await;
        let gateway = Gateway::to(&upstream).cluster(EJECTION_OFF).route(policy).start().await;
        let reply = Client::http2(gateway.addr()).send(call("any")).await;
        assert_eq!(
            get(&reply.trailers, "grpc-status") == Some("0"),
            retried,
            "{status}: {reply:?}"
        );
        assert_eq!(upstream.seen().len(), if retried { 2 } else { 1 }, "{status}");
    }
    let answers = vec![in_trailers("", "14"), in_trailers("", "0")];
    let upstream = Upstream::http2().answers(answers).start().await;
    let gateway = Gateway::to(&upstream).cluster(EJECTION_OFF).route(policy).start().await;
    let reply = Client::http2(gateway.addr()).send(call("any")).await;
    assert_eq!(get(&reply.trailers, "grpc-status"), Some("14"), "{reply:?}");
    assert_eq!(upstream.seen().len(), 1, "a response that has begun is not taken back");
}

fn handled(method: &str, code: &str) -> String {
    let (service, method) = method.split_once('/').unwrap_or((method, method));
    format!(
        "grpc_server_handled_total{{grpc_type=\"unknown\",grpc_service={service:?},\
         grpc_method={method:?},grpc_code={code:?}}}"
    )
}

#[tokio::test]
async fn metrics_and_log_name_the_status() {
    let upstream = upstream().await;
    let gateway = Gateway::to(&upstream).with_admin().cluster(EJECTION_OFF).start().await;
    let mut client = Client::http2(gateway.addr());
    for method in ["head-14", "trailers-14", "message-4", "fine", "fine", "trailers-12"] {
        client.send(call(method)).await;
    }
    client.post("/shop.Orders/fine", "no call").await;
    for number in 0..20 {
        // What is made up has no series of its own.
        let mut request = call("trailers-12");
        *request.uri_mut() = format!("/made-up-{number}/trailers-12").parse().expect("a target");
        client.send(request).await;
    }
    let admin = gateway.admin();
    let scrape = admin.counted(&handled("(others)", "Unimplemented"), 21.0).await;
    scrape.assert(&handled("shop.Orders/head-14", "Unavailable"), 1.0);
    scrape.assert(&handled("shop.Orders/trailers-14", "Unavailable"), 1.0);
    scrape.assert(&handled("shop.Orders/message-4", "DeadlineExceeded"), 1.0);
    scrape.assert(&handled("shop.Orders/fine", "OK"), 2.0);
    let seconds = handled("shop.Orders/fine", "OK")
        .replace("grpc_server_handled_total", "grpc_server_handling_seconds_count");
    scrape.assert(&seconds, 2.0);
    let attempts = |outcome: &str| {
        format!("gateway_upstream_attempts_total{{cluster=\"upstream\",outcome={outcome:?}}}")
    };
    scrape.assert(&attempts("grpc_unavailable"), 2.0);
    scrape.assert(&attempts("grpc_deadline_exceeded"), 1.0);
    scrape.assert(&attempts("grpc_unimplemented"), 21.0);
    let text = admin.get("/metrics").await.text();
    assert!(!text.contains("made-up"), "{text}");
    let log = gateway.log();
    for line in [
        "path=/shop.Orders/head-14 status=200 grpc_status=14 ",
        "path=/shop.Orders/trailers-14 status=200 grpc_status=14 ",
        "path=/shop.Orders/fine status=200 grpc_status=0 ",
        "path=/shop.Orders/fine status=200 route=",
    ] {
        assert!(log.contains(line), "no {line:?} in\n{log}");
    }
}

#[tokio::test]
async fn own_failures_and_hasty_clients_are_counted() {
    let upstream = Upstream::http2()
        .script(|seen| match seen.target.as_str() {
            "/shop.Orders/hang" => Stream::Hang,
            _ => in_trailers("\0\0\0\0\0", "0"),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).with_admin().timeout("300ms").start().await;
    let mut client = Client::http2(gateway.addr());
    client.send(call("fine")).await;
    let reply = client.send(call("hang")).await;
    assert_eq!(reply.header("grpc-status"), Some("4"), "{reply:?}");
    client.connect().await;
    let mut leaving = client.neighbour();
    let leaves = tokio::spawn(async move { leaving.send(call("hang")).await });
    let arrived = || upstream.seen().len();
    eventually("the last call upstream", arrived, |seen| *seen == 3).await;
    leaves.abort();
    let admin = gateway.admin();
    admin.counted(&handled("(others)", "Canceled"), 1.0).await;
    let scrape = admin.counted(&handled("(others)", "DeadlineExceeded"), 1.0).await;
    scrape.assert(&handled("shop.Orders/fine", "OK"), 1.0);
}
