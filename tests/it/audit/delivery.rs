//! Receivers that fail, stall or are away, files that move, and the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gateway_tests::certs::{Authority, Files};
use gateway_tests::{Answer, Client, free_port, run_gateway};
use tokio::time::Instant;

use super::*;
use crate::routing::LISTENER;

/// A gateway to `upstream` with this `[audit]`.
async fn gateway(upstream: &Upstream, audit: &str) -> Gateway {
    let admin = "[admin]\naddress = \"127.0.0.1:0\"\n[drain]\nlame_duck = \"0s\"\n";
    let text = format!("{LISTENER}{}{admin}[audit]\n{audit}\n", routes(upstream));
    Gateway::document(text).knows(upstream).start().await
}

/// Asks `count` times for what is rejected, and is answered as quickly as ever.
async fn rejected(gateway: &Gateway, count: usize) {
    let mut client = Client::http1(gateway.addr());
    let began = Instant::now();
    for _ in 0..count {
        let reply = client.get("/denied").await;
        assert_eq!(reply.reason().as_deref(), Some("address_denied"), "{reply:?}");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{count} requests took {took:?}");
}

/// What is posted where, and quickly.
fn http(url: &str, more: &str) -> String {
    format!("http = {{ url = \"{url}/events\", interval = \"10ms\", timeout = \"500ms\"{more} }}")
}

#[tokio::test]
async fn what_the_receiver_failed_to_take_comes_again_and_nothing_is_lost() {
    let upstream = Upstream::http1().start().await;
    let fails = Arc::new(AtomicUsize::new(3));
    let left = Arc::clone(&fails);
    let receiver = Upstream::http1().script_after_body(move |_| {
        let one_less = |left: usize| left.checked_sub(1);
        match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(3) => Answer::status(500, "oh"),
            Ok(2) => Answer::status(429, "no").header("retry-after", "0"),
            Ok(_) => Answer::unread().then(gateway_tests::Step::Reset),
            Err(_) => Answer::status(204, ""),
        }
    });
    let receiver = receiver.start().await;
    let gateway = gateway(&upstream, &http(&receiver.url(), ", batch = 5")).await;
    rejected(&gateway, 23).await;
    let events = receives(&receiver, 23).await;
    assert!(events.iter().all(|event| event["reason"] == "address_denied"));
    assert_eq!(fails.load(Ordering::Relaxed), 0, "it did fail");
    let sink = until_counts(&gateway, |sink| sink["sent"] == 23).await;
    assert_eq!((&sink["dropped"], &sink["failed"]), (&0.into(), &0.into()), "{sink}");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_receiver_that_stalls_slows_nobody_and_what_finds_no_room_is_counted_and_told() {
    let upstream = Upstream::http1().start().await;
    let stalls = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&stalls);
    let receiver =
        Upstream::http1().script_after_body(move |_| match now.load(Ordering::Relaxed) {
            true => Answer::hang(),
            false => Answer::status(200, ""),
        });
    let receiver = receiver.start().await;
    let more = ", queue = 20, batch = 20, retries = 1000";
    let gateway = gateway(&upstream, &http(&receiver.url(), more)).await;
    rejected(&gateway, 60).await;
    let sink = until_counts(&gateway, |sink| sink["failure"].is_string()).await;
    assert_eq!([&sink["taken"], &sink["queued"], &sink["dropped"]], [20, 20, 40], "{sink}");
    assert!(gateway.log().contains("audit events were lost"), "{}", gateway.log());
    stalls.store(false, Ordering::Relaxed);
    let events = receives(&receiver, 21).await;
    let lost: Vec<_> = events.iter().filter(|event| event["kind"] == "audit").collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!((&lost[0]["reason"], &lost[0]["dropped"]), (&"events_dropped".into(), &40.into()));
    // It is as if nothing had been.
    rejected(&gateway, 1).await;
    receives(&receiver, 22).await;
}

#[tokio::test]
async fn a_receiver_that_is_away_gets_everything_once_it_is_there() {
    let upstream = Upstream::http1().start().await;
    let address = format!("127.0.0.1:{}", free_port());
    let gateway = gateway(&upstream, &http(&format!("http://{address}"), "")).await;
    rejected(&gateway, 30).await;
    let sink = until_counts(&gateway, |sink| sink["failure"].is_string()).await;
    assert_eq!(sink["queued"], 30, "{sink}");
    let at = address.parse().expect("an address");
    let receiver = Upstream::http1().at(at).start().await;
    receives(&receiver, 30).await;
    let sink = until_counts(&gateway, |sink| sink["sent"] == 30).await;
    assert_eq!((&sink["failure"], &sink["failed"]), (&Value::Null, &0.into()), "{sink}");
}

#[tokio::test]
async fn a_signal_ends_the_gateway_once_what_waited_has_arrived() {
    let upstream = Upstream::http1().start().await;
    let receiver = Upstream::http1().start().await;
    let (files, slow) = (Files::new(), ", interval = \"1h\"");
    let file = files.folder().join("audit.jsonl");
    let audit = format!(
        "file = {file:?}\nhttp = {{ url = \"{}/events\", timeout = \"5s\"{slow} }}",
        receiver.url()
    );
    let gateway = gateway(&upstream, &audit).await;
    rejected(&gateway, 7).await;
    assert!(receiver.seen().is_empty(), "more may come");
    gateway.signal("TERM");
    assert!(gateway.ended_within(PATIENCE).await.success());
    receives(&receiver, 7).await;
    assert_eq!(written(&file).len(), 7);
    assert!(!gateway.log().contains("lost"), "{}", gateway.log());
}

#[tokio::test]
async fn the_end_comes_in_time_though_the_receiver_stalls() {
    let upstream = Upstream::http1().start().await;
    let receiver = Upstream::http1().script_after_body(|_| Answer::hang()).start().await;
    let audit = format!("flush = \"1s\"\n{}", http(&receiver.url(), ""));
    let gateway = gateway(&upstream, &audit).await;
    rejected(&gateway, 3).await;
    let began = Instant::now();
    gateway.signal("TERM");
    assert!(gateway.ended_within(PATIENCE).await.success());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let log = gateway.log();
    assert!(log.contains("audit events are lost") && log.contains("left=3"), "{log}");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_begun_anew() {
    let (upstream, files) = (Upstream::http1().start().await, Files::new());
    let (file, old) = (files.folder().join("audit.jsonl"), files.folder().join("audit.jsonl.1"));
    let gateway = gateway(&upstream, &format!("file = {file:?}")).await;
    let lines = async |path: &Path, count: usize| {
        let there = || written(path).len();
        eventually_within(PATIENCE, "lines", there, |there| *there == count).await;
    };
    rejected(&gateway, 2).await;
    lines(&file, 2).await;
    std::fs::rename(&file, &old).expect("moved");
    rejected(&gateway, 3).await;
    lines(&file, 3).await;
    assert_eq!(written(&old).len(), 2);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn an_audit_cannot_change_and_is_checked_without_being_begun() {
    let (upstream, files) = (Upstream::http1().start().await, Files::new());
    let receiver = Upstream::http1().start().await;
    let file = files.folder().join("audit.jsonl");
    let audit = format!("file = {file:?}\n{}", http(&receiver.url(), ""));
    let gateway = gateway(&upstream, &audit).await;
    let path = gateway.document_path();
    let config = path.to_str().expect("a path");
    assert!(run_gateway(&["check", "--config", config], "").status.success());
    assert_eq!(receiver.connections(), 0);
    assert!(!file.exists(), "whoever only checks leaves nothing behind");

    gateway.edit_document("interval = \"10ms\"", "interval = \"20ms\"");
    let reply = gateway.admin().reload().await;
    assert_eq!(reply.status, 409);
    assert!(reply.text().contains("audit: cannot change while the gateway runs"), "{reply:?}");
    // That somebody tried is an event.
    let [event] = receives(&receiver, 1).await.try_into().expect("one");
    assert_eq!((&event["kind"], &event["reason"]), (&"configuration".into(), &"snapshot".into()));
    assert_eq!((&event["to"], &event["name"]), (&"kept".into(), &"document".into()));

    let nowhere = files.folder().join("none/audit.jsonl");
    gateway.edit_document(file.to_str().expect("a path"), nowhere.to_str().expect("a path"));
    let output = run_gateway(&["check", "--config", config], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("audit.file: "), "{said}");
    assert!(said.contains("cannot be written"), "{said}");
}

#[tokio::test]
async fn the_environment_alone_makes_an_audit_and_without_it_there_is_none() {
    let upstream = Upstream::http1().start().await;
    let receiver = Upstream::http1().start().await;
    let text = format!("{LISTENER}{}[admin]\naddress = \"127.0.0.1:0\"\n", routes(&upstream));
    let gateway = Gateway::document(&*text).knows(&upstream).start().await;
    assert_eq!(gateway.admin().status().await["audit"], Value::Null);
    rejected(&gateway, 1).await;
    let audited = Gateway::document(&*text)
        .knows(&upstream)
        .environment("GATEWAY__AUDIT__HTTP__URL", &format!("{}/events", receiver.url()))
        .environment("GATEWAY__AUDIT__HTTP__TOKEN", "of the environment")
        .environment("RUST_LOG", "off");
    let audited = audited.start().await;
    rejected(&audited, 2).await;
    receives(&receiver, 2).await;
    let seen = receiver.seen().pop().expect("a batch");
    assert_eq!(seen.header("authorization"), Some("Bearer of the environment"));
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_a_receiver_that_stalls() {
    let upstream = Upstream::http1().start().await;
    let receiver = Upstream::http1().script_after_body(|_| Answer::hang()).start().await;
    let audit = format!("flush = \"1h\"\n{}", http(&receiver.url(), ", retries = 1000"));
    let gateway = gateway(&upstream, &audit).await;
    rejected(&gateway, 3).await;
    gateway.signal("TERM");
    let drained = || tokio::net::TcpStream::connect(gateway.addr());
    while drained().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    gateway.signal("TERM");
    assert!(gateway.ended_within(Duration::from_secs(10)).await.success());
    assert!(gateway.log().contains("audit events are lost"), "{}", gateway.log());
}

#[tokio::test]
async fn a_receiver_is_told_nothing_unless_its_certificate_is_trusted() {
    let (upstream, files) = (Upstream::http1().start().await, Files::new());
    let (authority, other) = (Authority::new("receiver"), Authority::new("other"));
    let pair = files.pair("a", &authority.server(&["localhost"]));
    let receiver = Upstream::http1().start().await;
    let secure = Gateway::to(&receiver).listener(&format!("tls = {{ certificates = [{pair}] }}"));
    let secure = secure.start().await;
    let url = format!("https://localhost:{}", secure.addr().port());
    let trusting = |name: &str, authority: &Authority| {
        let ca = files.write(name, &authority.pem());
        http(&url, &format!(", token = \"planted\", ca = {ca:?}"))
    };
    let wary = gateway(&upstream, &trusting("other.pem", &other)).await;
    rejected(&wary, 2).await;
    let sink = until_counts(&wary, |sink| sink["failure"].is_string()).await;
    assert!(sink["failure"].as_str().is_some_and(|why| why.contains("tls_failed")), "{sink}");
    assert_eq!((&sink["queued"], receiver.seen().len()), (&2.into(), 0), "{sink}");
    let trusts = gateway(&upstream, &trusting("ca.pem", &authority)).await;
    rejected(&trusts, 2).await;
    receives(&receiver, 2).await;
}

#[tokio::test]
async fn weights_that_an_operator_changes_are_told_and_bad_ones_change_nothing() {
    let upstream = Upstream::http1().answer(Answer::ok("old")).start().await;
    let next = Upstream::http1().answer(Answer::ok("next")).start().await;
    let receiver = Upstream::http1().start().await;
    let text = format!(
        "{LISTENER}[clusters.old]\nendpoints = [{:?}]\n[clusters.next]\nendpoints = [{:?}]\n\
         [[routes]]\nid = \"shop\"\nmatch = {{}}\ntarget = {{ split = [\
         {{ cluster = \"old\", weight = 1 }}, {{ cluster = \"next\", weight = 0 }}] }}\n\
         [admin]\naddress = \"127.0.0.1:0\"\n[audit]\nhttp = {{ url = \"{}/events\" }}\n",
        upstream.url(),
        next.url(),
        receiver.url()
    );
    let gateway = Gateway::document(text).start().await;
    let admin = gateway.admin();
    let mut client = Client::http1(gateway.addr());
    client.get("/").await.assert_ok("old");
    for (body, status) in [("{\"nobody\": 1}", 409), ("{\"next\": -1}", 400), ("next", 400)] {
        assert_eq!(admin.set_weights("shop", body).await.status, status, "{body}");
    }
    assert_eq!(admin.set_weights("nowhere", "{\"next\": 1}").await.status, 404);
    client.get("/").await.assert_ok("old");
    let reply = admin.set_weights("shop", "{\"old\": 0, \"next\": 1}").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    client.get("/").await.assert_ok("next");
    let [event] = receives(&receiver, 1).await.try_into().expect("one");
    assert_eq!((&event["kind"], &event["reason"]), (&"configuration".into(), &"split".into()));
    assert_eq!((&event["name"], &event["to"]), (&"shop".into(), &"replaced".into()));
    let series = "gateway_state_changes_total{subject=\"split\",to=\"replaced\"}";
    admin.metrics().await.assert(series, 1.0);
}
