//! Against a real server, which each test starts for itself.

use tokio::time::{Instant, sleep, timeout};

use super::super::super::record::KeyGrant;
use super::super::super::tests::verify;
use super::super::super::{ApiKeyRejection, ApiKeys};
use super::*;
use crate::testing::RedisServer;

/// What gateways share.
struct Redis {
    redis: RedisServer,
}

impl Redis {
    async fn start() -> Option<Self> {
        RedisServer::start_lasting().await.map(|redis| Self { redis })
    }

    fn settings(&self) -> RedisKeyConfig {
        let url = self.redis.url();
        RedisKeyConfig { url, ..RedisKeyConfig::default() }
    }

    /// The keys as one gateway has them.
    fn gateway(&self) -> ApiKeys {
        let store = RedisKeyStore::new(self.settings()).unwrap();
        // The machine that runs the tests may be busy.
        ApiKeys::builder("partners", store).timeout(Duration::from_secs(5)).build()
    }

    async fn client(&self) -> MultiplexedConnection {
        let client = Client::open(self.settings().url).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_at_one_gateway_is_rejected_at_the_other_within_a_second() {
    let Some(server) = Redis::start().await else { return };
    let (one, other) = (server.gateway(), server.gateway());
    let (key, record) = one.issue(KeyGrant::new("acme").tier("gold")).await.unwrap();
    let key = key.reveal();
    assert_eq!(verify(&other, key).await, Ok(()));
    // It is remembered: nobody is asked.
    assert_eq!(verify(&other, key).await, Ok(()));
    assert_eq!(other.status().lookups, 1);
    one.revoke(&record.id).await.unwrap();
    let revoked = Instant::now();
    assert_eq!(verify(&one, key).await, Err(ApiKeyRejection::Revoked));
    while verify(&other, key).await == Ok(()) {
        assert!(revoked.elapsed() < Duration::from_secs(1));
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(verify(&other, key).await, Err(ApiKeyRejection::Revoked));
}

#[tokio::test]
async fn keys_are_issued_listed_rotated_and_removed() {
    let Some(server) = Redis::start().await else { return };
    let (one, other) = (server.gateway(), server.gateway());
    let (key, record) = one.issue(KeyGrant::new("acme").quota("month", 5)).await.unwrap();
    assert_eq!(verify(&other, key.reveal()).await, Ok(()));
    let (next, new) = other.rotate(&record.id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(verify(&one, next.reveal()).await, Ok(()));
    assert_eq!(verify(&one, key.reveal()).await, Ok(()));
    let listed = one.list().await.unwrap();
    assert_eq!(listed.len(), 2);
    let old = one.load(&record.id).await.unwrap();
    assert_eq!((old.replaced_by, old.revision), (Some(new.id.clone()), 2));
    assert!(old.grant.expires.is_some());
    // Somebody who has seen an older one writes nothing, and nothing of a batch with it.
    let store = RedisKeyStore::new(server.settings()).unwrap();
    let fresh = KeyRecord::new("x", SecretDigest::of(b"x"), KeyGrant::new("x"));
    let batch = [fresh.clone(), record.clone()];
    assert_eq!(store.put(&batch).await, Err(StoreError::Changed));
    assert_eq!(store.load("x").await, Ok(None));
    let twin = KeyRecord { id: "twin".to_owned(), ..record.clone() };
    assert_eq!(store.put(&[twin]).await, Err(StoreError::Changed));
    one.remove(&record.id).await.unwrap();
    assert!(one.remove(&record.id).await.is_err());
    assert_eq!(one.list().await.unwrap(), [new]);
    assert_eq!(verify(&one, key.reveal()).await, Err(ApiKeyRejection::Unknown));
}

/// What `found` finds, once it does: the link's own task sees what happens a moment later.
async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let seen = async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), seen).await.unwrap()
}

async fn becomes_revoked(keys: &ApiKeys, key: &str) {
    let seen = async {
        while verify(keys, key).await != Err(ApiKeyRejection::Revoked) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), seen).await.unwrap();
}

#[tokio::test]
async fn known_keys_pass_while_redis_is_away_and_what_changed_is_seen_when_it_is_back() {
    let Some(mut server) = Redis::start().await else { return };
    let keys = server.gateway();
    let (key, record) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    let (other, _) = keys.issue(KeyGrant::new("other")).await.unwrap();
    // News come in their order: what is said of these keys has been heard once this one is gone.
    let (last, marked) = keys.issue(KeyGrant::new("last")).await.unwrap();
    assert_eq!(verify(&keys, last.reveal()).await, Ok(()));
    server.gateway().revoke(&marked.id).await.unwrap();
    becomes_revoked(&keys, last.reveal()).await;
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    server.redis.stop().await;
    assert_eq!(verify(&keys, key.reveal()).await, Ok(()));
    assert_eq!(verify(&keys, other.reveal()).await, Err(ApiKeyRejection::Unavailable));
    let trouble = until(|| keys.status().trouble).await;
    assert!(!trouble.contains("127.0.0.1"), "{trouble}");
    assert!(server.redis.run().await);
    // Another one revokes it while nobody listens here.
    server.gateway().revoke(&record.id).await.unwrap();
    becomes_revoked(&keys, key.reveal()).await;
    assert_eq!(verify(&keys, other.reveal()).await, Ok(()));
    until(|| keys.status().trouble.is_none().then_some(())).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_the_deadline_and_lets_nobody_in() {
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let store = RedisKeyStore::new(RedisKeyConfig { url, ..RedisKeyConfig::default() });
    let keys = ApiKeys::builder("partners", store.unwrap());
    let keys = keys.timeout(Duration::from_millis(50)).build();
    let began = Instant::now();
    assert_eq!(verify(&keys, "a-key-of-somebody").await, Err(ApiKeyRejection::Unavailable));
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn what_is_no_record_lets_nobody_in_and_is_not_repeated() {
    let Some(server) = Redis::start().await else { return };
    let mut client = server.client().await;
    let keys = server.gateway();
    let digest = SecretDigest::of(b"a-key-of-somebody").to_hex();
    let place = format!("{{gateway}}:api_keys:key:{digest}");
    for lie in ["planted-secret", "{}", "[1]", &"x".repeat(100_000)] {
        let write = cmd("HSET").arg(&place).arg("record").arg(lie).to_owned();
        write.query_async::<()>(&mut client).await.unwrap();
        assert_eq!(verify(&keys, "a-key-of-somebody").await, Err(ApiKeyRejection::Unavailable));
    }
    let record = KeyRecord::new("other", SecretDigest::of(b"other"), KeyGrant::new("admin"));
    let write = cmd("HSET").arg(&place).arg("record").arg(to_json(&record).unwrap()).to_owned();
    write.query_async::<()>(&mut client).await.unwrap();
    assert_eq!(verify(&keys, "a-key-of-somebody").await, Err(ApiKeyRejection::Unavailable));
    cmd("DEL").arg(&place).query_async::<()>(&mut client).await.unwrap();
    cmd("SET").arg(&place).arg("text").query_async::<()>(&mut client).await.unwrap();
    assert_eq!(verify(&keys, "a-key-of-somebody").await, Err(ApiKeyRejection::Unavailable));
    assert_eq!(keys.status().failures, 6);
}

#[tokio::test]
async fn no_key_stands_in_redis() {
    let Some(server) = Redis::start().await else { return };
    let keys = server.gateway();
    let (key, _) = keys.issue(KeyGrant::new("acme")).await.unwrap();
    let secret = key.reveal().rsplit('_').next().unwrap();
    let mut client = server.client().await;
    let names: Vec<String> = cmd("KEYS").arg("*").query_async(&mut client).await.unwrap();
    assert_eq!(names.len(), 2, "{names:?}");
    for name in names {
        assert!(name.starts_with("{gateway}:api_keys:") && !name.contains(secret), "{name}");
        let all: Vec<String> = cmd("HGETALL").arg(name).query_async(&mut client).await.unwrap();
        assert!(!all.concat().contains(secret), "{all:?}");
    }
}

#[test]
fn addresses_and_prefixes_are_checked_and_passwords_not_told() {
    let settings =
        |url: &str, prefix: &str| RedisKeyConfig { url: url.to_owned(), prefix: prefix.to_owned() };
    assert!(RedisKeyStore::new(settings("redis://127.0.0.1", "a{b}")).is_err());
    let wrong = settings("http://user:secret@127.0.0.1", "gateway");
    assert!(!format!("{wrong:?}").contains("secret"));
    let error = RedisKeyStore::new(wrong).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
    let store = RedisKeyStore::new(settings("redis://user:secret@127.0.0.1", "gateway")).unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}
