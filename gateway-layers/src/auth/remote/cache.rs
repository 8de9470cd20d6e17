//! [`Cache`]: what servers have said about tokens.

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::sync::Cache as Entries;
use tokio::time::Instant;

use super::settings::CacheConfig;
use crate::auth::authenticator::Identity;
use crate::auth::fault::TokenRejection;

/// The SHA-256 of a token, so that nobody finds the token itself.
pub(super) type Key = [u8; 32];

pub(super) fn key(token: &str) -> Key {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

/// A token that the server knows.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) identity: Identity,
    /// When it ends, in seconds since 1970.
    pub(super) ends: Option<i64>,
}

/// Tokens that are known, and apart from them those that are not, each with the least used given
/// up first.
pub(super) struct Cache {
    settings: CacheConfig,
    known: Option<Entries<Key, (Known, Instant)>>,
    rejected: Option<Entries<Key, (TokenRejection, Instant)>>,
}

impl Cache {
    pub(super) fn new(settings: &CacheConfig) -> Self {
        let (tokens, rejected) = (settings.entries, settings.negative_entries);
        Self {
            settings: settings.clone(),
            known: (tokens > 0).then(|| Entries::new(tokens)),
            rejected: (rejected > 0).then(|| Entries::new(rejected)),
        }
    }

    /// What is still known of a token, at `now`, which is `wall` on the clock.
    pub(super) fn find(
        &self,
        key: &Key,
        now: Instant,
        wall: i64,
    ) -> Option<Result<Identity, TokenRejection>> {
        if let Some(entries) = &self.known
            && let Some((known, until)) = entries.get(key)
        {
            if now < until && known.ends.is_none_or(|ends| wall < ends) {
                return Some(Ok(known.identity));
            }
            entries.remove(key);
        }
        let entries = self.rejected.as_ref()?;
        let (fault, until) = entries.get(key)?;
        if now < until {
            return Some(Err(fault));
        }
        entries.remove(key);
        None
    }

    pub(super) fn keep(&self, key: Key, known: &Known, now: Instant) {
        if let Some(entries) = &self.known {
            entries.insert(key, (known.clone(), now + self.settings.ttl));
        }
    }

    pub(super) fn keep_rejected(&self, key: Key, fault: TokenRejection, now: Instant) {
        if let Some(entries) = &self.known {
            entries.remove(&key);
        }
        if let Some(entries) = &self.rejected {
            entries.insert(key, (fault, now + self.settings.negative_ttl));
        }
    }

    /// How many are kept: known and rejected.
    pub(super) fn len(&self) -> (usize, usize) {
        let known = self.known.as_ref().map_or(0, Entries::len);
        (known, self.rejected.as_ref().map_or(0, Entries::len))
    }
}
