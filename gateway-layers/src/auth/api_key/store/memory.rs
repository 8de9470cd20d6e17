//! [`MemoryKeyStore`]: keys that are kept nowhere else.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::record::KeyRecord;
use super::table::Table;
use super::{KeyChange, KeyChanges, KeyStore, StoreError};
use crate::auth::SecretDigest;

/// Keys in the memory of this process: those of a document, or of a program.
#[derive(Default)]
pub struct MemoryKeyStore {
    table: Mutex<Table>,
    changes: KeyChanges,
}

impl MemoryKeyStore {
    /// No keys yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// `records`.
    ///
    /// # Errors
    ///
    /// When two have one id or one key, or there are too many.
    pub fn with(records: impl IntoIterator<Item = KeyRecord>) -> Result<Self, StoreError> {
        Ok(Self { table: Mutex::new(Table::new(records)?), changes: KeyChanges::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for MemoryKeyStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn find(&self, digest: &SecretDigest) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.lock().find(digest).cloned())
    }

    async fn load(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        Ok(self.lock().load(id).cloned())
    }

    async fn list(&self) -> Result<Vec<KeyRecord>, StoreError> {
        Ok(self.lock().list().cloned().collect())
    }

    async fn put(&self, records: &[KeyRecord]) -> Result<(), StoreError> {
        {
            let mut table = self.lock();
            *table = table.with(records)?;
        }
        records.iter().for_each(|record| self.changes.tell(KeyChange::Key(record.digest)));
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        let digest = {
            let mut table = self.lock();
            let Some((rest, digest)) = table.without(id) else { return Ok(false) };
            *table = rest;
            digest
        };
        self.changes.tell(KeyChange::Key(digest));
        Ok(true)
    }

    fn changes(&self) -> &KeyChanges {
        &self.changes
    }
}

impl fmt::Debug for MemoryKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.lock().list().count();
        f.debug_struct("MemoryKeyStore").field("keys", &keys).finish_non_exhaustive()
    }
}
