//! Endpoints that come, go and fail, behind the whole program (hardening 43, 44, 46, 47).

use std::net::SocketAddr;
use std::time::Duration;

use gateway_tests::{
    Answer, Client, Failures, Gateway, GatewayBuilder, Load, Seen, Step, Upstream, eventually,
    within,
};
use tokio::time::Instant;

const CLIENTS: usize = 8;

/// An upstream that is a process: a gateway whose routes answer, with its own orderly end.
fn server(name: &str) -> GatewayBuilder {
    Gateway::document(format!(
        r#"
        workers = 1
        [[listeners]]
        address = "{{listen}}"
        [[routes]]
        id = "fresh"
        match = {{ path = "/fresh-check" }}
        target = {{ respond = {{ body = "fresh" }} }}
        [[routes]]
        id = "all"
        match = {{ prefix = "/" }}
        target = {{ respond = {{ body = "{name}" }} }}
        [drain]
        lame_duck = "0s"
        timeout = "3s"
        "#
    ))
}

fn in_front_of(servers: &[&Gateway]) -> GatewayBuilder {
    // What the gateway keeps open to processes is not counted: it should be less than the slack.
    let builder = Gateway::to_cluster().with_admin().top("workers = 1").cluster("pool.idle = 2");
    servers.iter().fold(builder, |builder, server| builder.and_process(server.addr()))
}

/// Waits until an endpoint's state in the admin API is as wanted.
async fn endpoint_becomes(gateway: &Gateway, url: &str, what: &str, ejected: bool) {
    let admin = gateway.admin();
    let look = async {
        while admin.endpoint("upstream", url).await["ejected"].is_null() == ejected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(5), what, look).await;
}

/// How many requests each upstream has seen.
fn counts(upstreams: &[&Upstream]) -> Vec<usize> {
    upstreams.iter().map(|upstream| upstream.seen().len()).collect()
}

fn named(name: &'static str) -> Answer {
    Answer::ok(name)
}

#[tokio::test]
async fn a_killed_process_of_two_costs_no_get() {
    let (one, other) = (server("one").start().await, server("other").start().await);
    let gateway = in_front_of(&[&one, &other]).start().await;
    let load = Load::start(gateway.addr(), CLIENTS, "/");
    load.continues_for(300).await;
    one.signal("KILL");
    load.continues_for(600).await;
    load.stop().await.assert_good();
    // Nobody else answers now.
    Client::http1(gateway.addr()).get("/").await.assert_ok("other");
    assert_eq!(gateway.admin().in_flight().await, 0);
    gateway.assert_quiet().await;
}

/// Ends a process in order and starts another one in its place.
async fn restart(server_now: Gateway, name: &str) -> Gateway {
    let addr = server_now.addr();
    server_now.signal("TERM");
    assert!(server_now.ended_within(Duration::from_secs(5)).await.success());
    server(name).at(addr).start().await
}

#[tokio::test]
async fn a_rolling_restart_of_three_processes_costs_no_get() {
    let names = ["one", "two", "three"];
    let mut servers = Vec::new();
    for name in names {
        servers.push(server(name).start().await);
    }
    let gateway = in_front_of(&servers.iter().collect::<Vec<_>>());
    let gateway =
        gateway.cluster("outlier_detection = { base_ejection_time = \"200ms\" }").start().await;
    let load = Load::start(gateway.addr(), CLIENTS, "/");
    load.continues_for(200).await;
    for (name, now) in names.iter().zip(std::mem::take(&mut servers)) {
        servers.push(restart(now, &format!("new {name}")).await);
        load.continues_for(200).await;
    }
    load.stop().await.assert_good();
    let mut failures = Failures::new();
    let mut client = Client::http1(gateway.addr());
    for _ in 0..30 {
        let reply = client.get("/").await;
        failures.check(reply.text().starts_with("new "), || format!("{reply:?}"));
    }
    failures.assert_none();
    gateway.assert_quiet().await;
}

/// Asks until an answer is there, and gives the time that took.
async fn until_well(addr: SocketAddr) -> Duration {
    let start = Instant::now();
    let asking = async {
        while Client::http1(addr).get("/").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(Duration::from_secs(3), "an answer after the return", asking).await;
    start.elapsed()
}

#[tokio::test]
async fn all_down_is_said_quickly_and_over_soon_after_their_return() {
    let mut upstreams = [Upstream::http1().start().await, Upstream::http1().start().await];
    let addrs: Vec<SocketAddr> = upstreams.iter().map(Upstream::addr).collect();
    let gateway = Gateway::to(&upstreams[0]).and(&upstreams[1]).start().await;
    Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    upstreams.iter_mut().for_each(Upstream::kill);
    for round in 0..30 {
        let mut client = match round % 2 {
            0 => Client::http1(gateway.addr()),
            _ => Client::http2(gateway.addr()),
        };
        let asked = client.get("/");
        within(Duration::from_secs(2), "a rejection", asked).await.assert_by_gateway(&[502, 503]);
    }
    let mut back = Vec::new();
    for addr in addrs {
        back.push(Upstream::http1().at(addr).start().await);
    }
    until_well(gateway.addr()).await;
    // And not only once.
    for _ in 0..20 {
        Client::http1(gateway.addr()).get("/").await.assert_ok("ok");
    }
    gateway.assert_quiet().await;
}

/// An upstream that accepts, reads a request and resets.
async fn resetting() -> Upstream {
    Upstream::http1().answer(Answer::unread().then(Step::ReadBody).then(Step::Reset)).start().await
}

#[tokio::test]
async fn upstreams_in_trouble_get_little_more_than_their_load() {
    const REQUESTS: usize = 400;
    let policies = [
        ("the cluster alone", ""),
        ("a retry", "policy.retry = { max_retries = 3, budget = { min_per_second = 1 } }"),
        (
            "a retry and a hedge",
            "policy.retry = { max_retries = 3, budget = { min_per_second = 1 } }\n\
             policy.hedge = { delay = \"5ms\" }",
        ),
    ];
    for (name, policy) in policies {
        let upstreams = [resetting().await, resetting().await, resetting().await];
        let builder = Gateway::to(&upstreams[0]).and(&upstreams[1]).and(&upstreams[2]);
        let gateway = builder.route(policy).start().await;
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let mut client = Client::http1(gateway.addr());
            asking.spawn(async move {
                for _ in 0..REQUESTS / 4 {
                    client.get("/").await.assert_by_gateway(&[502, 503]);
                }
            });
        }
        asking.join_all().await;
        let attempts: usize = counts(&upstreams.each_ref()).iter().sum();
        assert!(attempts >= REQUESTS, "{name}: {attempts} of {REQUESTS}");
        assert!(attempts * 10 <= REQUESTS * 13, "{name}: {attempts} attempts of {REQUESTS}");
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_out_and_taken_back_and_both_are_said() {
    let bad = Upstream::http1().script(|seen| match seen.target.as_str() {
        "/later" => named("recovered"),
        _ => Answer::status(503, "busy"),
    });
    let (bad, good) = (bad.start().await, Upstream::http1().answer(named("good")).start().await);
    let gateway = Gateway::to(&bad)
        .and(&good)
        .with_admin()
        .cluster("balance = \"round_robin\"")
        .cluster("outlier_detection = { consecutive_failures = 3, base_ejection_time = \"700ms\", max_ejection_time = \"700ms\" }")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    let (mut asked, ejected) = (0, gateway.admin());
    while ejected.endpoint("upstream", &bad.url()).await["ejected"].is_null() {
        asked += 1;
        assert!(asked <= 20, "{} never left out", bad.url());
        client.get("/").await;
    }
    assert_eq!(bad.seen().len(), 3);
    let shown = ejected.endpoint("upstream", &bad.url()).await;
    assert!(shown["ejected"]["cause"].is_string() && shown["picked"] == false, "{shown}");
    assert!(gateway.log().contains("to=\"ejected\""), "{}", gateway.log());
    // It is back by itself, and gets its share again.
    endpoint_becomes(&gateway, &bad.url(), "taken back", false).await;
    assert!(gateway.log().contains("its time is over"), "{}", gateway.log());
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(client.get("/later").await.text());
    }
    assert!(seen.contains(&"recovered".to_owned()), "{seen:?}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_ejected_endpoint_gets_nothing() {
    let bad = Upstream::http1().answer(Answer::status(502, "bad")).start().await;
    let good = Upstream::http1().answer(named("good")).start().await;
    let builder = Gateway::to(&bad).and(&good).with_admin();
    let builder = builder
        .cluster("outlier_detection = { consecutive_failures = 2, base_ejection_time = \"60s\" }");
    let gateway = builder.cluster("balance = \"round_robin\"").start().await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..4 {
        client.get("/").await;
    }
    endpoint_becomes(&gateway, &bad.url(), "left out", true).await;
    let before = bad.seen().len();
    for _ in 0..20 {
        client.get("/").await.assert_ok("good");
    }
    assert_eq!(bad.seen().len(), before);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_second_priority_takes_over_only_while_the_first_is_gone() {
    let mut first = Upstream::http1().answer(named("first")).start().await;
    let second = Upstream::http1().answer(named("second")).start().await;
    let gateway = Gateway::to_cluster()
        .and_with(&first, "priority = 0")
        .and_with(&second, "priority = 1")
        .cluster("outlier_detection = { consecutive_failures = 2, base_ejection_time = \"300ms\", max_ejection_time = \"300ms\", max_ejected_ratio = 1 }")
        .with_admin()
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..20 {
        client.get("/").await.assert_ok("first");
    }
    assert_eq!(second.seen().len(), 0);
    first.kill();
    for _ in 0..20 {
        client.get("/").await.assert_ok("second");
    }
    let again = Upstream::http1().answer(named("first")).at(first.addr()).start().await;
    let back = async {
        while client.get("/").await.text() != "first" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(5), "the first takes over again", back).await;
    assert!(!again.seen().is_empty());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn requests_stay_in_their_zone_while_it_is_well() {
    let mut near = Upstream::http1().answer(named("near")).start().await;
    let far = Upstream::http1().answer(named("far")).start().await;
    let gateway = Gateway::to_cluster()
        .and_with(&near, "zone = \"a\"")
        .and_with(&far, "zone = \"b\"")
        .cluster("zone = \"a\"")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..30 {
        client.get("/").await;
    }
    assert_eq!(counts(&[&near, &far]), [30, 0]);
    near.kill();
    for _ in 0..20 {
        client.get("/").await.assert_ok("far");
    }
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn weights_are_respected() {
    for (balance, slack) in [("weighted_round_robin", 2), ("random", 60)] {
        let upstreams = [
            Upstream::http1().start().await,
            Upstream::http1().start().await,
            Upstream::http1().start().await,
        ];
        let gateway = Gateway::to_cluster()
            .and_with(&upstreams[0], "weight = 3")
            .and_with(&upstreams[1], "weight = 1")
            .and_with(&upstreams[2], "weight = 0")
            .cluster(&format!("balance = {balance:?}"))
            .top("workers = 1")
            .start()
            .await;
        let mut client = Client::http1(gateway.addr());
        for _ in 0..400 {
            client.get("/").await.assert_ok("ok");
        }
        let seen = counts(&upstreams.each_ref());
        assert!(seen[0].abs_diff(300) <= slack, "{balance}: {seen:?}");
        assert_eq!(seen[2], 0, "{balance}: {seen:?}");
        gateway.assert_quiet().await;
    }
}

#[tokio::test]
async fn requests_avoid_the_endpoint_that_is_busy() {
    let slow = Upstream::http1().script(|seen: &Seen| match seen.target.as_str() {
        "/" => Answer::hang(),
        _ => named("slow"),
    });
    let (slow, quick) =
        (slow.start().await, Upstream::http1().answer(named("quick")).start().await);
    let builder = Gateway::to(&slow).and(&quick).cluster("balance = \"least_requests\"");
    let gateway = builder.timeout("10s").start().await;
    // One request hangs; from then on there is always one with fewer.
    let hanging = tokio::spawn({
        let addr = gateway.addr();
        async move {
            let mut client = Client::http1(addr);
            while client.get("/").await.text() == "quick" {}
        }
    });
    eventually("one hangs", || slow.seen().len(), |seen| *seen == 1).await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..20 {
        client.get("/x").await.assert_ok("quick");
    }
    hanging.abort();
    gateway.assert_quiet().await;
}
