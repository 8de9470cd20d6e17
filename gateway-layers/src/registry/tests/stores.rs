use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_core::BoxError;
use tokio::time::sleep;

use super::super::registration::Record;
use super::*;

const ADDRESS: &str = "http://10.0.0.1:80";

/// A store that can be cut off.
#[derive(Clone, Default)]
struct Frail {
    memory: MemoryStore,
    away: Arc<AtomicBool>,
}

impl Frail {
    fn there(&self) -> Result<(), BoxError> {
        if self.away.load(Ordering::Relaxed) { Err("cut off".into()) } else { Ok(()) }
    }
}

impl RegistryStore for Frail {
    fn name(&self) -> &'static str {
        "frail"
    }

    async fn put(&self, record: &Arc<Record>) -> Result<(), BoxError> {
        self.there()?;
        self.memory.put(record).await
    }

    async fn renew(&self, record: &Arc<Record>) -> Result<bool, BoxError> {
        self.there()?;
        self.memory.renew(record).await
    }

    async fn remove(&self, record: &Arc<Record>) -> Result<(), BoxError> {
        self.there()?;
        self.memory.remove(record).await
    }

    async fn load(&self) -> Result<Loaded, BoxError> {
        self.there()?;
        self.memory.load().await
    }

    async fn changed(&self, version: u64) -> Result<(), BoxError> {
        self.there()?;
        self.memory.changed(version).await
    }
}

/// A store whose records have come back to the registry before it hears that they were put.
#[derive(Clone, Default)]
struct Overtaken {
    memory: MemoryStore,
    registry: Arc<OnceLock<Registry>>,
}

impl RegistryStore for Overtaken {
    fn name(&self) -> &'static str {
        "overtaken"
    }

    async fn put(&self, record: &Arc<Record>) -> Result<(), BoxError> {
        self.memory.put(record).await?;
        let registry = self.registry.get().ok_or("no registry")?;
        until(registry, |registry| registry.instance(&record.id).is_some()).await;
        Ok(())
    }

    async fn renew(&self, record: &Arc<Record>) -> Result<bool, BoxError> {
        self.memory.renew(record).await
    }

    async fn remove(&self, record: &Arc<Record>) -> Result<(), BoxError> {
        self.memory.remove(record).await
    }

    async fn load(&self) -> Result<Loaded, BoxError> {
        self.memory.load().await
    }

    async fn changed(&self, version: u64) -> Result<(), BoxError> {
        self.memory.changed(version).await
    }
}

#[tokio::test(start_paused = true)]
async fn registers_what_the_store_brought_back_first() {
    let (store, doctor) = (Overtaken::default(), Doctor::default());
    let registry = builder(&doctor).with_store(store.clone()).build();
    assert!(store.registry.set(registry.clone()).is_ok());
    let first = active(&registry, at("users", ADDRESS)).await;
    sleep(SECOND).await;
    // Anew at the same address, in the place of the first.
    let anew = active(&registry, at("users", ADDRESS)).await;
    assert!(registry.instance(&first.id).is_none());
    registry.heartbeat(&anew.id, anew.secret.reveal()).await.unwrap();
    assert_eq!(registry.instances().len(), 1);
    registry.deregister(&anew.id, anew.secret.reveal()).await.unwrap();
    assert!(registry.instances().is_empty());
}

async fn until(registry: &Registry, what: impl Fn(&Registry) -> bool) {
    while !what(registry) {
        registry.changed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn gateways_with_one_store_know_the_same_services() {
    let (store, doctor) = (MemoryStore::new(), Doctor::default());
    let one = builder(&doctor).with_store(store.clone()).build();
    let two = builder(&doctor).with_store(store.clone()).build();
    two.start();
    let users = at("users", ADDRESS).capabilities(kinds(&["users"]));
    let registered = active(&one, users.clone()).await;
    until(&two, |two| names(two, "users") == ["users"]).await;
    // A heartbeat at either keeps it at both.
    for turn in 0..10 {
        sleep(20 * SECOND).await;
        let gateway = if turn % 2 == 0 { &one } else { &two };
        gateway.heartbeat(&registered.id, registered.secret.reveal()).await.unwrap();
        assert_eq!((one.instances().len(), two.instances().len()), (1, 1), "{turn}");
    }
    // Registered anew at the other, the first one follows.
    let anew = active(&two, users).await;
    until(&one, |one| one.instance(&anew.id).is_some()).await;
    assert_eq!(one.instances().len(), 1);
    let late = one.heartbeat(&registered.id, registered.secret.reveal()).await;
    assert!(matches!(late, Err(RegistryError::Unknown)));
    one.deregister(&anew.id, anew.secret.reveal()).await.unwrap();
    until(&two, |two| two.instances().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_the_last_good_set_holds_and_it_is_said() {
    let (store, doctor, diary) = (Frail::default(), Doctor::default(), Diary::default());
    let registry = builder(&doctor).with_store(store.clone()).observers(diary.observers()).build();
    let users = active(&registry, at("users", ADDRESS)).await;
    let other = active(&registry, at("users", "http://10.0.0.2:80")).await;
    diary.take();
    store.away.store(true, Ordering::Relaxed);
    for _ in 0..10 {
        sleep(20 * SECOND).await;
        registry.heartbeat(&users.id, users.secret.reveal()).await.unwrap();
    }
    assert_eq!(registry.instances().len(), 2);
    let rejected = registry.register(at("orders", "http://10.0.0.3")).await;
    assert!(matches!(rejected, Err(RegistryError::StoreAway(_))));
    let rejected = registry.deregister(&other.id, other.secret.reveal()).await;
    assert!(matches!(rejected, Err(RegistryError::StoreAway(_))));
    assert_eq!(diary.take(), ["registry good>failing (cut off; what is known holds)"]);
    // Checks go on meanwhile.
    doctor.ill("http://10.0.0.2:80");
    until(&registry, |registry| {
        registry.instance(&other.id).unwrap().state == InstanceState::Unhealthy
    })
    .await;
    diary.take();
    store.away.store(false, Ordering::Relaxed);
    registry.heartbeat(&users.id, users.secret.reveal()).await.unwrap();
    until(&registry, |registry| registry.instances().len() == 1).await;
    assert!(registry.instance(&users.id).is_some());
    assert!(diary.take().contains(&"registry failing>good (it answers again)".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_a_store_holds_is_judged_before_it_is_used() {
    let (store, doctor) = (MemoryStore::new(), Doctor::default());
    let lax = AllowList::new(["10.0.0.0/8", "127.0.0.1", "11.0.0.0/8"]).unwrap();
    let one = builder(&doctor).allow(lax).with_store(store.clone()).build();
    let two = builder(&doctor).with_store(store.clone()).build();
    two.start();
    for address in ["http://127.0.0.1:80", "http://11.0.0.1:80", ADDRESS] {
        active(&one, at("users", address)).await;
    }
    until(&two, |two| two.health_check().get("users") == Some(&true)).await;
    sleep(5 * SECOND).await;
    let addresses: Vec<_> =
        two.instances().iter().map(|one| one.address.as_ref().unwrap().to_string()).collect();
    assert_eq!(addresses, [ADDRESS]);
}
