//! Clients that leave before their response begins: log, metrics and audit say so, and what the
//! upstream had to do with it.

use std::time::Duration;

use gateway_tests::{
    Answer, Client, Gateway, Payload, Raw, Upstream, eventually, eventually_within, within,
};
use http_body::Frame;

const SOON: Duration = Duration::from_secs(5);
const HOST: &str = "Host: gateway.test\r\n\r\n";

async fn hanging() -> (Upstream, Gateway) {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = Gateway::to(&upstream).with_admin().timeout("30s").start().await;
    (upstream, gateway)
}

async fn arrived(upstream: &Upstream, requests: usize) {
    let count = || upstream.seen().len();
    eventually("requests upstream", count, |count| *count == requests).await;
}

/// The line of the access log about `path`, once it is there.
async fn line(gateway: &Gateway, path: &str) -> String {
    let wanted = format!(" path={path} ");
    let found = || {
        let log = gateway.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&wanted)).collect();
        lines.join("\n")
    };
    eventually_within(SOON, path, found, |found| !found.is_empty()).await
}

#[track_caller]
fn assert_gone(line: &str, upstream: &Upstream) {
    let endpoint = format!("cluster=upstream endpoint={} attempts=1 ", upstream.url());
    for part in ["status=499 reason=client_gone ", &endpoint, " bytes=0 end=dropped "] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains("head_ms="), "{line}");
}

async fn assert_counted(gateway: &Gateway, method: &str, count: f64) {
    let admin = gateway.admin();
    let failures = "gateway_failures_total{route=\"all\",reason=\"client_gone\"}";
    let scrape = admin.counted(failures, count).await;
    let requests = format!("http_requests_total{{route=\"all\",method={method:?},status=\"499\"}}");
    scrape.assert(&requests, count);
    let attempts = "gateway_upstream_attempts_total{cluster=\"upstream\",outcome=\"client_gone\"}";
    scrape.assert(attempts, count);
}

#[tokio::test]
async fn http1_client_gone_is_logged_and_counted() {
    let (upstream, gateway) = hanging().await;
    for (number, reset) in [false, true].into_iter().enumerate() {
        let path = format!("/left-{reset}");
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("GET {path} HTTP/1.1\r\n{HOST}")).await;
        arrived(&upstream, number + 1).await;
        if reset {
            raw.reset();
        } else {
            drop(raw);
        }
        assert_gone(&line(&gateway, &path).await, &upstream);
    }
    assert_counted(&gateway, "GET", 2.0).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn http2_client_gone_is_logged_and_counted() {
    let (upstream, gateway) = hanging().await;
    for (number, whole_connection) in [false, true].into_iter().enumerate() {
        let path = format!("/left-{whole_connection}");
        let mut client = Client::http2(gateway.addr());
        client.connect().await;
        let mut other = client.neighbour();
        let asked = path.clone();
        let asking = tokio::spawn(async move { other.get(&asked).await });
        arrived(&upstream, number + 1).await;
        if whole_connection {
            drop(client);
        }
        asking.abort();
        assert_gone(&line(&gateway, &path).await, &upstream);
    }
    assert_counted(&gateway, "GET", 2.0).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn broken_upload_over_http1_is_not_complete() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).with_admin().timeout("30s").start().await;
    for reset in [false, true] {
        let path = format!("/upload-{reset}");
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("POST {path} HTTP/1.1\r\nContent-Length: 1000\r\n{HOST}half")).await;
        let found = || upstream.seen().iter().any(|seen| seen.target == path);
        eventually("the upload upstream", found, |found| *found).await;
        if reset {
            raw.reset();
        } else {
            drop(raw);
        }
        let line = line(&gateway, &path).await;
        assert!(line.contains("status=499 reason=client_gone "), "{line}");
        assert!(line.contains(" attempts=1 ") && line.contains(" end=dropped "), "{line}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn broken_upload_over_http2_is_not_complete() {
    for upstream in [Upstream::http1().start().await, Upstream::http2().start().await] {
        let gateway = Gateway::to(&upstream).with_admin().timeout("30s").start().await;
        let mut client = Client::http2(gateway.addr());
        client.connect().await;
        let (sender, body) = Payload::channel();
        sender.send(Ok(Frame::data("half of it".into()))).expect("a receiver");
        let mut other = client.neighbour();
        let asking = tokio::spawn(async move { other.post("/upload", body).await });
        arrived(&upstream, 1).await;
        sender.send(Err(std::io::Error::other("left"))).expect("a receiver");
        let line = line(&gateway, "/upload").await;
        assert!(line.contains("status=499 reason=client_gone "), "{line}");
        assert!(line.contains(" end=dropped "), "{line}");
        assert!(!asking.await.expect("no panic").is_complete());
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn client_gone_is_audited() {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let receiver = Upstream::http1().answer(Answer::status(204, "")).start().await;
    let audit = format!(
        "[audit.http]\nurl = \"{}/events\"\ninterval = \"10ms\"\ntimeout = \"1s\"\n",
        receiver.url()
    );
    let gateway = Gateway::to(&upstream).more(&audit).timeout("30s").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!("GET /left HTTP/1.1\r\n{HOST}")).await;
    arrived(&upstream, 1).await;
    drop(raw);
    let told = || {
        let seen = receiver.seen();
        let bodies = seen.iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned());
        bodies.collect::<String>()
    };
    let told = eventually_within(SOON, "an event", told, |told| told.contains("/left")).await;
    for part in ["\"kind\":\"request\"", "\"reason\":\"client_gone\"", "\"status\":499"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn end_of_drain_is_no_client_gone() {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = Gateway::to(&upstream)
        .timeout("60s")
        .more("[drain]\nlame_duck = \"0s\"\ntimeout = \"300ms\"")
        .start()
        .await;
    let mut asking = tokio::task::JoinSet::new();
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        asking.spawn(async move { client.get("/cut").await });
    }
    arrived(&upstream, 2).await;
    gateway.signal("TERM");
    gateway.ended_within(SOON).await;
    within(SOON, "ends", asking.join_all()).await;
    let log = gateway.log();
    assert_eq!(log.matches("path=/cut status=503 reason=shut_down ").count(), 2, "{log}");
    assert!(!log.contains("client_gone"), "{log}");
}
