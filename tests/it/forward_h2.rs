//! HTTP/2 on either side: what only it can say, and how it fails.

use std::time::Duration;

use bytes::Bytes;
use gateway_tests::{
    Answer, Client, Failures, Gate, Gateway, Payload, Stream, Upstream, eventually, within,
};
use h2::Reason;
use http::Request;

const SOON: Duration = Duration::from_secs(4);

fn clients(gateway: &Gateway) -> [(&'static str, Client); 2] {
    [("h1", Client::http1(gateway.addr())), ("h2", Client::http2(gateway.addr()))]
}

#[tokio::test]
async fn many_streams_share_few_connections() {
    let upstream = Upstream::http2().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    client.connect().await;
    let mut asking = tokio::task::JoinSet::new();
    for stream in 0..100 {
        let mut client = client.neighbour();
        asking.spawn(async move { client.get(&format!("/{stream}")).await });
    }
    for reply in asking.join_all().await {
        reply.assert_ok("ok");
    }
    assert_eq!(upstream.seen().len(), 100);
    assert!(upstream.connections() <= 16, "{} connections", upstream.connections());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_limit_of_streams_upstream_is_obeyed() {
    let upstream = Upstream::http2().concurrent_streams(2).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let mut client = Client::http1(gateway.addr());
        asking.spawn(async move { client.post("/", "body").await });
    }
    for reply in asking.join_all().await {
        reply.assert_ok("ok");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_reset_before_the_answer_is_a_bad_gateway() {
    let reasons = [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::PROTOCOL_ERROR];
    for reason in reasons {
        let upstream = Upstream::http2().answer(Stream::Reset(reason)).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        for (_, mut client) in clients(&gateway) {
            let before = upstream.seen().len();
            client.post("/x", "body").await.assert_by_gateway(&[502, 503]);
            assert_eq!(upstream.seen().len() - before, 1, "{reason:?}");
            client.get("/x").await.assert_by_gateway(&[502, 503]);
        }
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_whatever_its_method() {
    let rejected = Stream::Reset(Reason::REFUSED_STREAM);
    for method in ["GET", "POST", "PATCH"] {
        for protocol in 0..2 {
            let answers = vec![rejected.clone(), Stream::ok("second")];
            let upstream = Upstream::http2().answers(answers).start().await;
            let gateway = Gateway::to(&upstream).start().await;
            let (name, client) = &mut clients(&gateway)[protocol];
            let reply = client.method(method, "/x", Payload::from("body")).await;
            assert_eq!((reply.status, reply.text().as_str()), (200, "second"), "{method} {name}");
            let last = upstream.seen().pop().expect("a request");
            assert_eq!(last.body, b"body");
            gateway.assert_quiet().await;
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_always_rejected_ends() {
    let rejected = Stream::Reset(Reason::REFUSED_STREAM);
    let upstream = Upstream::http2().answer(rejected).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for (_, mut client) in clients(&gateway) {
        let reply = within(Duration::from_secs(7), "an end", client.get("/x")).await;
        reply.assert_by_gateway(&[502, 503]);
    }
    assert!(upstream.seen().len() <= 2 * 4, "{} tries", upstream.seen().len());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_connection_that_says_goodbye_loses_no_request() {
    let upstream = Upstream::http2().answer(Stream::GoAway("last".into())).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = Client::http1(gateway.addr());
        asking.spawn(async move {
            for _ in 0..15 {
                client.get("/x").await.assert_ok("last");
            }
        });
    }
    asking.join_all().await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_connection_that_hangs_up_is_a_bad_gateway() {
    let hang_up = Stream::HangUp(Reason::INTERNAL_ERROR);
    let upstream = Upstream::http2().answer(hang_up).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for (_, mut client) in clients(&gateway) {
        let before = upstream.seen().len();
        let reply = within(SOON, "an answer", client.post("/x", "body")).await;
        reply.assert_by_gateway(&[502, 503]);
        assert_eq!(upstream.seen().len() - before, 1);
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_stream_cut_in_its_body_is_visibly_broken() {
    let cuts = [
        Stream::DieInBody,
        Stream::ResetInBody("part".into(), Reason::INTERNAL_ERROR),
        Stream::ResetInBody("part".into(), Reason::CANCEL),
        Stream::ResetInBody("part".into(), Reason::NO_ERROR),
    ];
    for cut in cuts {
        let upstream = Upstream::http2().answer(cut.clone()).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        let mut failures = Failures::new();
        for (name, mut client) in clients(&gateway) {
            let reply = within(SOON, "an end", client.get("/x")).await;
            let honest = !reply.is_complete() || reply.is_rejection(&[502]);
            failures.check(honest, || format!("{cut:?} {name}: {reply:?}"));
        }
        failures.assert_none();
        assert_eq!(upstream.seen().len(), 2, "{cut:?}");
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_silent_stream_is_a_timeout_and_is_reset() {
    for answer in [Stream::Hang, Stream::Hold(Gate::new(), Bytes::new())] {
        let upstream = Upstream::http2().answer(answer).start().await;
        let gateway = Gateway::to(&upstream).timeout("1s").start().await;
        for (_, mut client) in clients(&gateway) {
            let reply = within(SOON, "a timeout", client.get("/x")).await;
            assert!(reply.is_rejection(&[504]) || !reply.is_complete(), "{reply:?}");
        }
        let seen = || upstream.seen();
        eventually("resets", seen, |seen| seen.iter().all(|seen| seen.left.is_some())).await;
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn crumbs_of_a_cookie_become_one_line() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let request = Request::builder().uri("/").header("cookie", "a=1").header("cookie", "b=2");
    let request = request.header("cookie", "c=3").body(Payload::empty()).expect("a request");
    Client::http2(gateway.addr()).send(request).await.assert_ok("ok");
    assert_eq!(upstream.seen()[0].header_all("cookie"), ["a=1; b=2; c=3"]);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn one_authority_becomes_one_host() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    for (host, good) in
        [("gateway.test", true), ("GATEWAY.test", true), ("other.test", false), ("a, b", false)]
    {
        let request = Request::builder().uri("http://gateway.test/").header("host", host);
        let reply = client.send(request.body(Payload::empty()).expect("a request")).await;
        assert_eq!(reply.status, if good { 200 } else { 400 }, "{host}: {reply:?}");
    }
    for seen in upstream.seen() {
        let hosts = seen.header_all("host");
        assert!(hosts.len() == 1 && hosts[0].eq_ignore_ascii_case("gateway.test"), "{hosts:?}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn authorities_with_two_readings_are_rejected() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    for authority in ["user@gateway.test", "user:word@gateway.test", "gateway.test:99999"] {
        let request = Request::builder().uri(format!("http://{authority}/"));
        let reply = client.send(request.body(Payload::empty()).expect("a request")).await;
        assert_ne!(reply.status, 200, "{authority}: {reply:?}");
    }
    assert_eq!(upstream.bytes_received(), 0);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn targets_with_two_readings_are_rejected_here_too() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http2(gateway.addr());
    let mut failures = Failures::new();
    let targets = [
        "/%",
        "/%zz",
        "/%00",
        "/a%5cb",
        "/a%2fb",
        "/%ff",
        "/..",
        "/a/../../x",
        "/%2e%2e/x",
        "/..;x/y",
        "/.;x/y",
    ];
    for target in targets {
        let reply = client.get(target).await;
        failures.check(reply.status == 400, || format!("{target}: {reply:?}"));
    }
    failures.assert_none();
    assert_eq!(upstream.bytes_received(), 0);
    client.get("/a/./b/../c").await.assert_ok("ok");
    assert_eq!(upstream.seen()[0].target, "/a/c");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_body_that_breaks_its_promise_is_never_whole_upstream() {
    let upstream = Upstream::http1().answer(Answer::echo()).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for (promise, name) in [("3", "too long"), ("5", "too short")] {
        let (sender, body) = Payload::channel();
        sender.send(Ok(http_body::Frame::data("body".into()))).expect("a receiver");
        drop(sender);
        let request = Request::post("/").header("content-length", promise).body(body);
        let mut client = Client::http2(gateway.addr());
        let sent = client.send(request.expect("a request"));
        let reply = within(SOON, name, sent).await;
        assert_ne!(reply.status, 200, "{name}: {reply:?}");
        assert!(upstream.seen().iter().all(|seen| !seen.complete), "{name}");
    }
    gateway.assert_quiet().await;
}
