//! CORS through sockets (contract 2 and 4): as a browser asks, and as nobody honest does.

use gateway_tests::{
    Answer, Client, FRESH, Failures, Gateway, GatewayBuilder, Payload, Raw, Reply, Upstream,
};
use http::Request;

use crate::routing::{LISTENER, says};

const APP: &str = "https://app.example.com";

/// A policy with everything that can be said.
const CORS: &str = "policy.cors = { allow_origins = [\"https://*.example.com\", \
    \"http://localhost:3000\"], allow_methods = [\"GET\", \"PUT\"], \
    allow_headers = [\"content-type\", \"authorization\"], expose_headers = [\"etag\"], \
    allow_credentials = true, max_age = \"5m\" }";

type Lines<'l> = &'l [(&'l str, &'l str)];

async fn ask(client: &mut Client, method: &str, path: &str, lines: Lines<'_>) -> Reply {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    client.send(request.body(Payload::empty()).expect("a request")).await
}

async fn preflight(client: &mut Client, path: &str, origin: &str, method: &str) -> Reply {
    let lines = [("origin", origin), ("access-control-request-method", method)];
    ask(client, "OPTIONS", path, &lines).await
}

fn cors_fields(reply: &Reply) -> Vec<&str> {
    let names = reply.headers.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.starts_with("access-control-")).collect()
}

fn clients(gateway: &Gateway) -> [Client; 2] {
    [Client::http1(gateway.addr()), Client::http2(gateway.addr())]
}

fn builder(text: &str) -> GatewayBuilder {
    // What every gateway is asked at the end, where no upstream answers it.
    let fresh = says("fresh", &format!("{{ path = {FRESH:?} }}"));
    Gateway::document(format!("{LISTENER}{text}{fresh}"))
}

#[tokio::test]
async fn a_preflight_never_reaches_the_upstream() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).route(CORS).start().await;
    for mut client in clients(&gateway) {
        let lines = [
            ("origin", APP),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let reply = ask(&mut client, "OPTIONS", "/orders", &lines).await;
        assert_eq!((reply.status, reply.text().as_str()), (204, ""), "{reply:?}");
        assert!(reply.is_by_gateway() && reply.is_complete(), "{reply:?}");
        for (name, value) in [
            ("access-control-allow-origin", APP),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "content-type, authorization"),
            ("access-control-max-age", "300"),
            ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ] {
            assert_eq!(reply.header_all(name), [value], "{name}");
        }
    }
    assert!(upstream.seen_for("/orders").is_empty());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_rejected_preflight_has_no_cors_field_and_says_why() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).route(CORS).start().await;
    let mut failures = Failures::new();
    for mut client in clients(&gateway) {
        for (origin, method) in [
            ("https://example.com", "GET"),
            ("https://app.example.com.evil.com", "GET"),
            ("https://evil-example.com", "GET"),
            ("https://app.example.com:8443", "GET"),
            ("https://app.example.com.", "GET"),
            ("https://user@app.example.com", "GET"),
            ("https://APP.example.com", "GET"),
            ("http://app.example.com", "GET"),
            ("http://localhost", "GET"),
            ("null", "GET"),
            (APP, "DELETE"),
            (APP, "put"),
        ] {
            let reply = preflight(&mut client, "/orders", origin, method).await;
            let good = reply.is_rejection(&[403])
                && reply.reason().as_deref() == Some("preflight_rejected")
                && cors_fields(&reply).is_empty()
                && reply.header("vary").is_some_and(|vary| vary.starts_with("Origin"));
            failures.check(good, || format!("{origin} {method}: {reply:?}"));
        }
    }
    failures.assert_none();
    assert!(upstream.seen_for("/orders").is_empty());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn two_origins_are_nobodys() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream).route(CORS).start().await;
    for origins in [
        format!("Origin: {APP}\r\nOrigin: {APP}\r\n"),
        format!("Origin: {APP}\r\nOrigin: https://evil.com\r\n"),
        format!("Origin: {APP} https://evil.com\r\n"),
        format!("Origin: {APP}, {APP}\r\n"),
        "Origin: https://\u{e4}.example.com\r\n".to_owned(),
    ] {
        let asks = "Access-Control-Request-Method: GET\r\n";
        for (method, extra, status) in [("GET", "", 200), ("OPTIONS", asks, 403)] {
            let mut raw = Raw::connect(gateway.addr()).await;
            let head = format!("{method} / HTTP/1.1\r\nHost: gateway.test\r\n{origins}{extra}\r\n");
            raw.send(head).await;
            let answer = raw.answer(method).await.expect("an answer");
            assert_eq!(answer.status, status, "{origins:?}: {answer:?}");
            let mut names = answer.headers.iter().map(|(name, _)| name);
            assert!(!names.any(|name| name.starts_with("access-control-")), "{answer:?}");
        }
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_gateway_alone_says_who_may_read_an_answer() {
    let answer = Answer::ok("hello")
        .header("access-control-allow-origin", "*")
        .header("access-control-allow-credentials", "true")
        .header("access-control-expose-headers", "x-secret")
        .header("vary", "Accept-Encoding");
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).route(CORS).start().await;
    for mut client in clients(&gateway) {
        let reply = ask(&mut client, "GET", "/", &[("origin", APP)]).await;
        reply.assert_ok("hello");
        for (name, value) in [
            ("access-control-allow-origin", APP),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "etag"),
            ("vary", "Accept-Encoding, Origin"),
        ] {
            assert_eq!(reply.header_all(name), [value], "{name}");
        }
        for lines in [&[][..], &[("origin", "https://evil.com")], &[("origin", "null")]] {
            let reply = ask(&mut client, "GET", "/", lines).await;
            reply.assert_ok("hello");
            assert!(cors_fields(&reply).is_empty(), "{reply:?}");
            assert_eq!(reply.header_all("vary"), ["Accept-Encoding, Origin"]);
        }
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn failures_of_the_gateway_are_readable_for_scripts() {
    let upstream = Upstream::rejecting();
    let gateway = Gateway::to(&upstream)
        .route(CORS)
        .route("policy.body_limit = \"1KiB\"")
        .route("policy.content_types = [\"application/json\"]")
        .start()
        .await;
    for mut client in clients(&gateway) {
        let post = |length: usize, kind: &str| {
            let request = Request::builder().method("POST").uri("/").header("origin", APP);
            let request = request.header("content-type", kind);
            request.body(Payload::from("x".repeat(length))).expect("a request")
        };
        for (request, statuses) in [
            (post(10, "application/json"), &[502, 503][..]),
            (post(2_000, "application/json"), &[413]),
            (post(10, "text/plain"), &[415]),
        ] {
            let reply = client.send(request).await;
            reply.assert_by_gateway(statuses);
            assert_eq!(reply.header_all("access-control-allow-origin"), [APP]);
            assert_eq!(reply.header_all("access-control-allow-credentials"), ["true"]);
            assert_eq!(reply.header_all("vary"), ["Origin"]);
        }
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_preflight_is_matched_as_the_method_it_asks_for() {
    let cors = "policy.cors = { allow_origins = [\"*\"], allow_methods = \"*\" }\n";
    let gateway = builder(
        &[
            says("read", "{ path = \"/a\", methods = [\"GET\"] }") + cors,
            says("write", "{ path = \"/a\", methods = [\"PUT\"] }"),
            says("own", "{ path = \"/b\", methods = [\"OPTIONS\"] }"),
            says("both", "{ path = \"/c\", methods = [\"POST\", \"OPTIONS\"] }") + cors,
        ]
        .concat(),
    )
    .start()
    .await;
    for mut client in clients(&gateway) {
        let read = preflight(&mut client, "/a", APP, "GET").await;
        assert_eq!(read.status, 204, "{read:?}");
        assert_eq!(read.header("access-control-allow-origin"), Some("*"));
        let write = preflight(&mut client, "/a", APP, "PUT").await;
        assert_eq!(write.status, 405, "no CORS there, and no OPTIONS: {write:?}");
        assert_eq!(write.header("allow"), Some("GET, PUT"));
        assert!(cors_fields(&write).is_empty(), "{write:?}");
        let own = preflight(&mut client, "/b", APP, "PUT").await;
        assert_eq!((own.status, own.text().as_str()), (200, "own"), "its own preflights");
        assert_eq!(preflight(&mut client, "/c", APP, "POST").await.status, 204);
        assert_eq!(preflight(&mut client, "/c", APP, "PUT").await.status, 405);
        let plain = ask(&mut client, "OPTIONS", "/c", &[("origin", APP)]).await;
        assert_eq!((plain.status, plain.text().as_str()), (200, "both"), "no preflight");
    }
}

/// A broken preflight is an ordinary request: nobody gets round a policy by asking wrongly.
#[tokio::test]
async fn what_only_looks_like_a_preflight_is_treated_as_any_request() {
    let cors = "policy.cors = { allow_origins = [\"*\"], allow_methods = \"*\" }\n";
    let all = says("all", "{ prefix = \"/\" }") + cors + "policy.methods = [\"GET\"]\n";
    let gateway = builder(&all).start().await;
    let mut client = Client::http1(gateway.addr());
    assert_eq!(preflight(&mut client, "/", APP, "GET").await.status, 204);
    let asks = ("access-control-request-method", "GET");
    for lines in [
        &[("origin", APP)][..],
        &[asks],
        &[("origin", APP), asks, asks],
        &[("origin", APP), ("access-control-request-method", "G T")],
    ] {
        let reply = ask(&mut client, "OPTIONS", "/", lines).await;
        reply.assert_by_gateway(&[405]);
        assert_eq!(reply.header("allow"), Some("GET"));
    }
}

#[tokio::test]
async fn a_document_that_lets_every_site_in_with_credentials_does_not_start() {
    let upstream = Upstream::http1().start().await;
    for origins in ["\"*\"", "\"https://*\"", "\"null\""] {
        let cors =
            format!("policy.cors = {{ allow_origins = [{origins}], allow_credentials = true }}");
        let (status, said) = Gateway::to(&upstream).route(&cors).rejected().await;
        assert!(!status.success());
        assert!(said.contains("every site could act as its visitor"), "{said}");
    }
}

#[tokio::test]
async fn preflights_need_no_credentials_and_are_not_counted() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let identity = "[identity.jwt.house]\nissuer = \"house\"\naudience = \"orders\"\n\
        algorithms = \"HS256\"\nkeys = { secret = \"a secret of 32 bytes or more, for tests\" }";
    let limit = "policy.rate_limit = { limit = 1, per = \"1h\", burst = 1, key = [\"ip\"] }\n";
    let route = |id: &str, policy: &str| {
        format!(
            "[[routes]]\nid = {id:?}\nmatch = {{ path = \"/{id}\" }}\n\
             target = {{ cluster = \"up\" }}\n{CORS}\n{policy}"
        )
    };
    let cluster = format!("[clusters.up]\nendpoints = [{:?}]\n", upstream.url());
    let closed = route("closed", "policy.jwt = \"house\"\n");
    let counted = route("counted", &format!("policy.public = true\n{limit}"));
    let gateway = builder(&format!("{cluster}{identity}\n{closed}{counted}")).start().await;
    let mut client = Client::http1(gateway.addr());
    for path in ["/closed", "/counted"] {
        for _ in 0..5 {
            assert_eq!(preflight(&mut client, path, APP, "GET").await.status, 204, "{path}");
        }
    }
    let mut last = None;
    for _ in 0..4 {
        last = Some(ask(&mut client, "GET", "/counted", &[("origin", APP)]).await);
    }
    let rejected = ask(&mut client, "GET", "/closed", &[("origin", APP)]).await;
    for (reply, status) in [(rejected, 401), (last.expect("an answer"), 429)] {
        reply.assert_by_gateway(&[status]);
        assert_eq!(reply.header_all("access-control-allow-origin"), [APP], "{reply:?}");
        assert_eq!(reply.header_all("vary"), ["Origin"], "{reply:?}");
    }
}
