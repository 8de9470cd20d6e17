//! Audit events of a running gateway, with a receiver that takes them or does not.

mod classes;
mod decisions;
mod delivery;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gateway_tests::{Gateway, Upstream, eventually_within};
use serde_json::Value;

/// What is waited for comes in this time, or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A route that anybody may ask, and one that nobody from here may.
fn routes(upstream: &Upstream) -> String {
    format!(
        "[clusters.upstream]\nendpoints = [{:?}]\n\
         [[routes]]\nid = \"denied\"\nmatch = {{ prefix = \"/denied\" }}\n\
         target = {{ cluster = \"upstream\" }}\npolicy.ip = {{ deny = [\"127.0.0.0/8\"] }}\n\
         [[routes]]\nid = \"open\"\nmatch = {{ prefix = \"/\" }}\n\
         target = {{ cluster = \"upstream\" }}\n",
        upstream.url()
    )
}

/// Every event that came to `receiver`, once, by its id.
fn received(receiver: &Upstream) -> BTreeMap<String, Value> {
    let mut events = BTreeMap::new();
    for seen in receiver.seen() {
        let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        for event in body.as_array().into_iter().flatten() {
            let id = event["id"].as_str().expect("an id").to_owned();
            let before = events.insert(id, event.clone());
            assert!(before.is_none_or(|before| before == *event), "{event}");
        }
    }
    events
}

/// Waits until so many events have come; gives them.
async fn receives(receiver: &Upstream, count: usize) -> Vec<Value> {
    let what = format!("{count} events");
    let probe = || received(receiver);
    let events = eventually_within(PATIENCE, &what, probe, |events| events.len() >= count).await;
    assert_eq!(events.len(), count, "{events:#?}");
    events.into_values().collect()
}

/// The events of a file.
fn written(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|line| line.unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

/// Kind and reason of each, sorted.
fn told(events: &[Value]) -> Vec<(&str, &str)> {
    let mut told: Vec<_> = events
        .iter()
        .map(|event| {
            let of = |name: &str| event[name].as_str().unwrap_or_default();
            (of("kind"), of("reason"))
        })
        .collect();
    told.sort_unstable();
    told
}

/// What `GET /status` says of the only sink.
async fn counts(gateway: &Gateway) -> Value {
    let status = gateway.admin().status().await;
    let sinks = status["audit"].as_array().expect("sinks").clone();
    let [sink] = sinks.as_slice() else { panic!("{status}") };
    sink.clone()
}

/// Waits until `GET /status` says so.
async fn until_counts(gateway: &Gateway, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let sink = counts(gateway).await;
        if wanted(&sink) {
            return sink;
        }
        assert!(tokio::time::Instant::now() < end, "{sink}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
