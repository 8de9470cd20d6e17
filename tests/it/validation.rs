//! What a route takes at all, and what browsers are told: addresses, methods, media types, requests
//! of other sites, security headers, bodies that are too large.

use std::time::Duration;

use bytes::Bytes;
use gateway_tests::certs::{Authority, ClientTls, Files};
use gateway_tests::{
    Answer, Client, Gateway, Payload, Raw, Reply, Step, StreamSocket, Upstream, WebSocket,
    eventually,
};
use http::Request;
use http_body::Frame;

type Lines<'l> = &'l [(&'l str, &'l str)];

async fn ask(client: &mut Client, method: &str, lines: Lines<'_>, body: &'static str) -> Reply {
    let mut request = Request::builder().method(method).uri("/orders");
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    client.send(request.body(Payload::from(body)).expect("a request")).await
}

fn clients(gateway: &Gateway) -> [Client; 2] {
    [Client::http1(gateway.addr()), Client::http2(gateway.addr())]
}

#[tokio::test]
async fn addresses_that_are_denied_get_no_further() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let cases = [
        ("policy.ip = { deny = [\"127.0.0.0/8\"] }", 403),
        ("policy.ip = { allow = [\"10.0.0.0/8\"] }", 403),
        ("policy.ip = { allow = [\"127.0.0.0/8\"], deny = [\"127.0.0.1\"] }", 403),
        ("policy.ip = { allow = [\"::ffff:127.0.0.0/104\"] }", 200),
        ("policy.ip = { allow = [\"127.0.0.1\"], deny = [\"10.0.0.0/8\"] }", 200),
    ];
    for (policy, status) in cases {
        let before = upstream.seen_for("/orders").len();
        let gateway = Gateway::to(&upstream).route(policy).start().await;
        for mut client in clients(&gateway) {
            // What anybody can send says nothing about where it comes from.
            let spoofed = [("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.1")];
            let reply = ask(&mut client, "GET", &spoofed, "").await;
            assert_eq!(reply.status, status, "{policy}: {reply:?}");
            if status == 403 {
                reply.assert_by_gateway(&[403]);
                assert_eq!(reply.reason().as_deref(), Some("address_denied"));
            }
        }
        let passed = if status == 200 { 2 } else { 0 };
        assert_eq!(upstream.seen_for("/orders").len() - before, passed, "{policy}");
    }
}

#[tokio::test]
async fn the_address_is_the_one_that_trusted_proxies_say() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream)
        .listener("forwarded = { trusted = [\"127.0.0.0/8\"] }")
        .route("policy.ip = { deny = [\"192.0.2.0/24\"] }")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for (said, status) in [
        ("192.0.2.7", 403),
        ("::ffff:192.0.2.7", 403),
        ("198.51.100.1", 200),
        ("198.51.100.1, 192.0.2.7", 403),
        ("192.0.2.7, 198.51.100.1", 200),
    ] {
        let reply = ask(&mut client, "GET", &[("x-forwarded-for", said)], "").await;
        assert_eq!(reply.status, status, "{said}: {reply:?}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn methods_that_are_not_listed_get_405_with_the_list() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let policy = "policy.methods = [\"POST\", \"GET\"]";
    let gateway = Gateway::to(&upstream).route(policy).start().await;
    for mut client in clients(&gateway) {
        ask(&mut client, "GET", &[], "").await.assert_ok("hello");
        ask(&mut client, "POST", &[], "x").await.assert_ok("hello");
        for method in ["PUT", "DELETE", "OPTIONS", "PROPFIND"] {
            let reply = ask(&mut client, method, &[], "").await;
            reply.assert_by_gateway(&[405]);
            assert_eq!(reply.header_all("allow"), ["GET, POST"], "{method}");
        }
    }
    assert_eq!(upstream.seen_for("/orders").len(), 4);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn bodies_of_another_kind_get_415_with_what_is_taken() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let policy = "policy.content_types = [\"application/json\", \"application/*+json\"]";
    let gateway = Gateway::to(&upstream).route(policy).start().await;
    for mut client in clients(&gateway) {
        for lines in [
            &[("content-type", "application/json")][..],
            &[("content-type", "application/problem+JSON; charset=utf-8")],
        ] {
            ask(&mut client, "POST", lines, "{}").await.assert_ok("hello");
        }
        ask(&mut client, "GET", &[], "").await.assert_ok("hello");
        ask(&mut client, "DELETE", &[], "").await.assert_ok("hello");
        for lines in [
            &[][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/json, text/plain")],
            &[("content-type", "application/json"), ("content-type", "text/plain")],
        ] {
            let reply = ask(&mut client, "POST", lines, "{}").await;
            reply.assert_by_gateway(&[415]);
            assert_eq!(reply.reason().as_deref(), Some("media_type_not_allowed"));
            for name in ["accept", "accept-post"] {
                assert_eq!(reply.header_all(name), ["application/json, application/*+json"]);
            }
        }
    }
    gateway.assert_quiet().await;
}

/// A body that says no length is a body.
#[tokio::test]
async fn a_body_of_unknown_length_has_a_kind_too() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let policy = "policy.content_types = [\"application/json\"]";
    let gateway = Gateway::to(&upstream).route(policy).start().await;
    for mut client in clients(&gateway) {
        let reply = client.post("/orders", Payload::unsized_pattern(100)).await;
        reply.assert_by_gateway(&[415]);
    }
    assert!(upstream.seen_for("/orders").is_empty());
    gateway.assert_quiet().await;
}

/// A tunnel has no kind, over HTTP/2 either, where it is the stream of the request.
#[tokio::test]
async fn a_websocket_needs_no_content_type() {
    let echoes = Answer::unread().then(Step::WebSocket(Vec::new()));
    let upstream = Upstream::http1().answer(echoes).start().await;
    let policy = "policy.content_types = [\"application/json\"]";
    let gateway = Gateway::to(&upstream).route(policy).start().await;
    assert!(WebSocket::open(gateway.addr(), "/ws").await.is_ok());
    assert!(StreamSocket::open(gateway.addr(), "/ws").await.is_ok());
}

#[tokio::test]
async fn what_another_site_makes_a_browser_send_is_rejected() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let policy =
        "policy.csrf = { cookies = [\"session\"], trusted_origins = [\"https://app.test\"] }";
    // The host for the upstream is another one than the client asked for.
    let gateway = Gateway::to(&upstream)
        .route(policy)
        .route("rewrite = { host = \"inner.test\" }")
        .start()
        .await;
    let cookie = ("cookie", "a=b; session=1");
    for mut client in clients(&gateway) {
        for lines in [
            &[cookie, ("sec-fetch-site", "same-origin")][..],
            &[cookie, ("sec-fetch-site", "none")],
            &[cookie, ("sec-fetch-site", "cross-site"), ("origin", "https://app.test")],
            &[cookie, ("origin", "http://gateway.test")],
            &[cookie, ("referer", "http://gateway.test/cart")],
            &[("cookie", "a=b"), ("sec-fetch-site", "cross-site")],
            &[],
        ] {
            ask(&mut client, "POST", lines, "x").await.assert_ok("hello");
        }
        let before = upstream.seen_for("/orders").len();
        for lines in [
            &[cookie][..],
            &[cookie, ("sec-fetch-site", "cross-site")],
            &[cookie, ("sec-fetch-site", "same-site")],
            &[cookie, ("origin", "http://evil.test")],
            &[cookie, ("origin", "https://gateway.test")],
            &[cookie, ("origin", "http://gateway.test.evil.test")],
            &[cookie, ("origin", "http://inner.test")],
            &[cookie, ("origin", "null")],
            &[cookie, ("referer", "http://evil.test/http://gateway.test/")],
        ] {
            let reply = ask(&mut client, "POST", lines, "x").await;
            reply.assert_by_gateway(&[403]);
            assert_eq!(reply.reason().as_deref(), Some("cross_site"), "{lines:?}");
        }
        assert_eq!(upstream.seen_for("/orders").len(), before);
        ask(&mut client, "GET", &[cookie, ("sec-fetch-site", "cross-site")], "")
            .await
            .assert_ok("hello");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_script_of_another_site_opens_no_websocket() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream).route("policy.csrf = true").start().await;
    let mut client = Client::http1(gateway.addr());
    let lines = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("origin", "https://evil.test"),
    ];
    let reply = ask(&mut client, "GET", &lines, "").await;
    reply.assert_by_gateway(&[403]);
    assert!(upstream.seen_for("/orders").is_empty());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn security_headers_are_on_every_answer_of_the_route() {
    let answer = Answer::ok("hello")
        .header("referrer-policy", "no-referrer")
        .header("server", "upstream")
        .header("x-powered-by", "upstream");
    let upstream = Upstream::http1().answer(answer).start().await;
    let gateway = Gateway::to(&upstream)
        .route("policy.security_headers = { hide_server = true }")
        .route("policy.methods = [\"GET\"]")
        .start()
        .await;
    for mut client in clients(&gateway) {
        let (passed, rejected) =
            (ask(&mut client, "GET", &[], "").await, ask(&mut client, "PUT", &[], "").await);
        passed.assert_ok("hello");
        rejected.assert_by_gateway(&[405]);
        for reply in [&passed, &rejected] {
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("cross-origin-opener-policy", "same-origin"),
            ] {
                assert_eq!(reply.header_all(name), [value], "{name}");
            }
            // Over plain HTTP it says nothing (RFC 6797, 7.2).
            for name in ["strict-transport-security", "server", "x-powered-by"] {
                assert_eq!(reply.header(name), None, "{name}");
            }
        }
        assert_eq!(passed.header_all("referrer-policy"), ["no-referrer"]);
        assert_eq!(rejected.header_all("referrer-policy"), ["strict-origin-when-cross-origin"]);
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn hsts_is_said_where_a_trusted_proxy_says_https() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let policy = "policy.security_headers = true";
    let https = [("x-forwarded-proto", "https")];
    for (trusted, expected) in [("127.0.0.0/8", Some("max-age=31536000")), ("10.0.0.0/8", None)] {
        let listener = format!("forwarded = {{ trusted = [\"{trusted}\"] }}");
        let gateway = Gateway::to(&upstream).listener(&listener).route(policy).start().await;
        let reply = ask(&mut Client::http1(gateway.addr()), "GET", &https, "").await;
        assert_eq!(reply.header("strict-transport-security"), expected, "{trusted}");
    }
}

#[tokio::test]
async fn over_tls_hsts_is_said_and_the_own_origin_is_https() {
    let (authority, files) = (Authority::new("tests"), Files::new());
    let pair = files.pair("a", &authority.server(&["gateway.test", "127.0.0.1"]));
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream)
        .listener(&format!("tls = {{ certificates = [{pair}] }}"))
        .route("policy.security_headers = { hsts = \"max-age=60; includeSubDomains\" }")
        .route("policy.csrf = true")
        .start()
        .await;
    let tls = ClientTls::new(&authority, "gateway.test");
    for mut client in
        [Client::http1(gateway.addr()).over(&tls), Client::http2(gateway.addr()).over(&tls)]
    {
        let own = ask(&mut client, "POST", &[("origin", "https://gateway.test")], "x").await;
        own.assert_ok("hello");
        let foreign = ask(&mut client, "POST", &[("origin", "http://gateway.test")], "x").await;
        foreign.assert_by_gateway(&[403]);
        for reply in [own, foreign] {
            let said = reply.header_all("strict-transport-security");
            assert_eq!(said, ["max-age=60; includeSubDomains"]);
        }
    }
}

/// The neighbours of a stream whose body is too large go on, and so does the connection.
#[tokio::test]
async fn one_body_that_is_too_large_harms_no_other_stream() {
    for upstream in [Upstream::http1().start().await, Upstream::http2().start().await] {
        let gateway = Gateway::to(&upstream).route("policy.body_limit = \"64KiB\"").start().await;
        let mut client = Client::http2(gateway.addr());
        client.get("/").await.assert_ok("ok");
        let mut neighbour = client.neighbour();
        let (sender, body) = Payload::channel();
        let sending = tokio::spawn(async move { neighbour.post("/neighbour", body).await });
        sender.send(Ok(Frame::data(Bytes::from_static(b"first ")))).expect("a receiver");
        let seen = || upstream.seen_for("/neighbour");
        eventually("the neighbour under way", seen, |seen| !seen.is_empty()).await;
        for body in [Payload::unsized_pattern(200_000), Payload::from("x".repeat(100_000))] {
            let reply = client.post("/large", body).await;
            reply.assert_by_gateway(&[413]);
            assert_eq!(reply.reason().as_deref(), Some("body_too_large"));
        }
        sender.send(Ok(Frame::data(Bytes::from_static(b"second")))).expect("a receiver");
        drop(sender);
        sending.await.expect("no panic").assert_ok("ok");
        assert_eq!(upstream.seen_for("/neighbour")[0].body, b"first second");
        assert!(upstream.seen_for("/large").iter().all(|seen| !seen.complete));
        assert_eq!(client.connections(), 1, "the connection lives");
        gateway.assert_quiet().await;
    }
}

/// What follows a body that was too large is no request, however much it looks like one.
#[tokio::test]
async fn nothing_behind_a_body_that_is_too_large_is_a_request() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1KiB\"").start().await;
    let host = "Host: gateway.test\r\n";
    let next = format!("GET /smuggled HTTP/1.1\r\n{host}\r\n");
    let chunk = format!("800\r\n{}\r\n0\r\n\r\n", "a".repeat(2048));
    for (head, body) in
        [("Content-Length: 2048\r\n", "a".repeat(2048)), ("Transfer-Encoding: chunked\r\n", chunk)]
    {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("POST /large HTTP/1.1\r\n{host}{head}\r\n{body}{next}")).await;
        let answer = raw.answer("POST").await.expect("an answer");
        assert_eq!(answer.status, 413, "{head}");
        let (rest, _) = raw.read_to_end(Duration::from_secs(4)).await;
        assert!(rest.is_empty(), "{head}: {:?}", String::from_utf8_lossy(&rest));
        assert!(upstream.seen_for("/smuggled").is_empty(), "{head}");
        assert!(upstream.seen_for("/large").iter().all(|seen| !seen.complete), "{head}");
    }
    gateway.assert_quiet().await;
}
