//! [`Table`]: records of a store that keeps them here.

use std::collections::{BTreeMap, HashMap};

use super::super::record::KeyRecord;
use super::super::written::check;
use super::{MAX_KEYS, StoreError};
use crate::auth::SecretDigest;

/// Records by digest and by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    records: BTreeMap<String, KeyRecord>,
    ids: HashMap<SecretDigest, String>,
}

impl Table {
    /// `records`, of which no two have one id or one key.
    pub(super) fn new(records: impl IntoIterator<Item = KeyRecord>) -> Result<Self, StoreError> {
        let mut table = Self::default();
        for record in records {
            let id = record.id.clone();
            let twice = table.ids.insert(record.digest, id.clone()).is_some();
            if twice || table.records.insert(id.clone(), record).is_some() {
                let problem = format!("key `{id}` has the id or the digest of another one");
                return Err(StoreError::Unreadable(problem));
            }
        }
        table.bounded()
    }

    pub(super) fn find(&self, digest: &SecretDigest) -> Option<&KeyRecord> {
        self.records.get(self.ids.get(digest)?)
    }

    pub(super) fn load(&self, id: &str) -> Option<&KeyRecord> {
        self.records.get(id)
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &KeyRecord> {
        self.records.values()
    }

    /// This table with `records` in it.
    pub(super) fn with(&self, records: &[KeyRecord]) -> Result<Self, StoreError> {
        let mut table = self.clone();
        for record in records {
            check(record).map_err(StoreError::Rejected)?;
            let seen = table.records.get(&record.id).map_or(0, |there| there.revision);
            let other = table.ids.get(&record.digest).is_some_and(|id| *id != record.id);
            if record.revision != seen + 1 || other {
                return Err(StoreError::Changed);
            }
            if let Some(before) = table.records.insert(record.id.clone(), record.clone()) {
                table.ids.remove(&before.digest);
            }
            table.ids.insert(record.digest, record.id.clone());
        }
        table.bounded()
    }

    /// This table without the key `id`, and its digest.
    pub(super) fn without(&self, id: &str) -> Option<(Self, SecretDigest)> {
        let mut table = self.clone();
        let digest = table.records.remove(id)?.digest;
        table.ids.remove(&digest);
        Some((table, digest))
    }

    fn bounded(self) -> Result<Self, StoreError> {
        if self.records.len() > MAX_KEYS {
            let problem = format!("{} keys, expected {MAX_KEYS} at most", self.records.len());
            return Err(StoreError::Rejected(problem));
        }
        Ok(self)
    }
}
