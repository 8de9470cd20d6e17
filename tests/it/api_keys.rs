//! API keys of a document, and the command that issues them, with real stores.

use std::time::Duration;

use gateway_tests::{
    Client, Gateway, Payload, Reply, StoreServer, Upstream, eventually_within, run_gateway,
};
use http::Request;
use tokio::time::Instant;

use crate::routing::LISTENER;

/// What a test has: keys somewhere, and gateways that take them.
struct Keys {
    upstream: Upstream,
    /// `file = ...`, `redis = ...`, `postgres = ...`.
    from: String,
    more: String,
}

impl Keys {
    async fn new(from: impl Into<String>) -> Self {
        let upstream = Upstream::http1().start().await;
        Self { upstream, from: from.into(), more: String::new() }
    }

    async fn gateway(&self) -> Gateway {
        let cluster = format!("[clusters.upstream]\nendpoints = [{:?}]\n", self.upstream.url());
        let identity = format!(
            "[identity.api_key.partners]\n{}\ntimeout = \"5s\"\n\
             forward = {{ x-user-id = \"subject\", x-user-tier = \"tier\", x-key = \"key_id\" }}\n{}\n",
            self.from, self.more
        );
        let route = |path: &str, policy: &str| {
            format!(
                "[[routes]]\nid = {path:?}\nmatch = {{ prefix = \"/{path}\" }}\n\
                 target = {{ cluster = \"upstream\" }}\npolicy.{policy}\n"
            )
        };
        let keyed = route("orders", "api_key = \"partners\"");
        let admin = "api_key = { provider = \"partners\", roles = [\"admin\"] }";
        let admin = route("admin", admin);
        let fresh = route("fresh-check", "public = true");
        let text = format!("{LISTENER}{cluster}{identity}{keyed}{admin}{fresh}");
        Gateway::document(text).knows(&self.upstream).start().await
    }
}

async fn asks(gateway: &Gateway, target: &str, fields: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().uri(target).header("host", "a.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Payload::empty()).expect("a request");
    Client::http1(gateway.addr()).send(request).await
}

async fn shows(gateway: &Gateway, key: &str) -> Reply {
    asks(gateway, "/orders", &[("x-api-key", key)]).await
}

/// Runs `gateway keys`; gives what it wrote to its standard output.
#[track_caller]
fn keys(gateway: &Gateway, arguments: &[&str], input: &str) -> String {
    let path = gateway.document_path();
    let config = path.to_str().expect("a path");
    let mut all = vec!["keys", arguments[0], "--config", config];
    all.extend(&arguments[1..]);
    let output = run_gateway(&all, input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let key = String::from_utf8(output.stdout).expect("text").trim().to_owned();
    // What people read has no key in it.
    assert!(key.is_empty() || !key.starts_with("gk_") || !said.contains(&key), "{said}");
    key
}

fn id(key: &str) -> &str {
    key.split('_').nth(1).expect("an id")
}

#[track_caller]
fn rejected(reply: &Reply, status: u16, reason: &str) {
    reply.assert_by_gateway(&[status]);
    assert_eq!(reply.reason().as_deref(), Some(reason));
}

/// The whole life of a key, with the keys where `keys` has them.
async fn a_life(given: Keys) {
    let (one, other) = (given.gateway().await, given.gateway().await);
    let owner = ["issue", "--owner", "acme", "--tier", "gold", "--role", "admin"];
    let key = keys(&one, &owner, "");
    assert!(key.starts_with("gk_") && key.len() == 54, "{key}");
    until(&other, &key, 200).await;
    asks(&one, "/admin", &[("x-api-key", &key)]).await.assert_ok("ok");
    let seen = given.upstream.seen().pop().expect("a request");
    assert_eq!(
        (seen.header("x-user-id"), seen.header("x-user-tier")),
        (Some("acme"), Some("gold"))
    );
    assert_eq!((seen.header("x-key"), seen.header("x-api-key")), (Some(id(&key)), None));
    // A second one, with less.
    let plain = keys(&one, &["issue", "--owner", "other", "--expires", "90d"], "");
    until(&one, &plain, 200).await;
    rejected(&asks(&one, "/admin", &[("x-api-key", &plain)]).await, 403, "forbidden");
    let listed = keys(&one, &["list"], "");
    assert!(listed.contains(&format!("{} owner=acme tier=gold", id(&key))), "{listed}");
    assert!(!listed.contains(key.rsplit('_').next().expect("a secret")), "{listed}");
    // The next one, with both taken for a while.
    let next = keys(&one, &["rotate", id(&key), "--overlap", "1h"], "");
    until(&other, &next, 200).await;
    shows(&other, &key).await.assert_ok("ok");
    // And taken back: within a second, everywhere.
    keys(&one, &["revoke", id(&next)], "");
    until(&one, &next, 401).await;
    until(&other, &next, 401).await;
    shows(&other, &key).await.assert_ok("ok");
    let answer = shows(&other, &next).await;
    rejected(&answer, 401, "credentials_invalid");
    assert_eq!(answer.header("www-authenticate"), Some("ApiKey realm=\"gateway\""));
    for key in [&key, &plain, &next] {
        let secret = key.rsplit('_').next().expect("a secret");
        assert!(!answer.text().contains(secret));
        assert!(!one.log().contains(secret) && !other.log().contains(secret));
    }
    assert!(!one.log().contains("planted") && !other.log().contains("planted"));
}

/// Waits until a key is answered with `status`, for a second at most.
#[track_caller]
fn until(gateway: &Gateway, key: &str, status: u16) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        loop {
            let found = shows(gateway, key).await.status;
            if found == status {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(1), "{place}: {found}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn keys_in_a_file_are_issued_rotated_and_taken_back() {
    let path = std::env::temp_dir().join(format!("gateway-it-keys-{}.toml", std::process::id()));
    std::fs::write(&path, "").expect("write");
    a_life(Keys::new(format!("file = {path:?}")).await).await;
    std::fs::remove_file(&path).expect("remove");
}

#[tokio::test]
async fn keys_in_redis_are_issued_rotated_and_taken_back() {
    let Some(server) = StoreServer::redis() else { return };
    a_life(Keys::new(format!("redis = {{ url = {:?}, prefix = \"shop\" }}", server.url())).await)
        .await;
}

#[tokio::test]
async fn keys_in_postgres_are_issued_rotated_and_taken_back() {
    let Some(server) = StoreServer::postgres() else { return };
    let given = Keys::new(format!("postgres = {{ url = {:?} }}", server.url())).await;
    let gateway = given.gateway().await;
    let schema = keys(&gateway, &["create-table", "--print"], "");
    assert!(schema.contains("CREATE TABLE IF NOT EXISTS gateway_api_keys"), "{schema}");
    rejected(&shows(&gateway, "a-key-of-somebody").await, 503, "identity_unavailable");
    keys(&gateway, &["create-table"], "");
    drop(gateway);
    a_life(given).await;
}

#[tokio::test]
async fn known_keys_pass_while_the_store_is_away_and_nobody_else() {
    let Some(mut server) = StoreServer::redis() else { return };
    let given = Keys::new(format!("redis = {{ url = {:?} }}", server.url())).await;
    let gateway = given.gateway().await;
    let key = keys(&gateway, &["issue", "--owner", "acme"], "");
    let other = keys(&gateway, &["issue", "--owner", "other"], "");
    shows(&gateway, &key).await.assert_ok("ok");
    server.stop();
    shows(&gateway, &key).await.assert_ok("ok");
    let answer = shows(&gateway, &other).await;
    rejected(&answer, 503, "identity_unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(server.run());
    let back = Instant::now();
    while shows(&gateway, &other).await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn keys_of_the_document_are_taken_where_it_says_and_change_with_a_reload() {
    let sha256 = sha256_of("a-key-of-somebody");
    let mut given = Keys::new("").await;
    given.from = "cookie = \"key\"\nquery = \"key\"\nscheme = \"ApiKey\"\n\
                  credentials = \"keep\"\nrealm = \"partners\""
        .to_owned();
    given.more =
        format!("[identity.api_key.partners.keys.acme]\nsha256 = \"{sha256}\"\nowner = \"acme\"\n");
    let gateway = given.gateway().await;
    let cookie = [("cookie", "a=b; key=a-key-of-somebody")];
    let scheme = [("authorization", "apikey a-key-of-somebody")];
    asks(&gateway, "/orders", &cookie).await.assert_ok("ok");
    asks(&gateway, "/orders", &scheme).await.assert_ok("ok");
    let seen = given.upstream.seen().pop().expect("a request");
    assert_eq!(seen.header("authorization"), Some(scheme[0].1));
    asks(&gateway, "/orders?key=a-key-of-somebody", &[]).await.assert_ok("ok");
    // Not in the header, since other places were named; and not in two.
    let missing = shows(&gateway, "a-key-of-somebody").await;
    rejected(&missing, 401, "unauthenticated");
    assert_eq!(missing.header("www-authenticate"), Some("ApiKey realm=\"partners\""));
    let two = asks(&gateway, "/orders?key=a-key-of-somebody", &cookie).await;
    rejected(&two, 401, "credentials_invalid");
    // The command leaves the document alone.
    let path = gateway.document_path();
    let config = path.to_str().expect("a path");
    let output = run_gateway(&["keys", "issue", "--config", config, "--owner", "x"], "");
    assert!(!output.status.success());
    gateway.edit_document("owner = \"acme\"", "owner = \"acme\"\ndisabled = true");
    gateway.signal("HUP");
    let began = Instant::now();
    while asks(&gateway, "/orders", &cookie).await.status != 401 {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn sha256_of(text: &str) -> String {
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("printf %s {text} | sha256sum")])
        .output()
        .expect("sha256sum");
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_foreign_key_comes_in_on_standard_input_and_limits_count_its_owner() {
    let path = std::env::temp_dir().join(format!("gateway-it-import-{}.toml", std::process::id()));
    std::fs::write(&path, "").expect("write");
    let given = Keys::new(format!("file = {path:?}")).await;
    let gateway = given.gateway().await;
    gateway.edit_document(
        "policy.api_key = \"partners\"",
        "policy.api_key = \"partners\"\n\
         policy.rate_limit = { limit = 2, per = \"1h\", key = \"api_key\", tiers = { gold = { limit = 4 } } }",
    );
    gateway.signal("HUP");
    let import = ["import", "foreign-1", "--owner", "acme", "--tier", "gold"];
    keys(&gateway, &import, "sk_live_51H8aBcDeFgHiJkLmN\n");
    let second = keys(&gateway, &["issue", "--owner", "acme", "--tier", "gold"], "");
    let plain = keys(&gateway, &["issue", "--owner", "other"], "");
    eventually_within(
        Duration::from_secs(5),
        "a reload",
        || gateway.log().contains("reload"),
        |there| *there,
    )
    .await;
    until(&gateway, "sk_live_51H8aBcDeFgHiJkLmN", 200).await;
    until(&gateway, &second, 200).await;
    until(&gateway, &plain, 200).await;
    // Both keys are one owner's.
    for _ in 0..2 {
        shows(&gateway, &second).await.assert_ok("ok");
    }
    rejected(&shows(&gateway, "sk_live_51H8aBcDeFgHiJkLmN").await, 429, "rate_limited");
    shows(&gateway, &plain).await.assert_ok("ok");
    rejected(&shows(&gateway, &plain).await, 429, "rate_limited");
    std::fs::remove_file(&path).expect("remove");
}
