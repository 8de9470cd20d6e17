//! Policies of a document, through the whole program: what the client gets, what upstreams see.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_tests::{
    Answer, Client, Gate, Gateway, GatewayBuilder, Payload, Reply, Seen, Step, Upstream,
    eventually, within,
};
use http::Request;

const PATIENCE: Duration = Duration::from_secs(5);

async fn named(name: &'static str) -> Upstream {
    Upstream::http1().answer(Answer::ok(name)).start().await
}

/// An upstream that is in trouble until it is said to be well.
async fn in_trouble() -> (Upstream, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let script = {
        let well = Arc::clone(&well);
        move |_: &Seen| match well.load(Ordering::SeqCst) {
            true => Answer::ok("well"),
            false => Answer::status(503, "busy"),
        }
    };
    (Upstream::http1().script(script).start().await, well)
}

fn with_header(name: &str, value: &str) -> Request<Payload> {
    let request = Request::builder().uri("/").header(name, value);
    request.body(Payload::empty()).expect("a request")
}

/// A cluster beside the one that the harness knows.
fn cluster(name: &str, upstream: &Upstream) -> String {
    format!("[clusters.{name}]\nendpoints = [{:?}]", upstream.url())
}

#[tokio::test]
async fn a_breaker_opens_says_when_to_come_back_and_recovers() {
    let (upstream, well) = in_trouble().await;
    let gateway = Gateway::to(&upstream)
        .with_admin()
        .cluster("outlier_detection = \"off\"")
        .cluster("circuit_breaker = { consecutive_failures = 3, open = \"1s\", half_open = 1 }")
        .start()
        .await;
    let mut clients = [Client::http1(gateway.addr()), Client::http2(gateway.addr())];
    for _ in 0..3 {
        assert_eq!(clients[0].get("/").await.text(), "busy");
    }
    for client in &mut clients {
        let reply = client.get("/").await;
        reply.assert_by_gateway(&[503]);
        assert_eq!(reply.reason().as_deref(), Some("circuit_open"));
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    let call = Request::builder().method("POST").uri("/orders.Orders/Get");
    let call = call.header("content-type", "application/grpc").body("".into());
    let reply = clients[1].send(call.expect("a request")).await;
    assert_eq!((reply.status, reply.header("grpc-status")), (200, Some("14")), "{reply:?}");
    assert_eq!(upstream.seen().len(), 3, "somebody was let through");
    let shown = gateway.admin().cluster("upstream").await["circuit_breaker"].clone();
    assert!(shown["state"] == "open" && shown["opened"] == 1, "{shown}");
    well.store(true, Ordering::SeqCst);
    let recovery = async {
        while clients[0].get("/").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(PATIENCE, "the breaker closes", recovery).await;
    // One probe was all it took.
    for _ in 0..20 {
        clients[1].get("/").await.assert_ok("well");
    }
    let shown = gateway.admin().cluster("upstream").await["circuit_breaker"].clone();
    assert!(shown["state"] == "closed" && shown["opened"] == 1, "{shown}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_open_breaker_stays_open_over_a_reload() {
    let (upstream, _) = in_trouble().await;
    let gateway = Gateway::to(&upstream)
        .with_admin()
        .cluster("outlier_detection = \"off\"")
        .cluster("circuit_breaker = { consecutive_failures = 2, open = \"60s\" }")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..2 {
        assert_eq!(client.get("/").await.text(), "busy");
    }
    // The route is another one, then the cluster.
    for (from, to) in
        [("\"5s\"", "\"6s\""), ("outlier_detection = \"off\"", "timeouts.idle = \"9s\"")]
    {
        gateway.edit_document(from, to);
        assert_eq!(gateway.admin().reload().await.status, 200);
        let reply = client.get("/").await;
        assert_eq!(reply.reason().as_deref(), Some("circuit_open"), "{reply:?}");
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn a_fixed_answer_stands_in_and_says_so() {
    let rejecting = Upstream::rejecting();
    let gateway = Gateway::to(&rejecting)
        .route("policy.fallback = { respond = { status = 200, body = \"instead\" } }")
        .start()
        .await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        for method in ["GET", "POST"] {
            let reply = client.method(method, "/", "body".into()).await;
            assert_eq!((reply.status, reply.text().as_str()), (200, "instead"), "{method}");
            assert!(reply.header("x-gateway-fallback").is_some(), "{reply:?}");
        }
    }
    assert!(gateway.log().contains("fallback_for=connect_failed"), "{}", gateway.log());
}

#[tokio::test]
async fn another_cluster_stands_in_where_nothing_is_done_twice() {
    let upstream = Upstream::http1().script(|seen| match seen.target.as_str() {
        "/busy" => Answer::status(503, "busy"),
        "/reset" => Answer::unread().then(Step::ReadBody).then(Step::Reset),
        "/none" => Answer::status(404, "none"),
        _ => Answer::ok("itself"),
    });
    let (upstream, legacy) = (upstream.start().await, named("legacy").await);
    let gateway = Gateway::to(&upstream)
        .knows(&legacy)
        .cluster("outlier_detection = \"off\"")
        .more(&cluster("old", &legacy))
        .route("policy.fallback = { cluster = \"old\" }")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for target in ["/busy", "/reset"] {
        let reply = client.get(target).await;
        reply.assert_ok("legacy");
        assert_eq!(reply.header("x-gateway-fallback"), Some("old"), "{target}");
        assert_eq!(legacy.seen().last().map(|seen| seen.target.clone()).as_deref(), Some(target));
    }
    let before = legacy.seen().len();
    for (target, status) in [("/busy", 503), ("/reset", 502), ("/none", 404)] {
        let reply = client.post(target, "order").await;
        assert_eq!((reply.status, reply.header("x-gateway-fallback")), (status, None), "{target}");
    }
    for target in ["/none", "/"] {
        let reply = client.get(target).await;
        assert_eq!(reply.header("x-gateway-fallback"), None, "{target}");
    }
    assert_eq!(legacy.seen().len(), before);
    gateway.assert_quiet().await;
}

fn ask(gateway: &Gateway) -> tokio::task::JoinHandle<Reply> {
    let mut client = Client::http1(gateway.addr());
    tokio::spawn(async move { client.get("/").await })
}

#[tokio::test]
async fn what_is_too_much_is_rejected_at_once_and_what_may_wait_waits() {
    let gate = Gate::new();
    let late = Answer::ok("late").steps_after(Answer::unread().then(Step::Gate(gate.clone())));
    let upstream = Upstream::http1().answer(late).start().await;
    let line = "concurrency = { limit = 1, queue = 1, queue_timeout = \"20s\" }";
    let gateway = Gateway::to(&upstream).timeout("20s").cluster(line).start().await;
    let first = ask(&gateway);
    eventually("one upstream", || upstream.seen().len(), |seen| *seen == 1).await;
    let waiting = [ask(&gateway), ask(&gateway), ask(&gateway), ask(&gateway)];
    // Only one of the four may wait; which one is not known.
    let rejected = || waiting.iter().filter(|asked| asked.is_finished()).count();
    eventually("three are rejected", rejected, |rejected| *rejected == 3).await;
    assert_eq!(upstream.seen().len(), 1);
    gate.open_for_all();
    first.await.expect("an answer").assert_ok("late");
    let mut answered = 0;
    for asked in waiting {
        let reply = asked.await.expect("an answer");
        match reply.status {
            200 => answered += 1,
            _ => {
                reply.assert_by_gateway(&[503]);
                assert_eq!(reply.reason().as_deref(), Some("concurrency_limit"));
                let after = reply.header("retry-after").and_then(|after| after.parse().ok());
                assert!(after.is_some_and(|after: u32| (1..=60).contains(&after)), "{reply:?}");
            }
        }
    }
    assert_eq!((answered, upstream.seen().len()), (1, 2));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn who_waited_long_enough_is_rejected_and_who_left_makes_room() {
    let upstream = Upstream::http1().script(|seen| match seen.target.as_str() {
        "/" => Answer::hang(),
        _ => Answer::ok("answer"),
    });
    let upstream = upstream.start().await;
    let line = "concurrency = { limit = 1, queue = 1, queue_timeout = \"150ms\" }";
    let gateway = Gateway::to(&upstream).timeout("20s").cluster(line).start().await;
    let first = ask(&gateway);
    eventually("one upstream", || upstream.seen().len(), |seen| *seen == 1).await;
    let reply = Client::http1(gateway.addr()).get("/second").await;
    reply.assert_by_gateway(&[503]);
    assert_eq!(reply.reason().as_deref(), Some("queue_timeout"));
    // The one under way leaves: its permit is free again.
    first.abort();
    let left = || upstream.seen().iter().all(|seen| seen.left.is_some());
    eventually("the upstream is left", left, |left| *left).await;
    for _ in 0..5 {
        Client::http2(gateway.addr()).get("/third").await.assert_ok("answer");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn copies_arrive_and_nobody_waits_for_them() {
    let real = named("real").await;
    let copy = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = Gateway::to(&real)
        .knows(&copy)
        .more(&cluster("copy", &copy))
        .route("policy.mirror = { cluster = \"copy\", timeout = \"1s\" }")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    let asking = async {
        for number in 0..20 {
            client.get(&format!("/{number}?a=b")).await.assert_ok("real");
            // Not to be done twice.
            client.post(&format!("/post/{number}"), "body").await.assert_ok("real");
        }
    };
    // A tenth of what waiting for the copies would take.
    within(Duration::from_secs(4), "answers", asking).await;
    let copies = eventually("copies", || copy.seen(), |seen| seen.len() == 20).await;
    let targets: HashSet<String> = copies.iter().map(|seen| seen.target.clone()).collect();
    assert!((0..20).all(|number| targets.contains(&format!("/{number}?a=b"))), "{targets:?}");
    assert!(copies.iter().all(|seen| seen.header("x-gateway-mirror") == Some("1")));
    assert!(real.seen().iter().all(|seen| seen.header("x-gateway-mirror").is_none()));
    eventually("copies are given up", || copy.open(), |open| *open == 0).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_mirror_gets_its_share_with_bodies_and_may_be_gone() {
    let (real, mut copy) = (named("real").await, named("copy").await);
    let mirror = "{ cluster = \"copy\", percent = 50, methods = \"all\" }";
    let gateway = Gateway::to(&real)
        .knows(&copy)
        .more(&cluster("copy", &copy))
        .top("workers = 1")
        .route(&format!("policy.mirror = {mirror}"))
        .start()
        .await;
    let mut client = Client::http2(gateway.addr());
    for number in 0..20 {
        let target = format!("/{number}");
        client.method("POST", &target, Payload::pattern(5_000)).await.assert_ok("real");
    }
    let copies = eventually("copies", || copy.seen(), |seen| seen.len() == 10).await;
    eventually("whole", || copy.seen().iter().all(|seen| seen.complete), |whole| *whole).await;
    assert!(copies.iter().all(|seen| seen.method == "POST"));
    assert!(copy.seen().iter().all(|seen| seen.exact && seen.body_length == 5_000));
    copy.kill();
    for _ in 0..20 {
        client.get("/").await.assert_ok("real");
    }
    gateway.assert_quiet().await;
}

fn split(one: &Upstream, other: &Upstream, keys: &str) -> GatewayBuilder {
    let parts = "[{ cluster = \"upstream\", weight = 3 }, { cluster = \"other\", weight = 1 }]";
    let more = format!(
        "{}\n[[routes]]\nid = \"split\"\npriority = 1\nmatch = {{ prefix = \"/\" }}\n\
         target = {{ split = {parts}{keys} }}",
        cluster("other", other)
    );
    Gateway::to(one).knows(other).more(&more)
}

#[tokio::test]
async fn requests_are_split_by_weight_and_can_be_forced() {
    let (one, other) = (named("one").await, named("other").await);
    let gateway = split(&one, &other, ", force_header = \"x-variant\"").start().await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..400 {
        assert_eq!(client.get("/").await.status, 200);
    }
    // By chance: six standard deviations.
    assert!(other.seen().len().abs_diff(100) <= 52, "{} of 400", other.seen().len());
    for (forced, name) in [("other", "other"), ("upstream", "one")] {
        for _ in 0..10 {
            client.send(with_header("x-variant", forced)).await.assert_ok(name);
        }
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_split_keeps_together_what_belongs_together() {
    let (one, other) = (named("one").await, named("other").await);
    let gateway = split(&one, &other, ", split_by = \"header:x-user\"").start().await;
    let mut where_to: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    for _ in 0..3 {
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            for user in 0..40 {
                let user = format!("user {user}");
                let reply = client.send(with_header("x-user", &user)).await;
                where_to.entry(user).or_default().insert(reply.text());
            }
        }
    }
    assert!(where_to.values().all(|places| places.len() == 1), "{where_to:?}");
    let all: HashSet<&String> = where_to.values().flatten().collect();
    assert_eq!(all.len(), 2, "{where_to:?}");
    gateway.assert_quiet().await;
}

fn three(upstreams: &[Upstream; 3]) -> GatewayBuilder {
    Gateway::to(&upstreams[0]).and(&upstreams[1]).and(&upstreams[2])
}

async fn trio() -> [Upstream; 3] {
    [named("one").await, named("two").await, named("three").await]
}

#[tokio::test]
async fn a_cookie_leads_back_to_its_endpoint_and_elsewhere_when_that_is_gone() {
    let mut upstreams = trio().await;
    let gateway = three(&upstreams).cluster("sticky = { cookie = \"gw\" }").start().await;
    let mut client = Client::http1(gateway.addr());
    let first = client.get("/").await;
    let cookie = |reply: &Reply| {
        let set = reply.header("set-cookie").expect("a cookie");
        set.split(';').next().expect("a pair").to_owned()
    };
    let own = cookie(&first);
    assert!(own.starts_with("gw="), "{own}");
    for _ in 0..10 {
        for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
            let reply = client.send(with_header("cookie", &own)).await;
            assert_eq!((reply.text(), reply.header("set-cookie")), (first.text(), None));
        }
    }
    let place = ["one", "two", "three"].iter().position(|name| *name == first.text());
    upstreams[place.expect("one of three")].kill();
    let reply = client.send(with_header("cookie", &own)).await;
    assert!(reply.status == 200 && reply.text() != first.text(), "{reply:?}");
    let next = cookie(&reply);
    assert_ne!(next, own);
    for _ in 0..10 {
        assert_eq!(client.send(with_header("cookie", &next)).await.text(), reply.text());
    }
    gateway.assert_quiet().await;
}

/// Who answers each of 40 users.
async fn places(gateway: &Gateway) -> Vec<String> {
    let mut client = Client::http1(gateway.addr());
    let mut places = Vec::new();
    for user in 0..40 {
        let reply = client.send(with_header("x-user", &user.to_string())).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        places.push(reply.text());
    }
    places
}

#[tokio::test]
async fn a_hash_leads_each_user_to_one_endpoint_and_moves_only_those_of_a_dead_one() {
    let mut upstreams = trio().await;
    let keys = "keys = [\"header:x-user\"], load = \"off\"";
    let gateway = three(&upstreams)
        .cluster(&format!("balance = {{ consistent_hash = {{ {keys} }} }}"))
        .start()
        .await;
    let before = places(&gateway).await;
    assert_eq!(before.iter().collect::<HashSet<_>>().len(), 3, "{before:?}");
    assert_eq!(places(&gateway).await, before);
    upstreams[1].kill();
    let after = places(&gateway).await;
    for (user, (before, after)) in before.iter().zip(&after).enumerate() {
        match before.as_str() {
            "two" => assert_ne!(after, "two", "{user}"),
            _ => assert_eq!(before, after, "{user}"),
        }
    }
    gateway.assert_quiet().await;
}

/// What the upstream was told to remain, in milliseconds, of each try.
fn remaining(upstream: &Upstream, name: &str) -> Vec<u64> {
    let told = |seen: &Seen| {
        let value = seen.header(name).expect("a deadline").trim_end_matches('m').to_owned();
        value.parse().expect("milliseconds")
    };
    upstream.seen().iter().map(told).collect()
}

#[tokio::test]
async fn an_upstream_is_told_what_remains_of_the_time() {
    for (name, value) in [("x-request-deadline-ms", "3000"), ("grpc-timeout", "3S")] {
        let slowly = Duration::from_millis(200);
        let upstream = Upstream::http1().answers(vec![
            Answer::status(503, "busy").steps_after(Answer::unread().pause(slowly)),
            Answer::ok("second"),
        ]);
        let upstream = upstream.start().await;
        let gateway = Gateway::to(&upstream).timeout("30s").route("policy.retry = {}");
        let gateway = gateway.start().await;
        let mut client = Client::http1(gateway.addr());
        client.send(with_header(name, value)).await.assert_ok("second");
        let told = remaining(&upstream, name);
        assert_eq!(told.len(), 2, "{name}: {told:?}");
        assert!(told[0] <= 3_000 && told[0] > 1_000, "{name}: {told:?}");
        assert!(told[1] + 200 <= told[0], "{name}: {told:?}");
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_client_that_has_little_time_is_answered_in_it_and_the_upstream_is_left() {
    let upstream = Upstream::http1().answer(Answer::hang()).start().await;
    let gateway = Gateway::to(&upstream).timeout("30s").route("policy.retry = {}").start().await;
    let mut client = Client::http1(gateway.addr());
    let asked = client.send(with_header("x-request-deadline-ms", "300"));
    let reply = within(PATIENCE, "an answer", asked).await;
    reply.assert_by_gateway(&[504]);
    let left = || upstream.seen().iter().all(|seen| seen.left.is_some());
    eventually("the upstream is left", left, |left| *left).await;
    assert_eq!(upstream.seen().len(), 1);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_made_elsewhere() {
    let slow = Upstream::http1().answer(Answer::hang()).start().await;
    let quick = named("quick").await;
    let gateway = Gateway::to(&slow)
        .and(&quick)
        .cluster("balance = \"round_robin\"\noutlier_detection = \"off\"")
        .route("policy.attempt_timeout = \"150ms\"\npolicy.retry = { on = [\"timeout\"] }")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for number in 0..8 {
        client.get(&format!("/get/{number}")).await.assert_ok("quick");
    }
    let (mut slowly, mut quickly) = (0, 0);
    for number in 0..8 {
        let target = format!("/post/{number}");
        let reply = client.post(&target, "body").await;
        match reply.status {
            200 => quickly += 1,
            _ => slowly += 1,
        }
        assert!(reply.status == 200 || reply.is_rejection(&[504]), "{reply:?}");
        let seen = [slow.seen(), quick.seen()].concat();
        assert_eq!(seen.iter().filter(|seen| seen.target == target).count(), 1, "{target}");
    }
    assert!(slowly > 0 && quickly > 0, "{slowly} and {quickly}");
    assert!(slow.seen().iter().any(|seen| seen.method == "GET"), "nobody asked the slow one");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_slow_answer_is_asked_for_once_more_beside_it() {
    let slow = Upstream::http1().answer(Answer::hang()).start().await;
    let quick = named("quick").await;
    let gateway = Gateway::to(&slow)
        .and(&quick)
        .timeout("1s")
        .cluster("balance = \"round_robin\"\noutlier_detection = \"off\"")
        .route("policy.hedge = { delay = \"50ms\" }")
        .start()
        .await;
    let mut client = Client::http2(gateway.addr());
    for number in 0..8 {
        client.get(&format!("/get/{number}")).await.assert_ok("quick");
    }
    let left = || slow.seen().iter().all(|seen| seen.left.is_some());
    eventually("the slow ones are given up", left, |left| *left).await;
    assert!(!slow.seen().is_empty() && slow.seen().len() <= 8, "{}", slow.seen().len());
    for number in 0..4 {
        let target = format!("/post/{number}");
        client.post(&target, "body").await;
        let seen = [slow.seen(), quick.seen()].concat();
        assert_eq!(seen.iter().filter(|seen| seen.target == target).count(), 1, "{target}");
    }
    gateway.assert_quiet().await;
}
