//! An upstream that fails while its answer runs, or says more than it should (hardening 11 to 16).

use std::time::Duration;

use gateway_tests::{Answer, Client, End, Ended, Failures, Gateway, Raw, Step, Upstream, within};
use tokio::time::Instant;

use crate::corpus::{LEAK, cuts};

/// An upstream that takes the script by the first segment of the path, and says `clean` elsewhere.
async fn by_index(scripts: Vec<Answer>) -> Upstream {
    Upstream::http1()
        .script(move |seen| {
            let word = seen.target.split('/').nth(1).unwrap_or_default();
            match word.parse::<usize>() {
                Ok(index) => scripts[index].clone(),
                Err(_) => Answer::ok("clean"),
            }
        })
        .start()
        .await
}

#[tokio::test]
async fn a_cut_answer_is_visibly_broken() {
    let cuts = cuts();
    let upstream = by_index(cuts.iter().map(|(_, answer)| answer.clone()).collect()).await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    for (index, (name, _)) in cuts.iter().enumerate() {
        for (protocol, mut client) in
            [("h1", Client::http1(gateway.addr())), ("h2", Client::http2(gateway.addr()))]
        {
            let target = format!("/{index}/{protocol}");
            let asked = client.get(&target);
            let reply = within(Duration::from_secs(4), name, asked).await;
            let honest = match &reply.end {
                End::Complete => reply.is_rejection(&[502, 503]),
                End::Broken(_) => matches!(reply.status, 0 | 200),
            };
            failures.check(honest, || format!("{name} over {protocol}: {reply:?}"));
        }
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn nothing_is_retried_once_an_answer_has_begun() {
    let cuts = cuts();
    let upstream = by_index(cuts.iter().map(|(_, answer)| answer.clone()).collect()).await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    for (index, (name, _)) in cuts.iter().enumerate() {
        let target = format!("/{index}/once");
        Client::http1(gateway.addr()).get(&target).await;
        let seen = upstream.seen();
        let times = seen.iter().filter(|seen| seen.target == target).count();
        failures.check(times == 1, || format!("{name}: seen {times} times"));
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_cut_answer_to_http10_is_a_reset_or_too_short() {
    let cuts = cuts();
    let upstream = by_index(cuts.iter().map(|(_, answer)| answer.clone()).collect()).await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    for (index, (name, _)) in cuts.iter().enumerate() {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("GET /{index} HTTP/1.0\r\nHost: gateway.test\r\n\r\n")).await;
        let (bytes, ended) = raw.read_to_end(Duration::from_secs(4)).await;
        let mut buffer = bytes.as_slice().into();
        let answer = gateway_tests::RawAnswer::parse(&mut buffer, "GET", ended == Ended::Closed);
        let honest = match &answer {
            Some(answer) if answer.complete => matches!(answer.status, 502 | 503),
            _ => ended != Ended::Open,
        };
        failures.check(honest, || format!("{name}: {ended:?} {answer:?}"));
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_stalled_answer_is_cut_within_the_budget() {
    let stalls = [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nten bytes.",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nsome",
    ];
    let scripts = stalls.map(|bytes| Answer::raw(bytes).then(Step::Hang));
    let upstream = by_index(scripts.to_vec()).await;
    let gateway = Gateway::to(&upstream).timeout("1s").start().await;
    let asked = Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    for index in 0..stalls.len() {
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            waiting.spawn(async move { (index, client.get(&format!("/{index}")).await) });
        }
    }
    while let Some(done) = waiting.join_next().await {
        let (index, reply) = done.expect("no panic");
        assert_eq!(reply.status, 200, "{index}: {reply:?}");
        assert!(!reply.is_complete(), "{index}: {reply:?}");
    }
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(1_200 + 2_000), "took {took:?}");
    gateway.assert_quiet().await;
}

/// What an upstream says beyond its answer.
fn surplus() -> Vec<(&'static str, &'static str, Answer)> {
    let second = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nLEAK";
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let later = Duration::from_millis(50);
    let both = |first: &str| Answer::raw(format!("{first}{second}"));
    let apart = |first: &str| Answer::raw(first.to_owned()).pause(later).send(second);
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let old = "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";
    vec![
        ("GET", "more bytes than promised", Answer::raw(format!("{whole}LEAK"))),
        ("GET", "more bytes later", Answer::raw(whole).pause(later).send("LEAK")),
        ("GET", "a second answer at once", both(whole)),
        ("GET", "a second answer later", apart(whole)),
        ("GET", "after the last chunk", both(chunked)),
        ("GET", "later after the last chunk", apart(chunked)),
        ("GET", "after 204", both(empty)),
        ("GET", "later after 204", apart(empty)),
        ("GET", "after 304", both(old)),
        ("GET", "a body of 304", Answer::raw(format!("{old}LEAK"))),
        ("HEAD", "a body for HEAD", Answer::raw(format!("{head}LEAK"))),
        ("HEAD", "a body for HEAD later", Answer::raw(head).pause(later).send("LEAK")),
        ("HEAD", "a second answer for HEAD", both(head)),
        ("GET", "a whole answer unasked, before", Answer::raw(format!("{whole}{second}{second}"))),
    ]
}

#[tokio::test]
async fn what_nobody_asked_for_is_never_seen() {
    let surplus = surplus();
    let upstream = by_index(surplus.iter().map(|(_, _, answer)| answer.clone()).collect()).await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    for (index, (method, name, _)) in surplus.iter().enumerate() {
        // What comes after the next request was written is that request's answer to any reader.
        let pauses: &[u64] = if name.contains("later") { &[120] } else { &[0, 120] };
        for &pause in pauses {
            for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
                let target = format!("/{index}");
                let first = client.method(method, &target, gateway_tests::Payload::empty()).await;
                let leaked = first.text().contains(LEAK);
                failures.check(!leaked, || format!("{name}: leaked {first:?}"));
                tokio::time::sleep(Duration::from_millis(pause)).await;
                for _ in 0..3 {
                    let next = client.get("/clean").await;
                    let own = next.status == 200 && next.text() == "clean";
                    failures.check(own, || format!("{name}: then {next:?}"));
                }
            }
        }
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn surplus_bytes_do_not_reach_a_raw_client() {
    let surplus = surplus();
    let upstream = by_index(surplus.iter().map(|(_, _, answer)| answer.clone()).collect()).await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    for (index, (method, name, _)) in surplus.iter().enumerate() {
        let mut raw = Raw::connect(gateway.addr()).await;
        raw.send(format!("{method} /{index} HTTP/1.1\r\nHost: gateway.test\r\n\r\n")).await;
        let (bytes, _) = raw.read_to_end(Duration::from_millis(150)).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        failures.check(!text.is_empty(), || format!("{name}: no answer"));
        failures.check(!text.contains(LEAK), || format!("{name}: {text}"));
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}
