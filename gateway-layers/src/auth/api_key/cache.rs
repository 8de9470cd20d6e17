//! [`Cache`]: keys that have been looked up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::record::KeyRecord;
use super::store::KeyChange;
use crate::auth::Identity;
use crate::auth::SecretDigest;

/// A key that has been looked up, and whose it is.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) record: KeyRecord,
    /// `None`: it cannot be told to upstreams as it should be.
    pub(super) identity: Option<Identity>,
    until: Instant,
    generation: u64,
}

/// What is known of a key without asking.
pub(super) enum Found {
    /// It is there.
    Known(Arc<Known>),
    /// It was there, and may have changed since: it holds if nobody can tell.
    Doubtful(Arc<Known>),
    /// It was not there a moment ago.
    Unknown,
    /// Somebody has to be asked.
    Nothing,
}

/// How many keys are remembered, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) keys: usize,
    pub(super) ttl: Duration,
    pub(super) unknown_keys: usize,
    pub(super) unknown_ttl: Duration,
}

/// Keys that have been looked up. Those that are not there have a room of their own, so that who
/// tries many keys pushes out none that is good.
pub(super) struct Cache {
    known: Option<quick_cache::sync::Cache<SecretDigest, Arc<Known>>>,
    unknown: Option<quick_cache::sync::Cache<SecretDigest, Instant>>,
    bounds: Bounds,
    /// Counts changes. What was looked up before a change must not come in after it.
    changes: Mutex<u64>,
    /// Counts the times at which any key may have changed.
    generation: AtomicU64,
}

/// When a look-up began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    changes: u64,
    generation: u64,
}

impl Cache {
    pub(super) fn new(bounds: Bounds) -> Self {
        let known = bounds.keys > 0 && !bounds.ttl.is_zero();
        let unknown = bounds.unknown_keys > 0 && !bounds.unknown_ttl.is_zero();
        Self {
            known: known.then(|| quick_cache::sync::Cache::new(bounds.keys)),
            unknown: unknown.then(|| quick_cache::sync::Cache::new(bounds.unknown_keys)),
            bounds,
            changes: Mutex::new(0),
            generation: AtomicU64::new(0),
        }
    }

    pub(super) fn find(&self, digest: &SecretDigest) -> Found {
        let now = Instant::now();
        if let Some(known) = self.known.as_ref().and_then(|known| known.get(digest)) {
            if now < known.until {
                let current = known.generation == self.generation.load(Ordering::Acquire);
                return if current { Found::Known(known) } else { Found::Doubtful(known) };
            }
            return Found::Nothing;
        }
        let unknown = self.unknown.as_ref().and_then(|unknown| unknown.get(digest));
        if unknown.is_some_and(|until| now < until) { Found::Unknown } else { Found::Nothing }
    }

    /// To be taken before somebody is asked.
    pub(super) fn since(&self) -> Since {
        let changes = self.lock();
        Since { changes: *changes, generation: self.generation.load(Ordering::Acquire) }
    }

    /// Remembers `record` and who has it, unless something has changed `since`.
    pub(super) fn keep(
        &self,
        since: Since,
        record: KeyRecord,
        identity: Option<Identity>,
    ) -> Arc<Known> {
        let digest = record.digest;
        let known = Arc::new(Known {
            record,
            identity,
            until: Instant::now() + self.bounds.ttl,
            generation: since.generation,
        });
        let changes = self.lock();
        if *changes == since.changes {
            if let Some(unknown) = &self.unknown {
                unknown.remove(&digest);
            }
            if let Some(all) = &self.known {
                all.insert(digest, Arc::clone(&known));
            }
        }
        known
    }

    /// Remembers that there is no such key, unless something has changed `since`.
    pub(super) fn keep_unknown(&self, since: Since, digest: SecretDigest) {
        let changes = self.lock();
        if *changes != since.changes {
            return;
        }
        if let Some(known) = &self.known {
            known.remove(&digest);
        }
        if let Some(unknown) = &self.unknown {
            unknown.insert(digest, Instant::now() + self.bounds.unknown_ttl);
        }
    }

    /// Forgets what has changed.
    pub(super) fn change(&self, change: KeyChange) {
        let mut changes = self.lock();
        *changes += 1;
        match change {
            KeyChange::Key(digest) => {
                if let Some(known) = &self.known {
                    known.remove(&digest);
                }
                if let Some(unknown) = &self.unknown {
                    unknown.remove(&digest);
                }
            }
            KeyChange::Any => {
                self.generation.fetch_add(1, Ordering::AcqRel);
                if let Some(unknown) = &self.unknown {
                    unknown.clear();
                }
            }
        }
    }

    /// How many keys are known, and how many are known not to be there.
    pub(super) fn len(&self) -> (usize, usize) {
        let known = self.known.as_ref().map_or(0, quick_cache::sync::Cache::len);
        (known, self.unknown.as_ref().map_or(0, quick_cache::sync::Cache::len))
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::KeyGrant;
    use super::*;

    fn cache() -> Cache {
        let second = Duration::from_secs(1);
        Cache::new(Bounds { keys: 8, ttl: 60 * second, unknown_keys: 8, unknown_ttl: second })
    }

    fn keep(cache: &Cache, since: Since, key: &str) -> SecretDigest {
        let digest = SecretDigest::of(key.as_bytes());
        let record = KeyRecord::new("id", digest, KeyGrant::new("acme"));
        cache.keep(since, record, None);
        digest
    }

    #[tokio::test]
    async fn what_was_looked_up_before_a_change_does_not_come_in_after_it() {
        let cache = cache();
        let since = cache.since();
        let digest = SecretDigest::of(b"key");
        // The store was asked, then the key was revoked, then the store's answer came.
        cache.change(KeyChange::Key(digest));
        keep(&cache, since, "key");
        assert!(matches!(cache.find(&digest), Found::Nothing));
        cache.keep_unknown(since, digest);
        assert!(matches!(cache.find(&digest), Found::Nothing));
        keep(&cache, cache.since(), "key");
        assert!(matches!(cache.find(&digest), Found::Known(_)));
        cache.change(KeyChange::Key(digest));
        assert!(matches!(cache.find(&digest), Found::Nothing));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_known_for_their_time_and_unknown_for_theirs() {
        let cache = cache();
        let digest = keep(&cache, cache.since(), "key");
        let other = SecretDigest::of(b"other");
        cache.keep_unknown(cache.since(), other);
        assert!(matches!(cache.find(&other), Found::Unknown));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(cache.find(&other), Found::Nothing));
        tokio::time::advance(Duration::from_millis(58_999)).await;
        assert!(matches!(cache.find(&digest), Found::Known(_)));
        cache.change(KeyChange::Any);
        assert!(matches!(cache.find(&digest), Found::Doubtful(_)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(matches!(cache.find(&digest), Found::Nothing));
    }

    #[tokio::test]
    async fn who_tries_many_keys_pushes_out_none_that_is_good() {
        let cache = cache();
        let digest = keep(&cache, cache.since(), "key");
        for key in 0..10_000_u32 {
            cache.keep_unknown(cache.since(), SecretDigest::of(&key.to_le_bytes()));
        }
        assert!(matches!(cache.find(&digest), Found::Known(_)));
        let (known, unknown) = cache.len();
        assert!(known == 1 && unknown <= 8, "{known} {unknown}");
    }
}
