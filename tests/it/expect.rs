//! `Expect: 100-continue`, and answers that come before the request has ended (hardening 60, 61).

use std::time::Duration;

use gateway_tests::{
    Answer, Client, Gate, Gateway, Payload, Raw, Step, Stream, Upstream, eventually, within,
};

const SOON: Duration = Duration::from_secs(3);
const HEAD: &str = "POST /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\n\
                    Expect: 100-continue\r\n\r\n";
const UPLOAD: u64 = 32 << 20;

fn continues() -> Answer {
    Answer::unread().send("HTTP/1.1 100 Continue\r\n\r\n").then(Step::ReadBody).then(Step::Reply(
        200,
        Vec::new(),
        "taken".into(),
    ))
}

#[tokio::test]
async fn the_body_is_asked_for_when_the_upstream_asks() {
    let gate = Gate::new();
    let script = continues().steps_after(Answer::unread().then(Step::Gate(gate.clone())));
    let upstream = Upstream::http1().answer(script).start().await;
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1GiB\"").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(HEAD).await;
    eventually("the head upstream", || upstream.seen().len(), |seen| *seen == 1).await;
    assert!(!raw.read_until(Duration::from_millis(200), "HTTP/1.1").await, "{:?}", raw.buffered());
    gate.open();
    let asked = raw.answer("POST").await.expect("an interim answer");
    assert_eq!(asked.status, 100);
    raw.send("body").await;
    let answer = raw.answer("POST").await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "taken"));
    assert_eq!(upstream.seen()[0].body, b"body");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_body_that_is_sent_unasked_is_taken() {
    for answer in [continues(), Answer::ok("taken")] {
        let upstream = Upstream::http1().answer(answer).start().await;
        let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1GiB\"").start().await;
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("{HEAD}body")).await;
        let mut answer = raw.answer("POST").await.expect("an answer");
        if answer.status == 100 {
            answer = raw.answer("POST").await.expect("an answer");
        }
        assert_eq!((answer.status, answer.text().as_str()), (200, "taken"));
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn upload_goes_on_when_the_upstream_says_continue_unasked() {
    let upstream = Upstream::http1().answer(continues()).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("POST /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 4\r\n\r\nbo").await;
    eventually("the head upstream", || upstream.seen().len(), |seen| *seen == 1).await;
    assert!(!raw.read_until(Duration::from_millis(200), "HTTP/1.1 200").await);
    raw.send("dy").await;
    let mut answer = raw.answer("POST").await.expect("an answer");
    if answer.status == 100 {
        answer = raw.answer("POST").await.expect("an answer");
    }
    assert_eq!((answer.status, answer.text().as_str()), (200, "taken"));
    assert_eq!(upstream.seen()[0].body, b"body");
    gateway.assert_quiet().await;
}

/// Less than the gateway waits for the upstream's word.
const AT_ONCE: Duration = Duration::from_millis(900);

#[tokio::test]
async fn body_that_is_sent_unasked_goes_on_at_once() {
    let twice = HEAD.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    let old = HEAD.replace("HTTP/1.1", "HTTP/1.0");
    let large = HEAD.replace("Length: 4", "Length: 100000");
    for (head, body) in [(HEAD, 4), (&*twice, 4), (&*old, 4), (&*large, 100_000)] {
        for later in [false, true] {
            let upstream = Upstream::http1().answer(Answer::ok("taken")).start().await;
            let gateway = Gateway::to(&upstream).start().await;
            let mut raw = Raw::connect(gateway.addr()).await;
            let body = "x".repeat(body);
            let sent = async {
                if later {
                    raw.send(head).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    raw.send(&body).await;
                } else {
                    raw.send(format!("{head}{body}")).await;
                }
                let mut answer = raw.answer("POST").await.expect("an answer");
                if answer.status == 100 {
                    answer = raw.answer("POST").await.expect("an answer");
                }
                answer
            };
            let answer = within(AT_ONCE, head, sent).await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "taken"), "{head}");
            gateway.assert_quiet().await;
        }
    }
}

#[tokio::test]
async fn http2_client_that_expects_is_not_waited_for() {
    let upstream = Upstream::http1().answer(Answer::ok("taken")).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let request = http::Request::post("/x").header("expect", "100-continue");
    let request = request.body(Payload::pattern(100_000)).expect("a request");
    let mut client = Client::http2(gateway.addr());
    within(AT_ONCE, "an answer", client.send(request)).await.assert_ok("taken");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn late_or_unasked_continue_changes_nothing() {
    let late = continues().steps_after(Answer::unread().pause(Duration::from_millis(1_300)));
    for (head, answer) in
        [(HEAD, late), (&*HEAD.replace("Expect: 100-continue\r\n", ""), continues())]
    {
        let upstream = Upstream::http1().answer(answer).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(head).await;
        tokio::time::sleep(Duration::from_millis(1_600)).await;
        raw.send("body").await;
        let mut answer = raw.answer_within(SOON, "POST").await.expect("an answer");
        if answer.status == 100 {
            answer = raw.answer_within(SOON, "POST").await.expect("an answer");
        }
        assert_eq!((answer.status, answer.text().as_str()), (200, "taken"), "{head}");
        assert_eq!(upstream.seen()[0].body, b"body");
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn every_expectation_must_be_known() {
    let upstream = Upstream::http1().answer(Answer::ok("taken")).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let head = HEAD.replace("\r\n\r\n", "\r\nExpect: a miracle\r\n\r\n");
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!("{head}body")).await;
    assert_eq!(raw.answer("POST").await.expect("an answer").status, 417);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_rejection_passes_and_the_body_is_not_asked_for() {
    for end in [Step::Finish, Step::Deaf] {
        let rejection = Answer::unread().then(Step::Reply(417, Vec::new(), "no".into()));
        let upstream = Upstream::http1().answer(rejection.then(end)).start().await;
        let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1GiB\"").start().await;
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(HEAD).await;
        let answer = raw.answer_within(SOON, "POST").await.expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (417, "no"));
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_upstream_that_never_asks_is_a_timeout() {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = Gateway::to(&upstream).timeout("1s").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(HEAD).await;
    let answer = raw.answer_within(SOON, "POST").await.expect("an answer");
    assert_eq!(answer.status, 504);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_http10_client_gets_no_interim_answer() {
    let upstream = Upstream::http1().answer(continues()).start().await;
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1GiB\"").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!("{}body", HEAD.replace("HTTP/1.1", "HTTP/1.0"))).await;
    let answer = raw.answer("POST").await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "taken"));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn another_expectation_is_not_met_silently() {
    let upstream = Upstream::http1().answer(Answer::ok("taken")).start().await;
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1GiB\"").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!("{}body", HEAD.replace("100-continue", "a miracle"))).await;
    let answer = raw.answer("POST").await.expect("an answer");
    assert!(matches!(answer.status, 200 | 417), "{answer:?}");
    gateway.assert_quiet().await;
}

/// An upstream that answers 403 at once, and what it does with the upload then.
fn early(then: Option<Step>) -> Answer {
    let answer = Answer::unread().then(Step::Reply(403, Vec::new(), "early".into()));
    match then {
        Some(step) => answer.then(step),
        None => answer.then(Step::ReadBody),
    }
}

#[tokio::test]
async fn an_early_answer_arrives_during_an_upload() {
    for (name, then) in [
        ("reads on", None),
        ("stops reading", Some(Step::Deaf)),
        ("ends its side", Some(Step::Finish)),
        ("closes", Some(Step::Close)),
    ] {
        let upstream = Upstream::http1().answer(early(then)).start().await;
        let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1GiB\"").start().await;
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let sent = client.post("/x", Payload::pattern(UPLOAD));
            let reply = within(SOON, name, sent).await;
            let early = (reply.status, reply.text());
            // A connection that closes with unread bytes may destroy its own answer.
            let lost = name == "closes" && reply.is_rejection(&[502]);
            assert!(early == (403, "early".to_owned()) || lost, "{name}: {reply:?}");
        }
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_early_answer_of_http2_arrives_during_an_upload() {
    let upstream = Upstream::http2().answer(Stream::Unread(403, "early".into())).start().await;
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1GiB\"").start().await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        let reply = within(SOON, "an answer", client.post("/x", Payload::pattern(UPLOAD))).await;
        assert_eq!((reply.status, reply.text().as_str()), (403, "early"), "{reply:?}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_raw_client_that_only_writes_can_read_the_early_answer() {
    let upstream = Upstream::http1().answer(early(Some(Step::Finish))).start().await;
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1GiB\"").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n")).await;
    let piece = vec![b'x'; 64 << 10];
    for _ in 0..32 {
        if !raw.send(&piece).await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = raw.answer_within(SOON, "POST").await.expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (403, "early"));
    gateway.assert_quiet().await;
}
