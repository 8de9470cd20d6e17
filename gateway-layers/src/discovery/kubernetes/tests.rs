use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::Cluster;
use gateway_core::upstream::Transport;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{KubernetesConfig, KubernetesDiscovery, KubernetesPort};
use crate::discovery::testing::{
    Asked, FakeServer, Reply, names, until, until_failure, until_names, until_true, until_well,
    watched,
};
use crate::discovery::{Backoff, Family, MAX_ENDPOINTS};

/// An API server, as far as the slices of one service go.
#[derive(Default)]
struct State {
    version: u64,
    slices: Vec<Value>,
    /// The watch that is open.
    watch: Option<mpsc::Sender<String>>,
    /// Versions before this are forgotten.
    oldest: u64,
    fails: bool,
    asked: Vec<String>,
    tokens: Vec<Option<String>>,
}

struct ApiServer {
    server: FakeServer,
    state: Arc<Mutex<State>>,
}

impl ApiServer {
    async fn start(slices: Vec<Value>) -> Self {
        let state = State { version: 100, slices, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = FakeServer::start(move |asked: Asked| {
            let reply = shared.lock().unwrap().answer(&asked);
            async { reply }
        })
        .await;
        Self { server, state }
    }

    fn config(&self) -> KubernetesConfig {
        let mut config = KubernetesConfig::new(self.server.address(), "shop", "orders");
        config.port = "http".parse().unwrap();
        config.backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(50));
        config
    }

    fn watched(&self) -> Cluster {
        watched(KubernetesDiscovery::new(self.config()).unwrap())
    }

    /// A slice comes, changes or goes, and the watch is told.
    async fn happens(&self, kind: &str, slice: Value) {
        let (line, watch) = {
            let mut state = self.state.lock().unwrap();
            state.version += 1;
            let mut slice = slice;
            slice["metadata"]["resourceVersion"] = json!(state.version.to_string());
            let name = slice["metadata"]["name"].clone();
            state.slices.retain(|one| one["metadata"]["name"] != name);
            if kind != "DELETED" {
                state.slices.push(slice.clone());
            }
            (json!({ "type": kind, "object": slice }).to_string(), state.watch.clone())
        };
        watch.expect("an open watch").send(format!("{line}\n")).await.unwrap();
    }

    async fn says(&self, line: Value) {
        let watch = self.state.lock().unwrap().watch.clone().expect("an open watch");
        watch.send(format!("{line}\n")).await.unwrap();
    }

    /// Ends the watch, as its time does.
    fn ends(&self) {
        self.state.lock().unwrap().watch = None;
    }

    async fn is_watched(&self) {
        until_true(|| self.state.lock().unwrap().watch.is_some()).await;
    }

    fn count(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.state.lock().unwrap().asked.iter().filter(|target| wanted(target)).count()
    }

    fn lists(&self) -> usize {
        self.count(|target| !target.contains("watch=1"))
    }
}

impl State {
    fn answer(&mut self, asked: &Asked) -> Reply {
        assert_eq!(asked.method, "GET");
        let (path, query) = asked.target.split_once('?').unwrap();
        assert_eq!(path, "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices");
        assert!(query.starts_with("labelSelector=kubernetes.io%2Fservice-name%3Dorders"));
        self.asked.push(asked.target.clone());
        self.tokens.push(asked.header("authorization").map(str::to_owned));
        if self.fails {
            let status = json!({ "kind": "Status", "code": 403, "message": "forbidden" });
            return Reply::status(403, status.to_string());
        }
        if asked.parameter("watch") != Some("1") {
            let list = json!({
                "kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1",
                "metadata": { "resourceVersion": self.version.to_string() },
                "items": self.slices,
            });
            return Reply::json(list.to_string());
        }
        assert_eq!(asked.parameter("allowWatchBookmarks"), Some("true"));
        assert_eq!(asked.parameter("timeoutSeconds"), Some("300"));
        let version: u64 = asked.parameter("resourceVersion").unwrap().parse().unwrap();
        if version < self.oldest {
            return Reply::status(410, json!({ "code": 410 }).to_string());
        }
        let (sender, receiver) = mpsc::channel(64);
        self.watch = Some(sender);
        Reply::Stream(receiver)
    }
}

fn ready(address: &str) -> Value {
    endpoint(address, &json!({ "ready": true, "serving": true, "terminating": false }))
}

fn endpoint(address: &str, conditions: &Value) -> Value {
    json!({ "addresses": [address], "conditions": conditions, "zone": "z1", "nodeName": "n" })
}

fn slice(name: &str, kind: &str, endpoints: &[Value]) -> Value {
    json!({
        "metadata": { "name": name, "resourceVersion": "99", "labels": {} },
        "addressType": kind,
        "endpoints": endpoints,
        "ports": [
            { "name": "metrics", "port": 9100, "protocol": "TCP" },
            { "name": "http", "port": 8080, "protocol": "TCP" },
        ],
    })
}

fn v4(name: &str, addresses: &[&str]) -> Value {
    slice(name, "IPv4", &addresses.iter().map(|address| ready(address)).collect::<Vec<_>>())
}

#[tokio::test]
async fn slices_that_come_change_and_go_are_followed() {
    let api = ApiServer::start(vec![v4("a", &["10.0.0.1"])]).await;
    let cluster = api.watched();
    until_names(&cluster, &["http://10.0.0.1:8080"]).await;
    assert_eq!(cluster.status().endpoints[0].zone.as_deref(), Some("z1"));
    api.is_watched().await;
    api.happens("ADDED", v4("b", &["10.0.0.2", "10.0.0.3"])).await;
    until(&cluster, |status| status.endpoints.len() == 3).await;
    api.happens("MODIFIED", v4("b", &["10.0.0.3"])).await;
    until_names(&cluster, &["http://10.0.0.1:8080", "http://10.0.0.3:8080"]).await;
    api.happens("DELETED", v4("a", &["10.0.0.1"])).await;
    until_names(&cluster, &["http://10.0.0.3:8080"]).await;
    api.happens("MODIFIED", v4("b", &[])).await;
    until_names(&cluster, &[]).await;
    until_well(&cluster).await;
    assert_eq!(api.lists(), 1);
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_from_where_it_was() {
    let api = ApiServer::start(vec![v4("a", &["10.0.0.1"])]).await;
    let cluster = api.watched();
    api.is_watched().await;
    api.says(json!({ "type": "BOOKMARK", "object": {
        "kind": "EndpointSlice", "metadata": { "resourceVersion": "150" } } }))
        .await;
    api.ends();
    until_true(|| api.count(|target| target.contains("resourceVersion=150")) == 1).await;
    api.is_watched().await;
    api.happens("ADDED", v4("b", &["10.0.0.2"])).await;
    until_names(&cluster, &["http://10.0.0.1:8080", "http://10.0.0.2:8080"]).await;
    assert_eq!(api.lists(), 1);
    until_well(&cluster).await;
}

#[tokio::test]
async fn what_is_forgotten_is_listed_anew_and_nothing_failed() {
    let api = ApiServer::start(vec![v4("a", &["10.0.0.1"])]).await;
    let cluster = api.watched();
    api.is_watched().await;
    until_names(&cluster, &["http://10.0.0.1:8080"]).await;
    // As an event of the watch.
    {
        let mut state = api.state.lock().unwrap();
        state.slices = vec![v4("a", &["10.0.0.2"])];
        state.version = 200;
    }
    let gone = json!({ "kind": "Status", "code": 410, "reason": "Expired", "message": "too old" });
    api.says(json!({ "type": "ERROR", "object": gone })).await;
    let quietly = |wanted: &'static str| {
        let cluster = &cluster;
        until(cluster, move |status| {
            assert_eq!(status.discovery.as_ref().unwrap().failure, None);
            names(cluster) == [wanted]
        })
    };
    quietly("http://10.0.0.2:8080").await;
    // As the answer to the watch.
    until_true(|| api.count(|target| target.contains("resourceVersion=200&")) == 1).await;
    {
        let mut state = api.state.lock().unwrap();
        state.slices = vec![v4("a", &["10.0.0.3"])];
        (state.version, state.oldest, state.watch) = (300, 300, None);
    }
    quietly("http://10.0.0.3:8080").await;
    assert_eq!(api.lists(), 3);
}

#[tokio::test]
async fn an_api_server_that_fails_changes_nothing() {
    let api = ApiServer::start(vec![v4("a", &["10.0.0.1"])]).await;
    let cluster = api.watched();
    until_names(&cluster, &["http://10.0.0.1:8080"]).await;
    api.is_watched().await;
    let failed = json!({ "kind": "Status", "code": 500, "message": "etcd is away" });
    api.state.lock().unwrap().fails = true;
    api.says(json!({ "type": "ERROR", "object": failed })).await;
    until_failure(&cluster, "answered 403 Forbidden: {\"code\":403").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:8080"]);
    {
        let mut state = api.state.lock().unwrap();
        (state.fails, state.watch) = (false, None);
    }
    until_well(&cluster).await;
    drop(api);
    until_failure(&cluster, "_").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:8080"]);
}

#[tokio::test]
async fn a_line_that_cannot_be_read_changes_nothing() {
    for (line, said) in [
        (json!("nonsense"), "a line of the watch cannot be read"),
        (json!({ "type": "ADDED", "object": 7 }), "a line of the watch cannot be read"),
        (
            json!({ "type": "ERROR", "object": { "code": 500, "message": "etcd is away" } }),
            "the watch failed: 500 etcd is away",
        ),
    ] {
        let api = ApiServer::start(vec![v4("a", &["10.0.0.1"])]).await;
        let mut config = api.config();
        // Long enough to be seen.
        config.backoff = Backoff::new(Duration::from_secs(300), Duration::from_secs(300));
        let cluster = watched(KubernetesDiscovery::new(config).unwrap());
        api.is_watched().await;
        api.says(line).await;
        until_failure(&cluster, said).await;
        assert_eq!(names(&cluster), ["http://10.0.0.1:8080"]);
    }
}

#[tokio::test]
async fn those_that_are_ready_come_before_those_that_are_going() {
    let going =
        || endpoint("10.0.0.2", &json!({ "ready": false, "serving": true, "terminating": true }));
    let starting = endpoint("10.0.0.3", &json!({ "ready": false, "serving": false }));
    let unknown = endpoint("10.0.0.4", &json!({}));
    let api = ApiServer::start(vec![slice("a", "IPv4", &[going(), starting, unknown])]).await;
    let cluster = api.watched();
    until_names(&cluster, &["http://10.0.0.4:8080"]).await;
    api.is_watched().await;
    let dead = endpoint("10.0.0.5", &json!({ "ready": false, "terminating": true }));
    api.happens("MODIFIED", slice("a", "IPv4", &[going(), dead])).await;
    until_names(&cluster, &["http://10.0.0.2:8080"]).await;
}

#[tokio::test]
async fn ports_have_names_or_numbers() {
    let mut one_port = v4("a", &["10.0.0.1"]);
    one_port["ports"] = json!([{ "name": "", "port": 7000 }]);
    for (slice, port, expected) in [
        (v4("a", &["10.0.0.1"]), "metrics".parse().unwrap(), Ok("http://10.0.0.1:9100")),
        (v4("a", &["10.0.0.1"]), KubernetesPort::from(81), Ok("http://10.0.0.1:81")),
        (v4("a", &["10.0.0.1"]), "81".parse().unwrap(), Ok("http://10.0.0.1:81")),
        (one_port.clone(), KubernetesPort::Only, Ok("http://10.0.0.1:7000")),
        (one_port, "http".parse().unwrap(), Err("slice `a` has no such port: Name(\"http\")")),
        (v4("a", &["10.0.0.1"]), KubernetesPort::Only, Err("slice `a` has 2 ports: name one")),
    ] {
        let api = ApiServer::start(vec![slice]).await;
        let mut config = api.config();
        config.port = port;
        let cluster = watched(KubernetesDiscovery::new(config).unwrap());
        match expected {
            Ok(name) => until_names(&cluster, &[name]).await,
            Err(said) => until_failure(&cluster, said).await,
        }
    }
}

#[tokio::test]
async fn of_two_kinds_of_address_one_is_taken() {
    let v6 = slice("b", "IPv6", &[ready("fd00::1")]);
    let named = slice("c", "FQDN", &[ready("a.example")]);
    let slices = vec![v4("a", &["10.0.0.1"]), v6, named];
    let (four, six) = ("h2c://10.0.0.1:8080", "h2c://[fd00::1]:8080");
    for (family, expected) in [
        (Family::V4, &[four][..]),
        (Family::V6, &[six]),
        (Family::V4First, &[four]),
        (Family::V6First, &[six]),
        (Family::Both, &[four, six]),
    ] {
        let api = ApiServer::start(slices.clone()).await;
        let mut config = api.config();
        (config.family, config.transport) = (family, Transport::H2c);
        let cluster = watched(KubernetesDiscovery::new(config).unwrap());
        until_names(&cluster, expected).await;
    }
}

#[tokio::test]
async fn the_token_is_read_anew_for_every_question() {
    let api = ApiServer::start(vec![v4("a", &["10.0.0.1"])]).await;
    let file = std::env::temp_dir().join(format!("gateway-token-{}", std::process::id()));
    std::fs::write(&file, "first\n").unwrap();
    let mut config = api.config();
    config.token_file = Some(file.clone());
    config.token = Some("n0tth1s".into());
    let source = KubernetesDiscovery::new(config).unwrap();
    assert!(!format!("{source:?}").contains("n0tth1s"));
    let cluster = watched(source);
    api.is_watched().await;
    std::fs::write(&file, "second\n").unwrap();
    api.ends();
    until_true(|| api.state.lock().unwrap().tokens.len() == 3).await;
    let tokens = api.state.lock().unwrap().tokens.clone();
    assert_eq!(tokens[0].as_deref(), Some("Bearer first"));
    assert_eq!(tokens[2].as_deref(), Some("Bearer second"));
    std::fs::remove_file(&file).unwrap();
    api.is_watched().await;
    api.ends();
    until_failure(&cluster, "token file /").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:8080"]);
}

#[tokio::test]
async fn more_endpoints_than_the_limit_are_no_set() {
    let api = ApiServer::start(vec![v4("a", &["10.0.0.1"])]).await;
    let cluster = api.watched();
    until_names(&cluster, &["http://10.0.0.1:8080"]).await;
    api.is_watched().await;
    let many: Vec<_> =
        (0..=MAX_ENDPOINTS).map(|index| format!("10.1.{}.{}", index / 250, index % 250)).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    api.happens("ADDED", v4("b", &many)).await;
    until_failure(&cluster, "10002 endpoints, expected 10000 at most").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:8080"]);
}

#[test]
fn what_cannot_be_asked_for_is_rejected() {
    let config = |namespace: &str, service: &str| {
        KubernetesConfig::new("http://127.0.0.1:8001".parse().unwrap(), namespace, service)
    };
    assert!(KubernetesDiscovery::new(config("", "orders")).is_err());
    assert!(KubernetesDiscovery::new(config("shop", "")).is_err());
    let problem = KubernetesConfig::in_cluster("::1", 443, "orders").unwrap_err().to_string();
    assert!(problem.contains("serviceaccount/namespace"), "{problem}");
}
