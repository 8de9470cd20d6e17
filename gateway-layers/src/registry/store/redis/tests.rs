//! Against a real server, which each test starts for itself.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::super::tests::{Diary, Doctor, active, asked, at, builder, kinds};
use super::super::super::{InstanceState, Registry, RegistryError};
use super::*;
use crate::testing::RedisServer;

const ADDRESS: &str = "http://10.0.0.1:80";

/// What gateways share.
struct Server {
    redis: RedisServer,
}

impl Server {
    async fn start() -> Option<Self> {
        RedisServer::start().await.map(|redis| Self { redis })
    }

    fn store(&self) -> RedisStore {
        RedisStore::new(&self.redis.url(), "test").unwrap()
    }

    fn registry(&self, diary: &Diary) -> Registry {
        let registry = builder(&Doctor::default()).with_store(self.store());
        let registry = registry.observers(diary.observers()).build();
        registry.start();
        registry
    }
}

async fn until(registry: &Registry, what: impl Fn(&Registry) -> bool) {
    let there = async {
        while !what(registry) {
            registry.changed().await;
        }
    };
    timeout(Duration::from_secs(20), there).await.unwrap();
}

#[tokio::test]
async fn gateways_that_share_a_server_know_the_same_services() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (one, two) = (server.registry(&Diary::default()), server.registry(&Diary::default()));
    let users = at("users", ADDRESS).capabilities(kinds(&["users"])).weight(3).zone("a");
    let users = users.metadata([("note", "ä\"\\")].into_iter().collect());
    let registered = active(&one, users.clone()).await;
    until(&two, |two| !two.compatible_services(&asked("users")).is_empty()).await;
    let known = two.instance(&registered.id).unwrap();
    assert_eq!(known.metadata.value("note"), Some("ä\"\\"));
    // The secret is known to both, without being stored.
    let (state, _) = two.heartbeat(&registered.id, registered.secret.reveal()).await.unwrap();
    assert_eq!(state, InstanceState::Active);
    let wrong = two.heartbeat(&registered.id, "wrong").await;
    assert!(matches!(wrong, Err(RegistryError::NotTheHolder)));
    let anew = active(&two, users).await;
    let late = one.heartbeat(&registered.id, registered.secret.reveal()).await;
    assert!(matches!(late, Err(RegistryError::Unknown)));
    until(&one, |one| one.instance(&anew.id).is_some()).await;
    two.deregister(&anew.id, anew.secret.reveal()).await.unwrap();
    until(&one, |one| one.instances().is_empty()).await;
}

#[tokio::test]
async fn leases_end_in_the_server() {
    let Some(server) = Server::start().await else {
        return;
    };
    let (one, two) = (server.registry(&Diary::default()), server.registry(&Diary::default()));
    let registered = active(&one, at("users", ADDRESS).lease(Duration::from_secs(5))).await;
    until(&two, |two| two.instance(&registered.id).is_some()).await;
    until(&one, |one| one.instances().is_empty()).await;
    until(&two, |two| two.instances().is_empty()).await;
    let loaded = server.store().load().await.unwrap();
    assert!(loaded.stored.is_empty() && loaded.version > 0);
}

#[tokio::test]
async fn what_is_known_outlasts_the_server() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let diary = Diary::default();
    let registry = server.registry(&diary);
    let users = active(&registry, at("users", ADDRESS).lease(Duration::from_secs(5))).await;
    diary.take();
    server.redis.stop().await;
    // Longer than the lease.
    for _ in 0..7 {
        registry.heartbeat(&users.id, users.secret.reveal()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert!(registry.instance(&users.id).is_some());
    let rejected = registry.register(at("orders", "http://10.0.0.2")).await;
    assert!(matches!(rejected, Err(RegistryError::StoreAway(_))));
    let told = diary.take();
    assert!(told.len() == 1 && told.concat().starts_with("registry good>failing"), "{told:?}");
    // It comes back knowing nothing; the next heartbeat tells it.
    assert!(server.redis.run().await);
    registry.heartbeat(&users.id, users.secret.reveal()).await.unwrap();
    let back = async {
        while !diary.take().iter().any(|line| line.starts_with("registry failing>good")) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), back).await.unwrap();
    let other = server.registry(&Diary::default());
    until(&other, |other| other.instance(&users.id).is_some()).await;
}

#[test]
fn addresses_and_prefixes_are_checked_and_passwords_not_told() {
    assert!(RedisStore::new("redis://127.0.0.1", "a{b}").is_err());
    let error = RedisStore::new("http://user:secret@127.0.0.1", "gateway").unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    let store = RedisStore::new("redis://user:secret@127.0.0.1", "gateway").unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}
