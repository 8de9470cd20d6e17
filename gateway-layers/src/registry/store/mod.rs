//! [`RegistryStore`]: where registrations are kept, so that several gateways share them.

mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::BoxError;

pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreError};
use super::Record;

/// A record that a store has.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What is registered.
    pub record: Arc<Record>,
    /// What remains of its lease.
    pub remaining: Duration,
}

/// Everything a store has, and as of when.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Grows with every change but renewals.
    pub version: u64,
    /// What is registered, without what has expired.
    pub stored: Vec<Stored>,
}

/// Keeps registrations, each for as long as its lease is renewed.
///
/// There is one place for each service and address: who is registered there anew takes the place
/// of who was there before. How an instance is, is no part of it: every gateway checks itself.
///
/// Every call may be dropped at any time; all but [`changed`](Self::changed) are when they take too
/// long.
pub trait RegistryStore: Send + Sync + 'static {
    /// What logs and events call it.
    fn name(&self) -> &str;

    /// Keeps `record` for the time of its lease, in the place of whatever is there.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached or has no room.
    fn put(&self, record: &Arc<Record>) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Keeps `record` for the time of its lease from now on, also where it is gone. False when
    /// another registration has taken its place.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    fn renew(&self, record: &Arc<Record>) -> impl Future<Output = Result<bool, BoxError>> + Send;

    /// Forgets `record`, unless another registration has taken its place.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    fn remove(&self, record: &Arc<Record>) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Everything it keeps. The version is that of before the rest was read.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached: what was loaded last then holds.
    fn load(&self) -> impl Future<Output = Result<Loaded, BoxError>> + Send;

    /// Returns when [`load`](Self::load) may give something else than it did at `version`. May
    /// return without reason. It sets its own deadlines for
    /// what it asks others.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    fn changed(&self, version: u64) -> impl Future<Output = Result<(), BoxError>> + Send;
}

type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// A store, erased.
pub(super) trait Erased: Send + Sync {
    fn name(&self) -> &str;
    fn put<'a>(&'a self, record: &'a Arc<Record>) -> Later<'a, ()>;
    fn renew<'a>(&'a self, record: &'a Arc<Record>) -> Later<'a, bool>;
    fn remove<'a>(&'a self, record: &'a Arc<Record>) -> Later<'a, ()>;
    fn load(&self) -> Later<'_, Loaded>;
    fn changed(&self, version: u64) -> Later<'_, ()>;
}

impl<S: RegistryStore> Erased for S {
    fn name(&self) -> &str {
        RegistryStore::name(self)
    }

    fn put<'a>(&'a self, record: &'a Arc<Record>) -> Later<'a, ()> {
        Box::pin(RegistryStore::put(self, record))
    }

    fn renew<'a>(&'a self, record: &'a Arc<Record>) -> Later<'a, bool> {
        Box::pin(RegistryStore::renew(self, record))
    }

    fn remove<'a>(&'a self, record: &'a Arc<Record>) -> Later<'a, ()> {
        Box::pin(RegistryStore::remove(self, record))
    }

    fn load(&self) -> Later<'_, Loaded> {
        Box::pin(RegistryStore::load(self))
    }

    fn changed(&self, version: u64) -> Later<'_, ()> {
        Box::pin(RegistryStore::changed(self, version))
    }
}
