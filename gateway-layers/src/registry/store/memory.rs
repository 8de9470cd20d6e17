//! [`MemoryStore`]: registrations in the memory of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_core::BoxError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::Record;
use super::{Loaded, RegistryStore, Stored};

/// More registrations than this are not kept, whatever the registries that share it hold.
const MOST: usize = 100_000;

/// Registrations in the memory of this process. Clones are the same store, for several registries
/// of one process.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    places: Mutex<HashMap<String, (Arc<Record>, Instant)>>,
    changes: watch::Sender<u64>,
}

impl MemoryStore {
    /// A store of nothing.
    pub fn new() -> Self {
        let changes = watch::Sender::new(0);
        Self { inner: Arc::new(Inner { places: Mutex::default(), changes }) }
    }

    fn places(&self) -> MutexGuard<'_, HashMap<String, (Arc<Record>, Instant)>> {
        self.inner.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.inner.changes.send_modify(|version| *version = version.wrapping_add(1));
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

/// The place of `record`.
pub(super) fn place(record: &Record) -> String {
    let address = record.address().map(ToString::to_string).unwrap_or_default();
    format!("{} {address}", record.service)
}

impl RegistryStore for MemoryStore {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn put(&self, record: &Arc<Record>) -> Result<(), BoxError> {
        let now = Instant::now();
        let mut places = self.places();
        if places.len() >= MOST {
            places.retain(|_, (_, expires)| *expires > now);
            if places.len() >= MOST {
                return Err("the store is full".into());
            }
        }
        places.insert(place(record), (Arc::clone(record), now + record.lease));
        drop(places);
        self.tell();
        Ok(())
    }

    async fn renew(&self, record: &Arc<Record>) -> Result<bool, BoxError> {
        let now = Instant::now();
        let mut places = self.places();
        let place = places.entry(place(record)).or_insert_with(|| (Arc::clone(record), now));
        let own = place.0.id == record.id;
        if own {
            place.1 = now + record.lease;
        }
        Ok(own)
    }

    async fn remove(&self, record: &Arc<Record>) -> Result<(), BoxError> {
        let place = place(record);
        let mut places = self.places();
        if places.get(&place).is_some_and(|(there, _)| there.id == record.id) {
            places.remove(&place);
            drop(places);
            self.tell();
        }
        Ok(())
    }

    async fn load(&self) -> Result<Loaded, BoxError> {
        let now = Instant::now();
        let version = *self.inner.changes.borrow();
        let mut places = self.places();
        places.retain(|_, (_, expires)| *expires > now);
        let stored = |(record, expires): &(Arc<Record>, Instant)| Stored {
            record: Arc::clone(record),
            remaining: expires.saturating_duration_since(now),
        };
        Ok(Loaded { version, stored: places.values().map(stored).collect() })
    }

    async fn changed(&self, version: u64) -> Result<(), BoxError> {
        // The sender lives as long as `self`.
        let mut changes = self.inner.changes.subscribe();
        let _ = changes.wait_for(|current| *current != version).await;
        Ok(())
    }
}
