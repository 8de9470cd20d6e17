//! [`KeyStore`]: where keys are kept.

mod file;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod link;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod table;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use self::file::FileKeyStore;
pub use self::memory::MemoryKeyStore;
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresKeyConfig, PostgresKeyStore};
#[cfg(feature = "redis")]
pub use self::redis::{RedisKeyConfig, RedisKeyStore};
use super::record::KeyRecord;
use crate::auth::SecretDigest;

/// So many keys are listed at most, and kept by stores that keep them here.
pub const MAX_KEYS: usize = 100_000;

/// Keeps keys: records by their digest.
///
/// Every call may be dropped at any time, and all are when they take too long.
pub trait KeyStore: Send + Sync + 'static {
    /// What it is, for logs and status: `memory`, `file`, `redis`, `postgres`.
    fn kind(&self) -> &'static str;

    /// The key with this digest.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    fn find(
        &self,
        digest: &SecretDigest,
    ) -> impl Future<Output = Result<Option<KeyRecord>, StoreError>> + Send;

    /// The key with this id.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    fn load(&self, id: &str) -> impl Future<Output = Result<Option<KeyRecord>, StoreError>> + Send;

    /// All keys by their ids, [`MAX_KEYS`] at most.
    ///
    /// # Errors
    ///
    /// When the store cannot tell.
    fn list(&self) -> impl Future<Output = Result<Vec<KeyRecord>, StoreError>> + Send;

    /// Keeps all of `records`, or none. Each has a [`revision`](KeyRecord::revision) one higher
    /// than the one that is there, and 1 where there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] when there is another one, or another key with that digest;
    /// otherwise when the store cannot keep them.
    fn put(&self, records: &[KeyRecord]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets the key with this id. False when there is none.
    ///
    /// # Errors
    ///
    /// When the store cannot forget it.
    fn remove(&self, id: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Who wants to know that a key has changed.
    fn changes(&self) -> &KeyChanges;

    /// Begins what it does in the background, where that has not begun. Needs a runtime.
    fn start(&self) {}

    /// Why it cannot be asked, or shows what it had before; `None` when it is well.
    fn trouble(&self) -> Option<String> {
        None
    }
}

/// Why a store did not do what it was asked for. Without addresses and secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It does not answer.
    #[error("the store of keys does not answer: {0}")]
    Away(String),
    /// It answered with what is no record, or has too many.
    #[error("the store of keys has what cannot be read: {0}")]
    Unreadable(String),
    /// It cannot keep what it was given.
    #[error("the key cannot be kept: {0}")]
    Rejected(String),
    /// Somebody else has changed the key at the same time.
    #[error("the key has been changed by somebody else")]
    Changed,
}

/// What has changed in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyChange {
    /// This key.
    Key(SecretDigest),
    /// Nobody knows what: any key may have.
    Any,
}

/// Somebody who wants to know that a key has changed.
pub type KeyListener = dyn Fn(KeyChange) + Send + Sync;

/// Who wants to know that keys have changed.
#[derive(Default)]
pub struct KeyChanges {
    listeners: Mutex<Vec<Weak<KeyListener>>>,
}

impl KeyChanges {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells all who listen. Stores do, for changes that they made themselves and for those that
    /// they heard of.
    pub fn tell(&self, change: KeyChange) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.strong_count() > 0);
        let listeners: Vec<_> = listeners.iter().filter_map(Weak::upgrade).collect();
        listeners.iter().for_each(|listener| listener(change));
    }

    /// Tells `listener` from now on, for as long as it is there.
    pub fn listen(&self, listener: &Arc<KeyListener>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Arc::downgrade(listener));
    }
}

impl fmt::Debug for KeyChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyChanges")
    }
}

type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store, erased.
pub(super) trait Erased: Send + Sync {
    fn kind(&self) -> &'static str;
    fn find<'a>(&'a self, digest: &'a SecretDigest) -> Later<'a, Option<KeyRecord>>;
    fn load<'a>(&'a self, id: &'a str) -> Later<'a, Option<KeyRecord>>;
    fn list(&self) -> Later<'_, Vec<KeyRecord>>;
    fn put<'a>(&'a self, records: &'a [KeyRecord]) -> Later<'a, ()>;
    fn remove<'a>(&'a self, id: &'a str) -> Later<'a, bool>;
    fn changes(&self) -> &KeyChanges;
    fn start(&self);
    fn trouble(&self) -> Option<String>;
}

impl<S: KeyStore> Erased for S {
    fn kind(&self) -> &'static str {
        KeyStore::kind(self)
    }

    fn find<'a>(&'a self, digest: &'a SecretDigest) -> Later<'a, Option<KeyRecord>> {
        Box::pin(KeyStore::find(self, digest))
    }

    fn load<'a>(&'a self, id: &'a str) -> Later<'a, Option<KeyRecord>> {
        Box::pin(KeyStore::load(self, id))
    }

    fn list(&self) -> Later<'_, Vec<KeyRecord>> {
        Box::pin(KeyStore::list(self))
    }

    fn put<'a>(&'a self, records: &'a [KeyRecord]) -> Later<'a, ()> {
        Box::pin(KeyStore::put(self, records))
    }

    fn remove<'a>(&'a self, id: &'a str) -> Later<'a, bool> {
        Box::pin(KeyStore::remove(self, id))
    }

    fn changes(&self) -> &KeyChanges {
        KeyStore::changes(self)
    }

    fn start(&self) {
        KeyStore::start(self);
    }

    fn trouble(&self) -> Option<String> {
        KeyStore::trouble(self)
    }
}
