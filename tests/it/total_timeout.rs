//! The total timeout: what it holds around, and what has none by default.

use std::time::Duration;

use gateway_tests::{Answer, Client, Gateway, Payload, Reply, Stream, Upstream, within};
use http::Request;

use crate::routing::LISTENER;

/// Longer than a busy machine takes, shorter than what hangs in these tests.
const PATIENCE: Duration = Duration::from_secs(15);

/// `alice:wrong`.
const BASIC: &str = "Basic YWxpY2U6d3Jvbmc=";

/// A bcrypt hash of a cost that takes seconds in a debug build.
const COSTLY: &str = "$2y$14$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";

/// A gateway whose route waits for `service` before it forwards, in the way of `kind`.
async fn guarded(kind: &str, service: &Upstream, upstream: &Upstream, policy: &str) -> Gateway {
    let url = service.url();
    let (identity, guard) = match kind {
        "external_auth" => (
            format!(
                "[clusters.service]\nendpoints = [{url:?}]\ntimeouts = {{ attempt = \"60s\" }}"
            ),
            "policy.external_auth = { cluster = \"service\", path = \"/\", timeout = \"60s\" }",
        ),
        "introspection" => (
            format!(
                "[identity.introspection.main]\nurl = \"{url}/introspect\"\n\
                 client_id = \"gateway\"\nclient_secret = \"secret of the gateway\"\n\
                 timeout = \"60s\""
            ),
            "policy.introspection = \"main\"",
        ),
        "delegated" => (
            format!("[identity.delegated.main]\nurl = \"{url}/verify\"\ntimeout = \"60s\""),
            "policy.delegated = \"main\"",
        ),
        _ => (
            format!("[identity.basic.main]\nusers.alice.hash = {COSTLY:?}\njobs = 1"),
            "policy.basic = \"main\"",
        ),
    };
    let text = format!(
        "{LISTENER}\n[clusters.upstream]\nendpoints = [{:?}]\n{identity}\n\
         [[routes]]\nid = \"guarded\"\nmatch = {{ prefix = \"/guarded\" }}\n\
         target = {{ cluster = \"upstream\" }}\n{guard}\n{policy}\n",
        upstream.url(),
    );
    Gateway::document(text).knows(service).knows(upstream).start().await
}

fn request(kind: &str, field: Option<(&str, &str)>) -> Request<Payload> {
    let authorization = if kind == "basic" { BASIC } else { "Bearer token-of-the-test" };
    let request = Request::builder().uri("/guarded").header("host", "a.test");
    let request = request.header("authorization", authorization);
    let request =
        field.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    request.body(Payload::empty()).expect("a request")
}

fn assert_out_of_time(kind: &str, reply: &Reply) {
    reply.assert_by_gateway(&[504]);
    assert_eq!(reply.reason().as_deref(), Some("route_timeout"), "{kind}: {reply:?}");
}

#[tokio::test]
async fn total_holds_around_whatever_waits_before_the_target() {
    for kind in ["external_auth", "introspection", "delegated", "basic"] {
        let service = Upstream::http1().script(|_| Answer::hang()).start().await;
        let upstream = Upstream::http1().start().await;
        let total = "policy.timeout = \"300ms\"";
        let gateway = guarded(kind, &service, &upstream, total).await;
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let reply = within(PATIENCE, kind, client.send(request(kind, None))).await;
            assert_out_of_time(kind, &reply);
        }
        assert!(upstream.seen().is_empty(), "{kind}");
    }
}

#[tokio::test]
async fn client_deadline_holds_without_a_total_of_the_route() {
    for kind in ["external_auth", "introspection", "delegated", "basic"] {
        let service = Upstream::http1().script(|_| Answer::hang()).start().await;
        let upstream = Upstream::http1().start().await;
        let gateway = guarded(kind, &service, &upstream, "").await;
        let mut client = Client::http1(gateway.addr());
        let stated = Some(("x-request-deadline-ms", "200"));
        let reply = within(PATIENCE, kind, client.send(request(kind, stated))).await;
        assert_out_of_time(kind, &reply);
    }
}

#[tokio::test]
async fn no_total_cuts_a_response_that_moves() {
    let pieces = ["a", "b", "c", "d", "e", "f"];
    let slow = pieces
        .iter()
        .fold(Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n"), |answer, piece| {
            answer.pause(Duration::from_millis(150)).send(*piece)
        });
    let upstream = Upstream::http1().script(move |_| slow.clone()).start().await;
    for (policy, complete) in [("", true), ("policy.timeout = \"400ms\"", false)] {
        let text = format!(
            "{LISTENER}\n[clusters.upstream]\nendpoints = [{:?}]\n\
             [[routes]]\nid = \"all\"\nmatch = {{ prefix = \"/\" }}\n\
             target = {{ cluster = \"upstream\" }}\n{policy}\n",
            upstream.url(),
        );
        let gateway = Gateway::document(text).knows(&upstream).start().await;
        let reply = Client::http1(gateway.addr()).get("/").await;
        assert_eq!((reply.status, reply.is_complete()), (200, complete), "{policy}: {reply:?}");
    }
}

#[tokio::test]
async fn default_body_limit_exempts_grpc() {
    let upstream = Upstream::http2().script(|_| Stream::ok("taken")).start().await;
    for (policy, content_type, status) in [
        ("", "application/grpc", 200),
        ("", "application/octet-stream", 413),
        ("policy.body_limit = \"1MiB\"", "application/octet-stream", 413),
    ] {
        let gateway = Gateway::to(&upstream).timeout("60s").route(policy).start().await;
        let request = Request::post("/").header("content-type", content_type);
        let body = Payload::unsized_pattern(11 * 1024 * 1024);
        let sent = Client::http2(gateway.addr()).send(request.body(body).expect("a request")).await;
        assert_eq!(sent.status, status, "{content_type}: {sent:?}");
    }
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1MiB\"").start().await;
    let request = Request::post("/").header("content-type", "application/grpc");
    let body = Payload::unsized_pattern(2 * 1024 * 1024);
    let sent = Client::http2(gateway.addr()).send(request.body(body).expect("a request")).await;
    assert_eq!(sent.header("grpc-status"), Some("8"), "{sent:?}");
}
