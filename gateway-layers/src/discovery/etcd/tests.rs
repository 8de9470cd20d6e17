use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_core::{Cluster, EndpointAddress};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{EtcdConfig, EtcdDiscovery};
use crate::discovery::Backoff;
use crate::discovery::client::{Ask, Client};
use crate::discovery::failure::Failure;
use crate::discovery::testing::{
    FakeServer, Reply, names, until, until_failure, until_names, until_well, watched,
};

const SOON: Duration = Duration::from_secs(10);

/// An etcd of the test's own.
struct Etcd {
    process: Child,
    client_url: String,
    peer_url: String,
    directory: PathBuf,
    client: Client,
}

fn free_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

impl Etcd {
    /// `None` where etcd is not installed, which is said.
    async fn start() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gateway-etcd-{}-{count}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let (client_url, peer_url) = (free_url(), free_url());
        let Ok(process) = run(&directory, &client_url, &peer_url) else {
            eprintln!("skipped: etcd is not installed (Debian package etcd-server)");
            return None;
        };
        let address = client_url.parse().unwrap();
        let client = Client::new(Cluster::builder("etcd"), &[address], SOON).unwrap();
        let etcd = Self { process, client_url, peer_url, directory, client };
        etcd.wait().await;
        Some(etcd)
    }

    async fn wait(&self) {
        for _ in 0..600 {
            let question = json!({ "key": "AA==" });
            if self.try_post("/v3/kv/range", &question, None).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("etcd does not answer");
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    async fn start_again(&mut self) {
        self.process = run(&self.directory, &self.client_url, &self.peer_url).unwrap();
        self.wait().await;
    }

    async fn try_post(
        &self,
        target: &str,
        question: &Value,
        token: Option<&str>,
    ) -> Result<Value, Failure> {
        let token = token.map(|token| token.parse().unwrap());
        let ask = Ask::post(target, question.to_string())?;
        let ask = ask.header(http::header::AUTHORIZATION, token.as_ref());
        let (_, answer) = self.client.fetch(ask, SOON).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    async fn post(&self, target: &str, question: Value) -> Value {
        self.try_post(target, &question, None).await.unwrap()
    }

    async fn put(&self, key: &str, value: &str) -> i64 {
        let question = json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) });
        let answer = self.post("/v3/kv/put", question).await;
        answer["header"]["revision"].as_str().unwrap().parse().unwrap()
    }

    async fn delete(&self, key: &str) {
        self.post("/v3/kv/deleterange", json!({ "key": STANDARD.encode(key) })).await;
    }

    fn config(&self) -> EtcdConfig {
        quick(self.client_url.parse().unwrap())
    }

    fn watched(&self) -> Cluster {
        watched(EtcdDiscovery::new(self.config()).unwrap())
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn run(directory: &PathBuf, client: &str, peer: &str) -> std::io::Result<Child> {
    Command::new("etcd")
        .args(["--name", "test", "--log-level", "error", "--enable-v2=false"])
        .arg("--data-dir")
        .arg(directory)
        .args(["--listen-client-urls", client, "--advertise-client-urls", client])
        .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
        .args(["--initial-cluster", &format!("test={peer}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn quick(address: EndpointAddress) -> EtcdConfig {
    let mut config = EtcdConfig::new([address], "/orders/");
    config.backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(200));
    config
}

#[tokio::test]
async fn keys_that_come_change_and_go_are_followed() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.put("/orders/1", "http://10.0.0.1:80").await;
    etcd.put("/orders0", "http://10.9.9.9:80").await;
    let cluster = etcd.watched();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    let value = r#"{"url": "h2c://10.0.0.2:80", "weight": 3, "zone": "a", "priority": 1}"#;
    etcd.put("/orders/2", value).await;
    until_names(&cluster, &["h2c://10.0.0.2:80", "http://10.0.0.1:80"]).await;
    let status = cluster.status();
    let second = status.endpoints.iter().find(|one| one.name.starts_with("h2c")).unwrap();
    assert_eq!((second.weight, second.zone.as_deref(), second.priority), (3, Some("a"), 1));
    etcd.put("/orders/2", "http://10.0.0.3:80").await;
    until_names(&cluster, &["http://10.0.0.1:80", "http://10.0.0.3:80"]).await;
    etcd.delete("/orders/1").await;
    until_names(&cluster, &["http://10.0.0.3:80"]).await;
    etcd.delete("/orders/2").await;
    until_names(&cluster, &[]).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn an_endpoint_goes_with_its_lease() {
    let Some(etcd) = Etcd::start().await else { return };
    let lease = etcd.post("/v3/lease/grant", json!({ "TTL": "2" })).await["ID"].clone();
    let key = STANDARD.encode("/orders/1");
    let value = STANDARD.encode("http://10.0.0.1:80");
    etcd.post("/v3/kv/put", json!({ "key": key, "value": value, "lease": lease })).await;
    let cluster = etcd.watched();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    until_names(&cluster, &[]).await;
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_left_out_and_said() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.put("/orders/1", "http://10.0.0.1:80").await;
    etcd.put("/orders/2", r#"{"url": "http://b", "wait": 1}"#).await;
    let cluster = etcd.watched();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    until_failure(&cluster, "key `/orders/2` is left out: unknown field `wait`").await;
    // The others go on.
    etcd.put("/orders/3", "http://10.0.0.3:80").await;
    until_names(&cluster, &["http://10.0.0.1:80", "http://10.0.0.3:80"]).await;
    until_failure(&cluster, "key `/orders/2`").await;
    etcd.delete("/orders/2").await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn an_etcd_that_is_away_changes_nothing() {
    let Some(mut etcd) = Etcd::start().await else { return };
    etcd.put("/orders/1", "http://10.0.0.1:80").await;
    let cluster = etcd.watched();
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    etcd.stop();
    until_failure(&cluster, "").await;
    assert_eq!(names(&cluster), ["http://10.0.0.1:80"]);
    etcd.start_again().await;
    etcd.put("/orders/2", "http://10.0.0.2:80").await;
    until_names(&cluster, &["http://10.0.0.1:80", "http://10.0.0.2:80"]).await;
    until_well(&cluster).await;
}

#[tokio::test]
async fn users_are_asked_for_their_password() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.put("/orders/1", "http://10.0.0.1:80").await;
    etcd.post("/v3/auth/user/add", json!({ "name": "root", "password": "s33cret" })).await;
    etcd.post("/v3/auth/role/add", json!({ "name": "root" })).await;
    etcd.post("/v3/auth/user/grant", json!({ "user": "root", "role": "root" })).await;
    etcd.post("/v3/auth/enable", json!({})).await;
    let cluster = etcd.watched();
    until_failure(&cluster, "user name is empty").await;
    let mut config = etcd.config();
    config.user = Some("root".to_owned());
    config.password = Some("wrong".into());
    let cluster = watched(EtcdDiscovery::new(config.clone()).unwrap());
    until_failure(&cluster, "authentication failed").await;
    config.password = Some("s33cret".into());
    let source = EtcdDiscovery::new(config).unwrap();
    assert!(!format!("{source:?}").contains("s33cret"));
    let cluster = watched(source);
    until_names(&cluster, &["http://10.0.0.1:80"]).await;
    let question = json!({ "name": "root", "password": "s33cret" });
    let token = etcd.post("/v3/auth/authenticate", question).await;
    let question = json!({ "key": STANDARD.encode("/orders/1") });
    let token = token["token"].as_str();
    etcd.try_post("/v3/kv/deleterange", &question, token).await.unwrap();
    until_names(&cluster, &[]).await;
}

#[tokio::test]
async fn a_real_compaction_is_told_from_other_ends() {
    let Some(etcd) = Etcd::start().await else { return };
    etcd.put("/orders/1", "http://10.0.0.1:80").await;
    let revision = etcd.put("/orders/1", "http://10.0.0.2:80").await;
    let question = json!({ "revision": revision.to_string(), "physical": true });
    etcd.post("/v3/kv/compaction", question).await;
    let ask = Ask::post(super::wire::WATCH, super::wire::watch("/orders/", 1)).unwrap();
    let body = etcd.client.open(ask, SOON).await.unwrap();
    let mut lines = crate::discovery::lines::Lines::new(body);
    loop {
        let line = lines.next(SOON).await.unwrap().unwrap();
        let line: super::wire::Line = serde_json::from_slice(&line).unwrap();
        if let Some(result) = line.result
            && result.canceled
        {
            assert_eq!(result.compact_revision, revision);
            break;
        }
    }
}

/// What a fake member answers to one watch after the other.
async fn fake(watches: Vec<Reply>, values: Arc<Mutex<Vec<&'static str>>>) -> FakeServer {
    let watches = Mutex::new(watches.into_iter());
    FakeServer::start(move |asked| {
        let reply = match asked.target.as_str() {
            "/v3/kv/range" => {
                let values = values.lock().unwrap();
                let pairs = values.iter().enumerate().map(|(index, value)| {
                    let key = STANDARD.encode(format!("/orders/{index}"));
                    json!({ "key": key, "value": STANDARD.encode(value) })
                });
                let pairs: Vec<_> = pairs.collect();
                Reply::json(json!({ "header": { "revision": "7" }, "kvs": pairs }).to_string())
            }
            _ => {
                assert!(asked.body.contains(r#""start_revision":"8""#), "{}", asked.body);
                watches.lock().unwrap().next().unwrap_or(Reply::Hang)
            }
        };
        async { reply }
    })
    .await
}

fn stream(text: &str) -> Reply {
    let (sender, receiver) = mpsc::channel(8);
    sender.try_send(format!("{text}\n")).unwrap();
    Reply::Stream(receiver)
}

#[tokio::test]
async fn after_a_compaction_the_keys_are_read_anew_and_nothing_failed() {
    let values = Arc::new(Mutex::new(vec!["http://a"]));
    let compacted = r#"{"result":{"canceled":true,"compact_revision":"9"}}"#;
    let member = fake(vec![stream(compacted)], Arc::clone(&values)).await;
    let cluster = watched(EtcdDiscovery::new(quick(member.address())).unwrap());
    until_names(&cluster, &["http://a:80"]).await;
    *values.lock().unwrap() = vec!["http://b"];
    until(&cluster, |status| {
        assert_eq!(status.discovery.as_ref().unwrap().failure, None);
        names(&cluster) == ["http://b:80"]
    })
    .await;
}

#[tokio::test]
async fn a_watch_that_breaks_changes_nothing_and_is_said() {
    for (reply, said) in [
        (stream(r#"{"error":{"message":"no leader"}}"#), "rejected: no leader"),
        (stream(r#"{"result":{"canceled":true,"cancel_reason":"gone"}}"#), "cancelled: gone"),
        (stream(r#"{"result":{"created":true}}"#), "the watch has ended"),
        (stream("nonsense"), "cannot be read"),
        (Reply::Close, "upstream_closed"),
        (Reply::Hang, "no answer within"),
    ] {
        let values = Arc::new(Mutex::new(vec!["http://a"]));
        let member = fake(vec![reply], Arc::clone(&values)).await;
        let mut config = quick(member.address());
        config.timeout = Duration::from_millis(300);
        // Long enough to be seen.
        config.backoff = Backoff::new(30 * SOON, 30 * SOON);
        let cluster = watched(EtcdDiscovery::new(config).unwrap());
        until_failure(&cluster, said).await;
        assert_eq!(names(&cluster), ["http://a:80"]);
    }
}

#[tokio::test]
async fn a_silent_watch_is_given_up_and_the_keys_read_anew() {
    let values = Arc::new(Mutex::new(vec!["http://a"]));
    let (_held, receiver) = mpsc::channel(1);
    let member = fake(vec![Reply::Stream(receiver)], Arc::clone(&values)).await;
    let mut config = quick(member.address());
    config.resync = Duration::from_millis(50);
    let cluster = watched(EtcdDiscovery::new(config).unwrap());
    until_names(&cluster, &["http://a:80"]).await;
    *values.lock().unwrap() = vec!["http://b"];
    until_names(&cluster, &["http://b:80"]).await;
}

#[test]
fn what_cannot_be_asked_for_is_rejected() {
    let address: EndpointAddress = "http://127.0.0.1:2379".parse().unwrap();
    assert!(EtcdDiscovery::new(EtcdConfig::new([address.clone()], "")).is_err());
    assert!(EtcdDiscovery::new(EtcdConfig::new([], "/a/")).is_err());
    assert!(EtcdDiscovery::new(EtcdConfig::new([address.clone(), address], "/a/")).is_err());
    let secure = "https://127.0.0.1:2379".parse().unwrap();
    let problem = EtcdDiscovery::new(EtcdConfig::new([secure], "/a/")).unwrap_err().to_string();
    assert!(problem.contains("TLS"), "{problem}");
}
