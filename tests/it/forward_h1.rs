//! HTTP/1 on the wire: connections, old versions, fields of one hop.

use std::time::Duration;

use gateway_tests::{Answer, Client, Failures, Gateway, Raw, Step, Upstream, find};

const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_gateway_without_a_document_forwards() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::proxy(&upstream).start().await;
    Client::http1(gateway.addr()).get("/a?b=c").await.assert_ok("hello");
    Client::http2(gateway.addr()).post("/a?b=c", "body").await.assert_ok("hello");
    assert!(upstream.seen().iter().all(|seen| seen.target == "/a?b=c"));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn connections_of_both_sides_are_used_again() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..50 {
        client.get("/").await.assert_ok("ok");
    }
    assert_eq!((client.connections(), upstream.connections()), (1, 1));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::http1()
        .script(|seen| {
            let slow = seen.target == "/0";
            let answer = Answer::ok(seen.target.clone());
            let pause = Answer::unread().pause(Duration::from_millis(if slow { 80 } else { 0 }));
            answer.steps_after(pause)
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    let requests: String =
        (0..5).map(|at| format!("GET /{at} HTTP/1.1\r\nHost: gateway.test\r\n\r\n")).collect();
    raw.send(requests).await;
    for at in 0..5 {
        let answer = raw.answer("GET").await.expect("an answer");
        assert_eq!((answer.status, answer.text()), (200, format!("/{at}")));
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces() {
    let upstream = Upstream::http1().answer(Answer::echo()).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let request = "POST /x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n";
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send_bytewise(request).await;
    assert_eq!(raw.answer("POST").await.expect("an answer").text(), "body");
    for at in (1..request.len()).step_by(7) {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send_split(request, at).await;
        let answer = raw.answer("POST").await.expect("an answer");
        assert_eq!(answer.text(), "body", "split at {at}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_answer_may_come_in_any_pieces() {
    let wire = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    let drip = Answer::unread().then(Step::Drip(wire.into(), Duration::from_millis(2)));
    let upstream = Upstream::http1().answer(drip).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    Client::http1(gateway.addr()).get("/").await.assert_ok("body");
    Client::http2(gateway.addr()).get("/").await.assert_ok("body");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_http10_client_gets_no_chunks_and_no_trailers() {
    let wire = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n\
                4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n";
    let upstream = Upstream::http1().answer(Answer::raw(wire)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.0\r\nHost: gateway.test\r\n\r\n").await;
    let (bytes, ended) = raw.read_to_end(SOON).await;
    assert_eq!(ended, gateway_tests::Ended::Closed);
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    assert!(text.ends_with("\r\n\r\nbody"), "{text}");
    assert!(!text.contains("transfer-encoding") && !text.contains("x-t:"), "{text}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_http10_client_may_keep_its_connection() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    for _ in 0..2 {
        raw.send("GET / HTTP/1.0\r\nHost: gateway.test\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!(raw.answer("GET").await.expect("an answer").text(), "ok");
    }
    raw.send("GET / HTTP/1.0\r\nHost: gateway.test\r\n\r\n").await;
    assert_eq!(raw.answer("GET").await.expect("an answer").text(), "ok");
    assert!(raw.ends_within(SOON).await);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_connection_that_asks_to_be_closed_is_closed() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n").await;
    let answer = raw.answer("GET").await.expect("an answer");
    assert_eq!((answer.text().as_str(), answer.header("connection")), ("ok", Some("close")));
    assert!(raw.ends_within(SOON).await);
    // The wish was for one hop: the connection behind is kept.
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    assert_eq!(upstream.seen()[0].header("connection"), None);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn fields_of_one_hop_do_not_reach_the_upstream() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let head = "GET / HTTP/1.1\r\nHost: gateway.test\r\nConnection: x-mine, keep-alive, x-Other\r\n\
                X-Mine: MARK\r\nX-Other: MARK\r\nKeep-Alive: MARK\r\nProxy-Connection: MARK\r\n\
                TE: gzip, MARK\r\nUpgrade: MARK\r\nProxy-Authorization: MARK\r\n\
                HTTP2-Settings: MARK\r\nX-Kept: yes\r\n\r\n";
    for protocol in ["Upgrade: MARK", "Upgrade: h2c", "Upgrade: h2c, websocket"] {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(head.replace("Upgrade: MARK", protocol)).await;
        assert_eq!(raw.answer("GET").await.expect("an answer").text(), "ok");
    }
    let mut failures = Failures::new();
    for seen in upstream.seen() {
        let text = String::from_utf8_lossy(&seen.head).into_owned();
        failures.check(seen.header("x-kept") == Some("yes"), || format!("not kept: {text}"));
        // Credentials for a proxy may be meant for the next one, so they are not in this list.
        for name in ["x-mine", "x-other", "keep-alive", "proxy-connection", "http2-settings"] {
            failures.check(seen.header(name).is_none(), || format!("{name} in {text}"));
        }
        let upgrade = seen.header("upgrade");
        failures.check(upgrade.is_none(), || format!("{upgrade:?} in {text}"));
        let te = seen.header("te").unwrap_or("trailers");
        failures.check(te == "trailers", || format!("te: {te} in {text}"));
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn fields_of_one_hop_do_not_reach_the_client() {
    let wire = "HTTP/1.1 200 OK\r\nConnection: x-mine, keep-alive\r\nX-Mine: MARK\r\n\
                Keep-Alive: timeout=MARK\r\nProxy-Connection: MARK\r\nUpgrade: MARK\r\n\
                X-Kept: yes\r\nContent-Length: 2\r\n\r\nok";
    let upstream = Upstream::http1().answer(Answer::raw(wire)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        let reply = client.get("/").await;
        reply.assert_ok("ok");
        assert_eq!(reply.header("x-kept"), Some("yes"));
        let leaked = reply.headers.iter().find(|(_, value)| value.contains("MARK"));
        assert_eq!(leaked, None);
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_framing_of_one_side_is_not_copied_to_the_other() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("DELETE / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 000004\r\n\r\nbody").await;
    assert_eq!(raw.answer("DELETE").await.expect("an answer").status, 200);
    let seen = &upstream.seen()[0];
    assert_eq!(seen.body, b"body");
    let lengths = seen.header_all("content-length");
    let codings = seen.header_all("transfer-encoding");
    assert!(matches!((&lengths[..], &codings[..]), (["4"], []) | ([], ["chunked"])), "{seen:?}");
    assert_eq!(find(&seen.head, b"000004"), None);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_path_so_far_is_extended() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.1\r\nHost: gateway.test\r\nVia: 1.0 fred\r\n\r\n").await;
    assert_eq!(raw.answer("GET").await.expect("an answer").status, 200);
    let via = upstream.seen()[0].header_all("via").join(", ");
    assert!(via.starts_with("1.0 fred"), "{via:?}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn early_hints_reach_http2_and_do_no_harm_to_http1() {
    let wire = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Upstream::http1().answer(Answer::raw(wire)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        client.get("/").await.assert_ok("ok");
        client.get("/").await.assert_ok("ok");
    }
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("GET / HTTP/1.0\r\nHost: gateway.test\r\n\r\n").await;
    let answer = raw.answer("GET").await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    gateway.assert_quiet().await;
}
