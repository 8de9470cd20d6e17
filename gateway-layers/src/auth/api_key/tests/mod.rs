//! Keys through the layer, with paused time and stores that stall and lie.

mod attacks;
mod requests;
mod rotation;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway_core::Clock;

use super::*;
use crate::auth::SecretDigest;

/// From where keys are shown here.
pub(super) const CLIENT: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

/// A wall clock that goes with tokio's.
#[derive(Clone)]
pub(super) struct PausedClock(tokio::time::Instant);

impl PausedClock {
    pub(super) fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for PausedClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.0.elapsed()
    }
}

/// A store that can stall, fail and lie, and counts who asks.
#[derive(Clone, Default)]
pub(super) struct Moody {
    pub(super) keys: Arc<MemoryKeyStore>,
    pub(super) asked: Arc<AtomicU64>,
    pub(super) away: Arc<AtomicBool>,
    pub(super) stalls: Arc<AtomicBool>,
    /// Whatever is asked for, this is the answer.
    pub(super) lie: Arc<Mutex<Option<KeyRecord>>>,
}

impl Moody {
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// The keys that are kept here, as one gateway has them.
    pub(super) fn gateway(&self) -> ApiKeysBuilder {
        ApiKeys::builder("partners", self.clone())
    }
}

impl KeyStore for Moody {
    fn kind(&self) -> &'static str {
        "moody"
    }

    async fn find(&self, digest: &SecretDigest) -> Result<Option<KeyRecord>, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.stalls.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        if self.away.load(Ordering::Relaxed) {
            return Err(StoreError::Away("planted-secret".to_owned()));
        }
        // Long enough for others to come.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let lie = self.lie.lock().unwrap().clone();
        if lie.is_some() { Ok(lie) } else { self.keys.find(digest).await }
    }

    async fn load(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        self.keys.load(id).await
    }

    async fn list(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.keys.list().await
    }

    async fn put(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        self.keys.put(records).await
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        self.keys.remove(id).await
    }

    fn changes(&self) -> &KeyChanges {
        self.keys.changes()
    }
}

pub(super) async fn verify(keys: &ApiKeys, key: &str) -> Result<(), ApiKeyRejection> {
    keys.verify(key, CLIENT, Some("orders")).await.map(drop)
}
