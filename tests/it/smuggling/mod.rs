//! Requests that two parties could read two ways: rejected at the door, and nobody behind it ever
//! sees a byte of them (hardening, class A1 and A4).

mod cases;

use std::time::Duration;

use gateway_tests::{Answer, Ended, Failures, Gateway, Raw, Seen, Upstream};

use self::cases::{BODIES, Case, FIELDS, HEADS, ODD, TARGETS};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

/// Sends a head that must be rejected; says what went wrong.
async fn rejected(
    gateway: &Gateway,
    upstream: &Upstream,
    head: &[u8],
    statuses: std::ops::RangeInclusive<u16>,
) -> Result<(), String> {
    let before = upstream.bytes_received();
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send([head, SMUGGLED.as_bytes()].concat()).await;
    let answer = raw.answer_within(Duration::from_secs(4), "GET").await;
    let status = answer.map(|answer| answer.status);
    let (rest, ended) = raw.read_to_end(Duration::from_secs(2)).await;
    let received = upstream.bytes_received() - before;
    match (status, ended, received) {
        (Some(status), Ended::Closed | Ended::Reset, 0)
            if statuses.contains(&status) && rest.is_empty() =>
        {
            Ok(())
        }
        (status, ended, received) => Err(format!(
            "{status:?}, {ended:?}, {received} bytes upstream, then {:?}",
            String::from_utf8_lossy(&rest)
        )),
    }
}

async fn all_rejected(cases: &[Case], head: impl Fn(&[u8]) -> Vec<u8>) {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    for Case(name, part) in cases {
        let outcome = rejected(&gateway, &upstream, &head(part), 400..=499).await;
        failures.note(name, outcome);
    }
    failures.assert_none();
    assert_eq!(upstream.seen().len(), 0);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn ambiguous_fields_are_rejected() {
    all_rejected(FIELDS, |fields| {
        [b"POST /x HTTP/1.1\r\nHost: gateway.test\r\n", fields, b"\r\n\r\n0\r\n\r\n"].concat()
    })
    .await;
}

#[tokio::test]
async fn malformed_heads_are_rejected() {
    all_rejected(HEADS, <[u8]>::to_vec).await;
}

#[tokio::test]
async fn targets_with_two_readings_are_rejected() {
    all_rejected(TARGETS, |target| {
        [b"GET ", target, b" HTTP/1.1\r\nHost: gateway.test\r\n\r\n"].concat()
    })
    .await;
}

#[tokio::test]
async fn a_fold_before_the_first_field_is_rejected() {
    all_rejected(
        &[Case("a folded request line", b"GET / HTTP/1.1\r\n \r\nHost: gateway.test\r\n\r\n")],
        <[u8]>::to_vec,
    )
    .await;
}

#[tokio::test]
async fn broken_chunks_never_become_a_whole_request() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let head = b"POST /x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut failures = Failures::new();
    for Case(name, body) in BODIES {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send([head, *body, SMUGGLED.as_bytes()].concat()).await;
        let answer = raw.answer_within(Duration::from_secs(4), "POST").await;
        let status = answer.map(|answer| answer.status);
        failures.check(matches!(status, Some(400..=499)), || format!("{name}: {status:?}"));
        let ended = raw.ends_within(Duration::from_secs(2)).await;
        failures.check(ended, || format!("{name}: the connection stays open"));
    }
    let whole = |seen: &Seen| seen.complete || seen.target == "/smuggled";
    let whole: Vec<Seen> = upstream.seen().into_iter().filter(whole).collect();
    failures.check(whole.is_empty(), || format!("reached the upstream: {whole:?}"));
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_giant_chunk_extension_is_rejected() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    raw.send("POST /x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n3;")
        .await;
    raw.send("x".repeat(1 << 20)).await;
    raw.send("\r\nabc\r\n0\r\n\r\n").await;
    let (bytes, ended) = raw.read_to_end(Duration::from_secs(4)).await;
    assert_ne!(ended, Ended::Open);
    assert!(!bytes.starts_with(b"HTTP/1.1 2"), "{:?}", String::from_utf8_lossy(&bytes));
    assert!(upstream.seen().iter().all(|seen| !seen.complete), "{:?}", upstream.seen());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn what_is_too_long_is_rejected_by_its_own_status() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1KiB\"").start().await;
    let host = "Host: gateway.test\r\n";
    let fields: String = (0..101).map(|at| format!("x-{at}: 1\r\n")).collect();
    let cases = [
        (414, "an URI of 9 KiB", format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(9 << 10))),
        (414, "a query of 9 KiB", format!("GET /?{} HTTP/1.1\r\n{host}\r\n", "a".repeat(9 << 10))),
        (
            431,
            "a field of 65 KiB",
            format!("GET / HTTP/1.1\r\n{host}x: {}\r\n\r\n", "a".repeat(65 << 10)),
        ),
        (
            431,
            "a field of 1 MiB",
            format!("GET / HTTP/1.1\r\n{host}x: {}\r\n\r\n", "a".repeat(1 << 20)),
        ),
        (431, "102 fields", format!("GET / HTTP/1.1\r\n{host}{fields}\r\n")),
        (
            413,
            "a length over the limit",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 1025\r\n\r\n"),
        ),
        (
            413,
            "a length far over the limit",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 9223372036854775807\r\n\r\n"),
        ),
    ];
    let mut failures = Failures::new();
    for (status, name, head) in &cases {
        let outcome = rejected(&gateway, &upstream, head.as_bytes(), *status..=*status).await;
        failures.note(name, outcome);
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_rejected() {
    let upstream = Upstream::http1().start().await;
    let gateway = Gateway::to(&upstream).route("policy.body_limit = \"1KiB\"").start().await;
    let mut raw = Raw::connect(gateway.addr()).await;
    let body = "200\r\n".to_owned() + &"a".repeat(512) + "\r\n";
    raw.send("POST /x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    raw.send(body.repeat(3) + "0\r\n\r\n").await;
    assert_eq!(raw.answer("POST").await.expect("an answer").status, 413);
    assert!(raw.ends_within(Duration::from_secs(2)).await);
    assert!(upstream.seen().iter().all(|seen| !seen.complete), "{:?}", upstream.seen());
    gateway.assert_quiet().await;
}

/// The other side of the tables: what looks odd and is good HTTP.
#[tokio::test]
async fn odd_but_good_requests_pass() {
    let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    let long = "a".repeat(8_000);
    for (name, head, target) in ODD {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(head.replace("LONG", &long)).await;
        let answer = raw.answer("GET").await;
        let good = answer.as_ref().is_some_and(|answer| answer.text() == "hello");
        failures.check(good, || format!("{name}: {answer:?}"));
        let seen = upstream.seen().last().map(|seen| seen.target.clone());
        let good = seen.as_deref() == Some(&target.replace("LONG", &long));
        failures.check(good, || format!("{name}: the upstream saw {seen:?}"));
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}
