use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::Cluster;
use gateway_core::upstream::Transport;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{ConsulConfig, ConsulDiscovery};
use crate::discovery::testing::{
    Asked, FakeServer, Reply, names, until, until_failure, until_names, until_true, until_well,
    watched,
};
use crate::discovery::{Backoff, MAX_ENDPOINTS};

/// What the agent does.
#[derive(Clone)]
enum Mood {
    Well,
    Fails,
    Hangs,
    SaysNoIndex,
}

#[derive(Clone)]
struct State {
    index: u64,
    instances: Vec<Value>,
    mood: Mood,
}

/// A Consul agent with one service, as far as its health endpoint goes.
struct Agent {
    server: FakeServer,
    state: watch::Sender<State>,
    asked: Arc<Mutex<Vec<String>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    async fn start(instances: Vec<Value>) -> Self {
        let state = State { index: 10, instances, mood: Mood::Well };
        let (state, receiver) = watch::channel(state);
        let (asked, heads) = (Arc::default(), Arc::default());
        let (seen, seen_heads) = (Arc::clone(&asked), Arc::clone(&heads));
        let server = FakeServer::start(move |asked: Asked| {
            let seen: &Mutex<Vec<String>> = &seen;
            seen.lock().unwrap().push(asked.target.clone());
            let seen_heads: &Mutex<Vec<String>> = &seen_heads;
            seen_heads.lock().unwrap().push(asked.head.clone());
            answer(asked, receiver.clone())
        })
        .await;
        Self { server, state, asked, heads }
    }

    fn config(&self) -> ConsulConfig {
        let mut config = ConsulConfig::new(self.server.address(), "orders");
        config.wait = Duration::from_secs(5);
        config.backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(50));
        config
    }

    fn watched(&self) -> Cluster {
        watched(ConsulDiscovery::new(self.config()).unwrap())
    }

    /// The service changes.
    fn change(&self, instances: Vec<Value>) {
        self.state.send_modify(|state| {
            state.index += 1;
            state.instances = instances;
        });
    }

    fn feel(&self, mood: Mood) {
        self.state.send_modify(|state| state.mood = mood);
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(asked: Asked, mut state: watch::Receiver<State>) -> Reply {
    assert_eq!(asked.method, "GET");
    let now = state.borrow_and_update().clone();
    match now.mood {
        Mood::Fails => return Reply::status(500, "No cluster leader"),
        Mood::Hangs => return Reply::Hang,
        Mood::SaysNoIndex => return Reply::json("[]"),
        Mood::Well => {}
    }
    let index: u64 = asked.parameter("index").map_or(0, |index| index.parse().unwrap());
    // An index from the future blocks as one of the present does.
    if index > 0 && index >= now.index {
        let wait = asked.parameter("wait").unwrap().strip_suffix("ms").unwrap();
        let wait = Duration::from_millis(wait.parse().unwrap());
        let changed = state.wait_for(|state| state.index > index || !is_healthy(&state.mood));
        let _ = timeout(wait, changed).await;
    }
    let now = state.borrow().clone();
    Reply::Full {
        status: 200,
        headers: format!("X-Consul-Index: {}\r\n", now.index),
        body: serde_json::to_string(&now.instances).unwrap(),
    }
}

fn is_healthy(mood: &Mood) -> bool {
    matches!(mood, Mood::Well)
}

fn instance(address: &str, port: u16) -> Value {
    json!({
        "Node": { "Node": "n1", "Address": "10.0.9.9", "Meta": { "zone": "node-zone" } },
        "Service": {
            "ID": format!("orders-{port}"), "Service": "orders", "Address": address, "Port": port,
            "Weights": { "Passing": 3, "Warning": 1 }, "Meta": null, "Tags": [],
        },
        "Checks": [],
    })
}

#[tokio::test]
async fn instances_are_endpoints_and_changes_come_at_once() {
    let agent = Agent::start(vec![instance("10.0.0.1", 80), instance("", 81)]).await;
    let cluster = agent.watched();
    until_names(&cluster, &["http://10.0.0.1:80", "http://10.0.9.9:81"]).await;
    assert!(cluster.status().endpoints.iter().all(|endpoint| endpoint.weight == 3));
    agent.change(vec![instance("::1", 80)]);
    until_names(&cluster, &["http://[::1]:80"]).await;
    agent.change(vec![]);
    until_names(&cluster, &[]).await;
    until_well(&cluster).await;
    let asked = agent.asked();
    assert_eq!(asked[0], "/v1/health/service/orders?passing=true");
    assert_eq!(asked[1], "/v1/health/service/orders?passing=true&index=10&wait=5000ms");
    assert_eq!(asked[2], "/v1/health/service/orders?passing=true&index=11&wait=5000ms");
}

#[tokio::test]
async fn everything_that_is_said_reaches_the_agent() {
    let agent = Agent::start(vec![instance("10.0.0.1", 80)]).await;
    let mut config = agent.config();
    config.service = "my orders".to_owned();
    config.tag = Some("v2&x".to_owned());
    config.datacenter = Some("dc1".to_owned());
    config.token = Some("b1gs33cr3t".into());
    config.zone_meta = Some("zone".to_owned());
    config.transport = Transport::H2c;
    let source = ConsulDiscovery::new(config).unwrap();
    assert!(!format!("{source:?}").contains("b1gs"));
    let cluster = watched(source);
    until_names(&cluster, &["h2c://10.0.0.1:80"]).await;
    assert_eq!(cluster.status().endpoints[0].zone.as_deref(), Some("node-zone"));
    let expected = "/v1/health/service/my%20orders?passing=true&tag=v2%26x&dc=dc1";
    assert_eq!(agent.asked()[0], expected);
    assert!(agent.heads.lock().unwrap()[0].contains("\r\nx-consul-token: b1gs33cr3t\r\n"));
}

#[tokio::test]
async fn an_agent_that_fails_changes_nothing() {
    let agent = Agent::start(vec![instance("10.0.0.1", 80)]).await;
    let mut config = agent.config();
    config.wait = Duration::from_millis(50);
    config.timeout = Duration::from_millis(100);
    let cluster = watched(ConsulDiscovery::new(config).unwrap());
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    for (mood, said) in [
        (Mood::Fails, "answered 500 Internal Server Error: No cluster leader"),
        (Mood::Hangs, "no answer within"),
        (Mood::SaysNoIndex, "without X-Consul-Index"),
    ] {
        agent.feel(mood);
        until_failure(&cluster, said).await;
        assert_eq!(names(&cluster), ["http://10.0.0.1:80"]);
        agent.feel(Mood::Well);
        until_well(&cluster).await;
    }
    agent.change(vec![instance("10.0.0.2", 80)]);
    until_names(&cluster, &["http://10.0.0.2:80"]).await;
}

#[tokio::test]
async fn an_agent_that_is_gone_changes_nothing() {
    let agent = Agent::start(vec![instance("10.0.0.1", 80)]).await;
    let cluster = agent.watched();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    drop(agent);
    until_failure(&cluster, "connect_failed").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:80"]);
}

#[tokio::test]
async fn an_index_that_goes_back_is_asked_for_anew() {
    let agent = Agent::start(vec![instance("10.0.0.1", 80)]).await;
    let mut config = agent.config();
    config.wait = Duration::from_millis(20);
    let cluster = watched(ConsulDiscovery::new(config).unwrap());
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    // Restored from a snapshot: an older index, and another state.
    agent.state.send_modify(|state| {
        state.index = 3;
        state.instances = vec![instance("10.0.0.2", 80)];
    });
    until_names(&cluster, &["http://10.0.0.2:80"]).await;
    let anew = |target: &String| !target.contains("index=");
    until_true(|| agent.asked().iter().filter(|target| anew(target)).count() == 2).await;
    until_true(|| agent.asked().iter().any(|target| target.contains("index=3&"))).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn an_index_of_zero_does_not_make_a_busy_loop() {
    let agent = Agent::start(vec![instance("10.0.0.1", 80)]).await;
    agent.state.send_modify(|state| state.index = 0);
    let cluster = agent.watched();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    until_true(|| agent.asked().len() == 2).await;
    sleep(Duration::from_millis(600)).await;
    assert_eq!(agent.asked().len(), 2, "{:?}", agent.asked());
    assert!(agent.asked()[1].contains("index=1&"));
}

#[tokio::test]
async fn an_instance_that_cannot_be_reached_is_left_out_and_said() {
    let agent = Agent::start(vec![instance("10.0.0.1", 80), instance("10.0.0.2", 0)]).await;
    let cluster = agent.watched();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    until_failure(&cluster, "instance `orders-0` is left out").await;
    agent.change(vec![instance("10.0.0.1", 80)]);
    until_well(&cluster).await;
}

#[tokio::test]
async fn more_instances_than_the_limit_are_no_set() {
    let many = |count: usize| {
        let address = |index: usize| format!("10.0.{}.{}", index / 250, index % 250);
        (0..count).map(|index| instance(&address(index), 80)).collect::<Vec<_>>()
    };
    let agent = Agent::start(vec![instance("10.0.0.1", 80)]).await;
    let cluster = agent.watched();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    agent.change(many(MAX_ENDPOINTS + 1));
    until_failure(&cluster, "10001 endpoints, expected 10000 at most").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:80"]);
    agent.change(many(MAX_ENDPOINTS));
    until(&cluster, |status| status.endpoints.len() == MAX_ENDPOINTS).await;
}

#[test]
fn what_cannot_be_asked_for_is_rejected() {
    let address = || "http://127.0.0.1:8500".parse().unwrap();
    assert!(ConsulDiscovery::new(ConsulConfig::new(address(), "")).is_err());
    let mut config = ConsulConfig::new(address(), "orders");
    config.token = Some("two\nlines".into());
    let problem = ConsulDiscovery::new(config).unwrap_err().to_string();
    assert!(problem.contains("token") && !problem.contains("lines"), "{problem}");
    let mut config = ConsulConfig::new(address(), "orders");
    config.transport = Transport::Unix;
    assert!(ConsulDiscovery::new(config).unwrap_err().to_string().contains("scheme"));
}
