//! [`Cache`]: what a service has allowed.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use gateway_core::Request;
use quick_cache::sync::Cache as Entries;
use tokio::time::Instant;

use super::allowed::Allowed;
use super::question::TRACING;

/// The SHA-256 of all that a service is told.
pub(super) type Key = [u8; 32];

/// What a service has allowed, the least used given up first. Only what was allowed comes in.
pub(super) struct Cache {
    ttl: Duration,
    entries: Entries<Key, (Arc<Allowed>, Instant)>,
}

impl Cache {
    pub(super) fn new(ttl: Duration, entries: usize) -> Self {
        Self { ttl, entries: Entries::new(entries) }
    }

    pub(super) fn find(&self, key: &Key) -> Option<Arc<Allowed>> {
        let (allowed, until) = self.entries.get(key)?;
        if Instant::now() < until {
            return Some(allowed);
        }
        self.entries.remove(key);
        None
    }

    pub(super) fn keep(&self, key: Key, allowed: &Arc<Allowed>) {
        // What is meant for one client is not given to the next.
        if allowed.answer.is_empty() {
            self.entries.insert(key, (Arc::clone(allowed), Instant::now() + self.ttl));
        }
    }
}

/// Questions that a service would answer in the same way have the same key.
pub(super) fn key(question: &Request) -> Key {
    let mut hash = Context::new(&SHA256);
    // With its length in front no text runs into the next one.
    let mut add = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    add(question.uri().to_string().as_bytes());
    for (name, value) in question.headers() {
        if !TRACING.contains(name) {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
    }
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}
