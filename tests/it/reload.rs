//! A document that changes while the gateway runs (hardening 64, 65).

use std::time::Duration;

use gateway_tests::{
    Answer, Client, Failures, Gate, Gateway, GatewayBuilder, Load, Reply, Step, Upstream,
    eventually, within,
};

async fn named(name: &'static str) -> Upstream {
    Upstream::http1().answer(Answer::ok(name)).start().await
}

/// A gateway whose document has a mark that tests replace.
fn marked(upstream: &Upstream) -> GatewayBuilder {
    Gateway::to(upstream)
        .with_admin()
        .cluster("timeouts.idle = \"60s\"")
        .route("policy.response_headers = { set = { x-mark = \"mark 0\" } }")
}

async fn generation(gateway: &Gateway) -> u64 {
    gateway.admin().status().await["generation"].as_u64().expect("a number")
}

/// Sends `SIGHUP` and waits until that made a new generation.
async fn reload_by_signal(gateway: &Gateway) {
    let before = generation(gateway).await;
    gateway.signal("HUP");
    let waiting = async {
        while generation(gateway).await == before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(Duration::from_secs(5), "a new generation", waiting).await;
}

/// Reloads, which must work.
async fn reload(gateway: &Gateway) {
    let reply = gateway.admin().reload().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["generation"], generation(gateway).await);
}

#[tokio::test]
async fn a_hundred_reloads_under_load_lose_nothing_and_keep_nothing() {
    let upstream = named("ok").await;
    let gateway = marked(&upstream).start().await;
    let load = Load::start(gateway.addr(), 4, "/");
    let mut settled = None;
    for round in 1..=100_usize {
        gateway.edit_document(&format!("mark {}", round - 1), &format!("mark {round}"));
        // Now and then the cluster is another one too.
        if round.is_multiple_of(4) {
            let (from, to) = (56 + round, 60 + round);
            gateway.edit_document(&format!("idle = \"{from}s\""), &format!("idle = \"{to}s\""));
        }
        match round % 2 {
            0 => reload(&gateway).await,
            _ => reload_by_signal(&gateway).await,
        }
        if round == 30 {
            settled = Some(gateway.usage());
        }
        load.continues_for(5).await;
    }
    let (before, after) = (settled.expect("a look"), gateway.usage());
    load.stop().await.assert_good();
    assert_eq!(generation(&gateway).await, 101);
    let reply = Client::http1(gateway.addr()).get("/").await;
    assert_eq!(reply.header("x-mark"), Some("mark 100"));
    let grown = after.resident_kib.saturating_sub(before.resident_kib);
    assert!(grown < 8 << 10, "{grown} KiB more: {before:?}, {after:?}");
    assert!(after.threads <= before.threads, "{before:?}, {after:?}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_bad_document_changes_nothing_and_that_is_said() {
    let upstream = named("ok").await;
    let gateway = marked(&upstream).start().await;
    let good = gateway.document_text();
    let bad = [
        ("no TOML", "[[listeners".to_owned()),
        ("empty", String::new()),
        ("an unknown key", format!("{good}\n[surprise]\n")),
        ("an unknown cluster", good.replace("cluster = \"upstream\"", "cluster = \"nobody\"")),
        ("a wrong duration", good.replace("\"5s\"", "\"soon\"")),
        ("no endpoint", good.replace(&format!("{:?}", upstream.url()), "")),
        ("an endpoint that is none", good.replace(&upstream.url(), "gopher://a")),
    ];
    let mut failures = Failures::new();
    for (name, text) in bad {
        assert_ne!(text, good, "{name}");
        gateway.rewrite_document(&text.replace("mark 0", "never"));
        let reply = gateway.admin().reload().await;
        let problems = reply.json()["problems"].as_array().map_or(0, Vec::len);
        failures.check(reply.status == 409 && problems > 0, || format!("{name}: {reply:?}"));
        let status = gateway.admin().status().await;
        let said = status["reload_rejected"].is_string() && status["generation"] == 1;
        failures.check(said, || format!("{name}: {status}"));
        let mut client = Client::http1(gateway.addr());
        let reply = client.get("/").await;
        let same = reply.status == 200 && reply.header("x-mark") == Some("mark 0");
        failures.check(same, || format!("{name}: {reply:?}"));
    }
    failures.assert_none();
    let said = gateway.log().matches("document rejected; nothing has changed").count();
    assert_eq!(said, 7, "{}", gateway.log());
    // By signal it is no different, and no file is no document.
    std::fs::remove_file(gateway.document_path()).expect("remove the document");
    gateway.signal("HUP");
    let times = || gateway.log().matches("document rejected").count();
    eventually("it is said again", times, |times| *times == 8).await;
    gateway.rewrite_document(&good.replace("mark 0", "mark 1"));
    reload(&gateway).await;
    let status = gateway.admin().status().await;
    assert!(status["reload_rejected"].is_null() && status["generation"] == 2, "{status}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn what_cannot_change_is_rejected_by_name() {
    let upstream = named("ok").await;
    let gateway = marked(&upstream)
        .top("workers = 1")
        .more("[drain]\ntimeout = \"3s\"\n[startup]\nwait = \"1s\"")
        .start()
        .await;
    let good = gateway.document_text();
    let listener = format!("address = \"{}\"", gateway.addr());
    let changes = [
        ("workers", "workers = 1", "workers = 2"),
        ("listeners", listener.as_str(), "address = \"127.0.0.1:0\""),
        ("drain", "timeout = \"3s\"", "timeout = \"4s\""),
        ("startup", "wait = \"1s\"", "wait = \"2s\""),
        ("admin", "address = \"127.0.0.1:0\"", "address = \"127.0.0.1:9\""),
    ];
    for (what, from, to) in changes {
        gateway.rewrite_document(&good);
        gateway.edit_document(from, to);
        gateway.edit_document("mark 0", "never");
        let reply = gateway.admin().reload().await;
        let problems = reply.json()["problems"].to_string();
        assert_eq!(reply.status, 409, "{what}: {reply:?}");
        let named = problems.contains(what) && problems.contains("cannot change");
        assert!(named, "{what}: {problems}");
        let reply = Client::http1(gateway.addr()).get("/").await;
        assert_eq!(reply.header("x-mark"), Some("mark 0"), "{what}");
    }
    assert_eq!(generation(&gateway).await, 1);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_cluster_that_changed_keeps_its_connections() {
    let upstream = named("ok").await;
    let gateway = marked(&upstream).top("workers = 1").start().await;
    let mut client = Client::http1(gateway.addr());
    for round in 0..5 {
        client.get("/").await.assert_ok("ok");
        let (from, to) = (60 + round, 61 + round);
        gateway.edit_document(&format!("idle = \"{from}s\""), &format!("idle = \"{to}s\""));
        reload(&gateway).await;
    }
    client.get("/").await.assert_ok("ok");
    assert_eq!((upstream.connections(), client.connections()), (1, 1));
    let shown = gateway.admin().endpoint("upstream", &upstream.url()).await;
    assert_eq!(shown["connections"], 1, "{shown}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_endpoint_that_is_left_out_stays_so() {
    let bad = Upstream::http1().answer(Answer::status(503, "busy")).start().await;
    let good = named("good").await;
    let gateway = marked(&bad)
        .and(&good)
        .cluster("outlier_detection = { consecutive_failures = 2, base_ejection_time = \"60s\" }")
        .cluster("balance = \"round_robin\"")
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..4 {
        client.get("/").await;
    }
    let admin = gateway.admin();
    assert!(admin.endpoint("upstream", &bad.url()).await["ejected"].is_object());
    gateway.edit_document("idle = \"60s\"", "idle = \"61s\"");
    reload(&gateway).await;
    let shown = admin.endpoint("upstream", &bad.url()).await;
    assert!(shown["ejected"].is_object(), "{shown}");
    let before = bad.seen().len();
    for _ in 0..10 {
        client.get("/").await.assert_ok("good");
    }
    assert_eq!(bad.seen().len(), before);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_request_in_flight_ends_as_it_began() {
    let gate = Gate::new();
    let late = Answer::ok("late").steps_after(Answer::unread().then(Step::Gate(gate.clone())));
    let (old, new) = (Upstream::http1().answer(late).start().await, named("new").await);
    let gateway = marked(&old).knows(&new).start().await;
    let asked = tokio::spawn({
        let mut client = Client::http1(gateway.addr());
        async move { client.get("/").await }
    });
    eventually("a request upstream", || old.seen().len(), |seen| *seen == 1).await;
    // The endpoint itself is gone from the document.
    gateway.edit_document(&old.url(), &new.url());
    gateway.edit_document("mark 0", "mark 1");
    reload(&gateway).await;
    let reply = Client::http1(gateway.addr()).get("/").await;
    reply.assert_ok("new");
    assert_eq!(reply.header("x-mark"), Some("mark 1"));
    gate.open_for_all();
    let reply = asked.await.expect("an answer");
    reply.assert_ok("late");
    assert_eq!(reply.header("x-mark"), Some("mark 0"));
    // Whoever is no longer in the document keeps no connection.
    eventually("connections to it end", || old.open(), |open| *open == 0).await;
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn routes_come_and_go() {
    let upstream = named("ok").await;
    let gateway = marked(&upstream).start().await;
    let good = gateway.document_text();
    let mut client = Client::http1(gateway.addr());
    let route = "[[routes]]\nid = \"new\"\nmatch = { path = \"/new\" }\n\
                 target = { respond = { body = \"from the new one\" } }\n";
    gateway.rewrite_document(&format!("{good}\n{route}"));
    client.get("/new").await.assert_ok("ok");
    reload(&gateway).await;
    assert_eq!(client.get("/new").await.text(), "from the new one");
    let explained = gateway.admin().explain("http://gateway.test/new").await;
    assert!(explained.contains("`new` (generation 2)"), "{explained}");
    gateway.rewrite_document(&good);
    reload(&gateway).await;
    client.get("/new").await.assert_ok("ok");
    assert_eq!(client.connections(), 1);
    gateway.assert_quiet().await;
}

fn two_colours(blue: &Upstream, green: &Upstream) -> GatewayBuilder {
    let text = format!(
        r#"
        [[listeners]]
        address = "{{listen}}"
        [clusters.blue]
        endpoints = ["{}"]
        [clusters.green]
        endpoints = ["{}"]
        [[routes]]
        id = "all"
        match = {{ prefix = "/" }}
        target = {{ split = [{{ cluster = "blue", weight = 100 }}, {{ cluster = "green", weight = 0 }}] }}
        [admin]
        address = "127.0.0.1:0"
        "#,
        blue.url(),
        green.url()
    );
    Gateway::document(text).knows(blue).knows(green)
}

#[tokio::test]
async fn weights_move_from_blue_to_green_under_load() {
    let (blue, green) = (named("blue").await, named("green").await);
    let gateway = two_colours(&blue, &green).start().await;
    let good = |reply: &Reply| {
        reply.status == 200 && reply.is_complete() && ["blue", "green"].contains(&&*reply.text())
    };
    let load = Load::start_with(gateway.addr(), 8, "/", good);
    load.continues_for(100).await;
    assert_eq!(green.seen().len(), 0);
    let mut weights = (100, 0);
    for next in [(90, 10), (50, 50), (10, 90), (0, 100)] {
        let text = |(blue, green)| {
            format!("\"blue\", weight = {blue} }}, {{ cluster = \"green\", weight = {green}")
        };
        gateway.edit_document(&text(weights), &text(next));
        weights = next;
        let before = (blue.seen().len(), green.seen().len());
        reload(&gateway).await;
        load.continues_for(200).await;
        let now = (blue.seen().len() - before.0, green.seen().len() - before.1);
        // Within wide bounds: requests of before the reload are among them.
        let share = now.1 * 100 / (now.0 + now.1);
        assert!(share.abs_diff(next.1) <= 25, "{next:?}: {now:?}");
    }
    load.stop().await.assert_good();
    let before = blue.seen().len();
    for _ in 0..20 {
        Client::http2(gateway.addr()).get("/").await.assert_ok("green");
    }
    assert_eq!(blue.seen().len(), before);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn admin_rejects_requests_of_proxies() {
    let upstream = named("ok").await;
    let gateway = marked(&upstream).start().await;
    let before = generation(&gateway).await;
    for name in ["via", "forwarded", "x-forwarded-for"] {
        let reply = gateway.admin().reload_through(name).await;
        assert_eq!(reply.status, 403, "{name}: {reply:?}");
    }
    assert_eq!(generation(&gateway).await, before);
}
