//! An upstream that fails before its answer begins (hardening 1 to 10).

use std::time::Duration;

use gateway_tests::{
    Answer, Client, Failures, Gateway, Payload, Reply, Seen, Step, Upstream, within,
};
use tokio::time::Instant;

use crate::corpus::{LEAK, NOT_HTTP, deaths};

/// What the two of them say about one request, for both methods and both client protocols.
async fn each_client(gateway: &Gateway, path: &str) -> Vec<(String, Reply)> {
    let mut replies = Vec::new();
    for method in ["GET", "POST"] {
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let target = format!("{path}/{method}/{}", replies.len());
            let body = if method == "POST" { "body".into() } else { Payload::empty() };
            let asked = client.method(method, &target, body);
            let reply = within(Duration::from_secs(4), &target, asked).await;
            replies.push((target, reply));
        }
    }
    replies
}

fn count(seen: &[Seen], target: &str) -> usize {
    seen.iter().filter(|seen| seen.target == target).count()
}

/// Runs named scripts behind one gateway; every client must get a 502 or 503 of the gateway, and
/// no upstream sees a POST twice.
async fn all_are_bad_gateways(scripts: Vec<(String, Answer)>) {
    let upstream = {
        let scripts = scripts.clone();
        Upstream::http1().script(move |seen| {
            let index = seen.target.split('/').nth(1).and_then(|word| word.parse().ok());
            scripts[index.unwrap_or(0_usize)].1.clone()
        })
    };
    let upstream = upstream.start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    for (index, (name, _)) in scripts.iter().enumerate() {
        for (target, reply) in each_client(&gateway, &format!("/{index}")).await {
            let leaked = reply.text().contains(LEAK)
                || reply.headers.iter().any(|(_, value)| value.contains(LEAK));
            failures.check(!leaked, || format!("{name} {target}: leaked {reply:?}"));
            let rejected = reply.is_rejection(&[502, 503]);
            failures.check(rejected, || format!("{name} {target}: {reply:?}"));
            let times = count(&upstream.seen(), &target);
            let limit = if target.contains("POST") { 1 } else { 4 };
            failures.check(times <= limit, || format!("{name} {target}: seen {times} times"));
        }
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_closed_port_is_a_bad_gateway() {
    let upstream = Upstream::rejecting();
    let gateway = Gateway::to(&upstream).start().await;
    for (_, reply) in each_client(&gateway, "/x").await {
        reply.assert_by_gateway(&[502, 503]);
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_connection_that_ends_at_once_is_a_bad_gateway() {
    for (name, step) in [("close", Step::Close), ("reset", Step::Reset)] {
        let upstream = Upstream::http1().on_accept(Answer::unread().then(step)).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        let mut failures = Failures::new();
        for (target, reply) in each_client(&gateway, "/x").await {
            let rejected = reply.is_rejection(&[502, 503]);
            failures.check(rejected, || format!("{name} {target}: {reply:?}"));
        }
        failures.assert_none();
        assert!(upstream.connections() <= 4 * 4, "{} connections", upstream.connections());
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_death_before_the_answer_is_a_bad_gateway() {
    all_are_bad_gateways(deaths()).await;
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_gateway() {
    let scripts = NOT_HTTP
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), Answer::raw(*bytes).then(Step::Finish)));
    all_are_bad_gateways(scripts.collect()).await;
}

#[tokio::test]
async fn what_is_not_http_ends_its_connection() {
    let upstream = Upstream::http1().script(move |seen| match seen.request {
        // A second request on a connection that spoke nonsense gives itself away.
        0 if seen.method == "POST" => {
            let index = seen.target.trim_start_matches('/').parse().unwrap_or(0_usize);
            Answer::raw(NOT_HTTP[index].1)
        }
        0 => Answer::ok("fresh connection"),
        _ => Answer::ok("used connection"),
    });
    let upstream = upstream.start().await;
    let gateway = Gateway::to(&upstream).timeout("1s").start().await;
    let mut client = Client::http1(gateway.addr());
    for (index, (name, _)) in NOT_HTTP.iter().enumerate() {
        let reply = client.post(&format!("/{index}"), "body").await;
        assert!(reply.is_rejection(&[502, 503, 504]), "{name}: {reply:?}");
    }
    let seen = upstream.seen();
    let again = seen.iter().find(|seen| seen.request > 0);
    assert!(again.is_none(), "a connection that spoke nonsense was used again: {again:?}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_head_without_end_is_a_bad_gateway_and_not_kept() {
    let start = "HTTP/1.1 200 OK\r\n";
    let scripts = [
        ("endless fields", Answer::raw(start).then(Step::Endless("x-a: aaaaaaaa\r\n".into()))),
        (
            "one endless field",
            Answer::raw(format!("{start}x-a: ")).then(Step::Endless("a".repeat(4_096).into())),
        ),
        (
            "a field of 16 MB",
            Answer::raw(format!("{start}x-a: "))
                .then(Step::Repeat("a".repeat(16_000).into(), 1_000))
                .send("\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "200,000 fields",
            Answer::raw(start)
                .then(Step::Repeat("x-a: 1\r\n".repeat(100).into(), 2_000))
                .send("content-length: 0\r\n\r\n"),
        ),
        (
            "an endless status line",
            Answer::raw("HTTP/1.1 200 ").then(Step::Endless("a".repeat(4_096).into())),
        ),
    ];
    let mut failures = Failures::new();
    for (name, script) in scripts {
        let upstream = Upstream::http1().answer(script).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        let before = gateway.usage().peak_kib;
        for (target, reply) in each_client(&gateway, "/x").await {
            let rejected = reply.is_rejection(&[502, 503]);
            failures
                .check(rejected, || format!("{name} {target}: {} {:?}", reply.status, reply.end));
        }
        let grown = gateway.usage().peak_kib - before;
        failures.check(grown < 16 << 10, || format!("{name}: {grown} KiB more"));
        gateway.assert_quiet().await;
    }
    failures.assert_none();
}

#[tokio::test]
async fn interim_answers_without_end_are_ended() {
    for interim in ["100 Continue", "102 Processing", "103 Early Hints"] {
        let bytes = format!("HTTP/1.1 {interim}\r\n\r\n");
        let script = Answer::raw(bytes.clone()).then(Step::Endless(bytes.into()));
        let upstream = Upstream::http1().answer(script).start().await;
        let gateway = Gateway::to(&upstream).timeout("1s").start().await;
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let reply = within(Duration::from_secs(4), interim, client.get("/")).await;
            reply.assert_by_gateway(&[502, 504]);
        }
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_interim_answer_is_never_the_last_one() {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    for step in [Step::Close, Step::Reset] {
        let upstream = Upstream::http1().answer(Answer::raw(hint).then(step)).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        for (_, reply) in each_client(&gateway, "/x").await {
            reply.assert_by_gateway(&[502, 503]);
        }
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_a_bad_gateway() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                     upgrade: websocket\r\n\r\nLEAK";
    let upstream = Upstream::http1().answer(Answer::raw(switching).then(Step::Hang)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for (_, reply) in each_client(&gateway, "/x").await {
        reply.assert_by_gateway(&[502]);
        assert!(!reply.text().contains(LEAK));
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn silence_is_a_timeout_with_one_budget_for_all_attempts() {
    let limit = Duration::from_millis(1_200 + 2_000);
    for fault in ["hang after the request", "hang after the connection"] {
        let build = || match fault {
            "hang after the request" => Upstream::http1().answer(Answer::hang()),
            _ => Upstream::http1().on_accept(Answer::unread().then(Step::Deaf)),
        };
        let (first, second) = (build().start().await, build().start().await);
        let gateway = Gateway::to(&first).and(&second).timeout("1s").start().await;
        for method in ["GET", "POST"] {
            for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
                let asked = Instant::now();
                let reply = client.method(method, "/x", Payload::empty()).await;
                reply.assert_by_gateway(&[504]);
                let took = asked.elapsed();
                assert!(took < limit, "{fault}: {method} took {took:?}");
                assert!(took >= Duration::from_millis(900), "{fault}: {method} took {took:?}");
            }
        }
        gateway.assert_quiet().await;
    }
}
