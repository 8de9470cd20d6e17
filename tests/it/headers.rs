//! Names that belong to the gateway (hardening 21, 59, class A5).

use gateway_tests::{Client, Failures, Gateway, Payload, Raw, Seen, Upstream};
use http::Request;

const EVIL: &str = "evil-7f3a";

const OWNED: &[&str] = &[
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-anything",
    "forwarded",
    "x-request-id",
    "x-gateway-origin",
    "x-gateway-anything",
];

fn evil_in(seen: &Seen) -> Option<String> {
    let lines = seen.headers.iter().chain(&seen.trailers);
    let mut evil = lines.filter(|(_, value)| value.contains(EVIL));
    evil.next().map(|(name, value)| format!("{name}: {value}"))
}

/// The spellings of one name.
fn spellings(name: &str) -> Vec<String> {
    vec![name.to_owned(), name.to_uppercase(), name.replace('-', "_"), name.replacen('-', "_", 1)]
}

#[tokio::test]
async fn owned_names_do_not_pass_as_fields() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    for name in OWNED {
        for spelling in spellings(name) {
            for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
                let request = Request::builder().uri("/").header(spelling.as_str(), EVIL);
                let request = request.header(*name, EVIL).body(Payload::empty());
                let reply = client.send(request.expect("a request")).await;
                failures.check(reply.status == 200, || format!("{spelling}: {reply:?}"));
                let evil = upstream.seen().last().and_then(evil_in);
                failures.check(evil.is_none(), || format!("{spelling}: {evil:?}"));
            }
        }
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn owned_names_do_not_pass_as_trailers() {
    for upstream in [Upstream::http1().start().await, Upstream::http2().start().await] {
        let gateway = Gateway::to(&upstream).start().await;
        let mut failures = Failures::new();
        for name in OWNED {
            for spelling in spellings(name) {
                let mut raw = Raw::connect(gateway.addr()).await;
                raw.send(format!(
                    "POST / HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\
                     Trailer: {spelling}, x-kept\r\n\r\n4\r\nbody\r\n0\r\n\
                     {spelling}: {EVIL}\r\nx-kept: yes\r\n\r\n"
                ))
                .await;
                let answer = raw.answer("POST").await;
                let good = answer.as_ref().is_some_and(|answer| answer.status == 200);
                failures.check(good, || format!("{spelling}: {answer:?}"));
                let evil = upstream.seen().last().and_then(evil_in);
                failures.check(evil.is_none(), || format!("{spelling} over h1: {evil:?}"));
            }
        }
        let trailers = OWNED.iter().map(|name| (*name, EVIL)).chain([("x-kept", "yes")]);
        let trailers: Vec<_> = trailers.collect();
        let body = Payload::with_trailers("body", &trailers);
        let request = Request::post("/").header("trailer", "x-kept").body(body);
        Client::http2(gateway.addr()).send(request.expect("a request")).await.assert_ok("ok");
        let seen = upstream.seen().pop().expect("a request");
        failures.check(evil_in(&seen).is_none(), || format!("over h2: {:?}", evil_in(&seen)));
        failures.check(!seen.trailers.is_empty(), || format!("x-kept was lost: {seen:?}"));
        failures.assert_none();
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_client_cannot_remove_what_the_gateway_says() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let names = "x-forwarded-for, X-Forwarded-Proto, x-forwarded-host, x-request-id, host, close";
    for connection in ["close", names] {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!(
            "GET / HTTP/1.1\r\nHost: gateway.test:8080\r\nConnection: {connection}\r\n\r\n"
        ))
        .await;
        assert_eq!(raw.answer("GET").await.expect("an answer").status, 200, "{connection}");
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.header_all("x-forwarded-for"), ["127.0.0.1"], "{connection}");
        assert_eq!(seen.header_all("x-forwarded-proto"), ["http"], "{connection}");
        assert_eq!(seen.header_all("x-forwarded-host"), ["gateway.test:8080"], "{connection}");
        assert_eq!(seen.header_all("host").len(), 1, "{connection}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn framing_named_in_connection_keeps_the_body_whole() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for (framing, body) in
        [("Content-Length: 4", "body"), ("Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n")]
    {
        let mut raw = Raw::connect(gateway.addr()).await;
        let names = "content-length, transfer-encoding, close";
        raw.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: {names}\r\n{framing}\r\n\r\n{body}"
        ))
        .await;
        let answer = raw.answer("POST").await.expect("an answer");
        let seen = upstream.seen();
        match answer.status {
            200 => assert_eq!(seen.last().expect("a request").body, b"body", "{framing}"),
            status => assert!(status == 400 && seen.is_empty(), "{framing}: {status}"),
        }
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_extended() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream)
        .listener("forwarded = { trusted = [\"127.0.0.0/8\"] }")
        .start()
        .await;
    let request = Request::builder()
        .uri("/")
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "shop.test");
    let request = request.body(Payload::empty()).expect("a request");
    Client::http1(gateway.addr()).send(request).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    let all = seen.header_all("x-forwarded-for").join(", ");
    assert_eq!(all, "203.0.113.9, 127.0.0.1");
    assert_eq!(seen.header_all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.header_all("x-forwarded-host"), ["shop.test"]);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn via_and_origin_are_renamed_or_off() {
    let answer = gateway_tests::Answer::ok("ok").header("x-gateway-origin", "upstream of eve");
    let upstream = Upstream::http1().answer(answer).start().await;
    for (forwarded, via, origin) in [
        ("", Some("gateway"), Some("x-gateway-origin")),
        (
            "forwarded = { via = \"edge.test:8080\", origin = \"x-made-by\" }",
            Some("edge.test:8080"),
            Some("x-made-by"),
        ),
        ("forwarded = { via = \"off\", origin = \"off\" }", None, None),
    ] {
        let gateway = Gateway::to(&upstream).listener(forwarded).start().await;
        for (mut client, version) in
            [(Client::http1(gateway.addr()), "1.1"), (Client::http2(gateway.addr()), "2")]
        {
            let reply = client.get("/").await;
            reply.assert_ok("ok");
            let said = |name| reply.header_all(name);
            match origin {
                Some(name) => assert_eq!(said(name), ["upstream"], "{forwarded}"),
                None => assert_eq!(said("x-made-by").len(), 0),
            }
            assert!(origin == Some("x-gateway-origin") || said("x-gateway-origin").is_empty());
            let seen = upstream.seen().pop().expect("a request");
            let expected = via.map(|name| format!("{version} {name}"));
            assert_eq!(seen.header("via"), expected.as_deref());
            // What the gateway answers itself, before and behind the choice of a route.
            let mut request = Request::builder().uri("/a%2Fb").method("GET");
            if version == "1.1" {
                request = request.header("host", "a.test");
            }
            let request = request.body(Payload::empty()).expect("a request");
            let rejected = client.send(request).await;
            assert_eq!(rejected.status, 400);
            let said = origin.map(|name| rejected.header_all(name));
            assert_eq!(said, origin.map(|_| vec!["gateway"]), "{forwarded}");
            assert!(
                origin == Some("x-gateway-origin") || rejected.header("x-gateway-origin").is_none()
            );
        }
        let mut raw = gateway_tests::Raw::connect(gateway.addr()).await;
        raw.send("no request\r\n\r\n").await;
        let rejected = raw.answer("GET").await.expect("a response");
        let said = gateway_tests::get(&rejected.headers, "x-gateway-origin");
        assert_eq!(said.is_some(), origin == Some("x-gateway-origin"), "{forwarded}");
    }
}

#[tokio::test]
async fn an_upstream_cannot_speak_as_the_gateway() {
    let answer = gateway_tests::Answer::ok("ok")
        .header("x-gateway-origin", "gateway")
        .header("X-Gateway-Origin", "gateway");
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        let reply = client.get("/").await;
        reply.assert_ok("ok");
        assert!(reply.header_all("x-gateway-origin").len() <= 1, "{reply:?}");
    }
    gateway.assert_quiet().await;
}
