//! Nothing doubled, nothing mixed (hardening 17 to 20, 24, 25).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_tests::{
    Answer, Client, Failures, Gateway, Pattern, Payload, Seen, Step, Upstream, within,
};

use crate::corpus::deaths;

fn times(seen: &[Seen], target: &str) -> usize {
    seen.iter().filter(|seen| seen.target == target).count()
}

/// The first request of every connection is answered, all later ones are not.
fn dies_when_reused(step: Step) -> impl Fn(&Seen) -> Answer + Send + Sync {
    move |seen| match seen.request {
        0 => Answer::ok("first"),
        _ => Answer::unread().then(step.clone()),
    }
}

#[tokio::test]
async fn an_unsafe_request_is_sent_at_most_once() {
    let deaths = deaths();
    let scripts: Vec<Answer> = deaths.iter().map(|(_, answer)| answer.clone()).collect();
    let upstream = Upstream::http1().script(move |seen| {
        match seen.target.split('/').nth(1).and_then(|word| word.parse::<usize>().ok()) {
            Some(index) => scripts[index].clone(),
            None => Answer::ok("warm"),
        }
    });
    let upstream = upstream.start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut failures = Failures::new();
    let mut client = Client::http1(gateway.addr());
    for (index, (name, _)) in deaths.iter().enumerate() {
        for method in ["POST", "PATCH"] {
            for size in [0, 10, 200_000] {
                // Warm, so that the pool has a connection to offer.
                client.get("/warm").await;
                let target = format!("/{index}/{method}/{size}");
                let reply = client.method(method, &target, Payload::pattern(size)).await;
                let rejected = reply.is_rejection(&[502, 503]);
                failures.check(rejected, || format!("{name} {method} {size}: {reply:?}"));
                let times = times(&upstream.seen(), &target);
                failures.check(times <= 1, || format!("{name} {method} {size}: {times} times"));
            }
        }
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_post_on_a_dying_connection_is_answered_and_not_repeated() {
    for step in [Step::Close, Step::Reset] {
        let upstream = Upstream::http1().script(dies_when_reused(step)).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        let mut client = Client::http1(gateway.addr());
        let mut failures = Failures::new();
        for round in 0..20 {
            client.get("/warm").await.assert_ok("first");
            let target = format!("/post/{round}");
            let reply = client.post(&target, "body").await;
            // A connection found dead before the first byte was written may be replaced.
            let honest = reply.is_rejection(&[502, 503]) || reply.text() == "first";
            failures.check(honest, || format!("{round}: {reply:?}"));
            let times = times(&upstream.seen(), &target);
            failures.check(times <= 1, || format!("{round}: seen {times} times"));
        }
        failures.assert_none();
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_get_on_a_dying_connection_is_answered() {
    for step in [Step::Close, Step::Reset] {
        let upstream = Upstream::http1().script(dies_when_reused(step)).start().await;
        let gateway = Gateway::to(&upstream).start().await;
        for round in 0..20 {
            for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
                client.get(&format!("/get/{round}")).await.assert_ok("first");
            }
        }
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_get_survives_the_death_of_every_pooled_connection() {
    let doomed = Arc::new(AtomicUsize::new(0));
    let upstream = {
        let doomed = Arc::clone(&doomed);
        Upstream::http1().script(move |seen| {
            match seen.connection < doomed.load(Ordering::SeqCst) {
                true => Answer::unread().then(Step::Reset),
                // Slow enough that many connections are open at once.
                false => Answer::unread().pause(Duration::from_millis(30)).then(Step::Reply(
                    200,
                    Vec::new(),
                    "alive".into(),
                )),
            }
        })
    };
    let upstream = upstream.start().await;
    let gateway = Gateway::to(&upstream).start().await;
    for _ in 0..3 {
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let mut client = Client::http1(gateway.addr());
            asking.spawn(async move { client.get("/get").await });
        }
        while let Some(reply) = asking.join_next().await {
            reply.expect("no panic").assert_ok("alive");
        }
        assert!(upstream.open() > 1, "only {} pooled", upstream.open());
        doomed.store(upstream.connections(), Ordering::SeqCst);
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_post_after_the_upstream_closed_an_idle_connection_works() {
    let upstream = Upstream::http1().closes_idle_after(Duration::from_millis(100)).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http1(gateway.addr());
    for round in 0..5 {
        let target = format!("/post/{round}");
        client.post(&target, "body").await.assert_ok("ok");
        assert_eq!(times(&upstream.seen(), &target), 1);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn connections_of_three_requests_lose_no_get() {
    let upstream = Upstream::http1().closes_after_requests(3).start().await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = Client::http1(gateway.addr());
        asking.spawn(async move {
            let mut lost = Vec::new();
            for _ in 0..30 {
                let reply = client.get("/get").await;
                if (reply.status, reply.text().as_str()) != (200, "ok") {
                    lost.push(reply);
                }
            }
            lost
        });
    }
    let lost: Vec<_> = asking.join_all().await.into_iter().flatten().collect();
    assert!(lost.is_empty(), "{} of 240 lost: {:?}", lost.len(), lost[0]);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_replayed_request_carries_the_same_body() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.request {
            0 => Answer::ok("first"),
            _ => Answer::unread().then(Step::ReadBody).then(Step::Reset),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).start().await;
    let mut client = Client::http1(gateway.addr());
    for size in [0, 10, 1_000, 30_000] {
        client.get("/warm").await.assert_ok("first");
        let target = format!("/put/{size}");
        client.method("PUT", &target, Payload::pattern(size)).await.assert_ok("first");
        let seen = upstream.seen();
        let tries: Vec<&Seen> = seen.iter().filter(|seen| seen.target == target).collect();
        assert!(tries.len() <= 4, "{} tries", tries.len());
        let last = tries.last().expect("a try");
        assert!(last.complete && last.exact && last.body_length == size, "{last:?}");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_error_of_the_upstream_passes_unchanged() {
    let upstream = Upstream::http1()
        .script(|seen| {
            let status = seen.target.trim_start_matches('/').parse().unwrap_or(200);
            Answer::status(status, "its own words").header("x-own", "yes")
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).start().await;
    for status in [400, 404, 418, 500, 502, 503, 504, 599] {
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let target = format!("/{status}");
            let reply = client.get(&target).await;
            assert_eq!((reply.status, reply.text().as_str()), (status, "its own words"));
            assert_eq!(reply.header("x-own"), Some("yes"));
            assert!(!reply.is_by_gateway(), "{reply:?}");
            assert!(times(&upstream.seen(), &target) <= 2 * 4, "{status}");
        }
    }
    gateway.assert_quiet().await;
}

/// Asks 16 times in a row, with a body of its own each; every tenth request dies upstream.
async fn ask_with_nonces(mut client: Client, user: usize) -> Failures {
    let mut failures = Failures::new();
    for round in 0..16 {
        let nonce = format!("{user}-{round}-");
        let faulty = (user + round).is_multiple_of(10);
        let body = Pattern::new((user * 100 + round) as u64).bytes(100 + round * 700);
        let body = [nonce.as_bytes(), &body].concat();
        let path = if faulty { "/fault" } else { "/echo" };
        let reply = client.post(&format!("{path}/{nonce}"), body.clone()).await;
        let own = match faulty {
            true => reply.is_rejection(&[502, 503]),
            false => reply.status == 200 && reply.body == body && reply.is_complete(),
        };
        failures.check(own, || format!("{path} {nonce}: {} {:?}", reply.status, reply.end));
    }
    failures
}

#[tokio::test]
async fn every_answer_belongs_to_its_own_request() {
    let upstream = Upstream::http1()
        .script(|seen| match seen.target.starts_with("/fault") {
            true => Answer::unread().then(Step::ReadBody).then(Step::Reset),
            false => Answer::echo(),
        })
        .start()
        .await;
    let gateway = Gateway::to(&upstream).timeout("20s").start().await;
    let mut asking = tokio::task::JoinSet::new();
    for user in 0..64 {
        asking.spawn(ask_with_nonces(Client::http1(gateway.addr()), user));
    }
    for connection in 0..4 {
        let mut client = Client::http2(gateway.addr());
        client.connect().await;
        for stream in 0..16 {
            asking.spawn(ask_with_nonces(client.neighbour(), 1_000 + connection * 16 + stream));
        }
    }
    let all = within(Duration::from_secs(60), "2,048 requests", asking.join_all()).await;
    all.iter().for_each(Failures::assert_none);
    gateway.assert_quiet().await;
}
