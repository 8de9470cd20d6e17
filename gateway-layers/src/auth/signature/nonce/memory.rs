//! [`MemoryNonces`]: the nonces that one gateway has seen.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use gateway_core::{Error, Reason};

use super::{Nonce, NonceStore, Remembered};

/// Most nonces of one key that are remembered at the same time. Default: 100,000, of about 100
/// bytes each: with a `max_age` of 5 minutes as many as 270 requests a second need.
pub const DEFAULT_NONCES: usize = 100_000;

/// Most that are forgotten with one request, so that none of them waits for a long list.
const FORGET_AT_ONCE: usize = 32;

/// When there is no room, the client may try again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The nonces that one gateway has seen, in memory. Cheap to clone; clones are the same store.
///
/// Each key has room of its own, so that one caller cannot take the room of another. Where there
/// is none, requests of that key are rejected with 503
/// [`IdentityUnavailable`](Reason::IdentityUnavailable) until nonces are old enough: a nonce that
/// was forgotten too early could be used again.
#[derive(Clone)]
pub struct MemoryNonces {
    most: usize,
    owners: Arc<RwLock<Owners>>,
}

/// The nonces of each key, by its hash.
type Owners = HashMap<[u8; 32], Arc<Mutex<Seen>>>;

/// The nonces of one key.
#[derive(Default)]
struct Seen {
    /// Until when each is remembered, since 1970.
    until: HashMap<[u8; 32], Duration>,
    /// The next one to forget.
    next: BinaryHeap<Reverse<(Duration, [u8; 32])>>,
}

impl MemoryNonces {
    /// Remembers up to `most` nonces of each key.
    pub fn new(most: usize) -> Self {
        Self { most, owners: Arc::default() }
    }

    /// The same store with room for `most` nonces of each key: what was used stays known.
    #[must_use]
    pub fn with_room(&self, most: usize) -> Self {
        Self { most, owners: Arc::clone(&self.owners) }
    }

    /// How many are remembered, of all keys.
    pub fn len(&self) -> usize {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        owners.values().map(|seen| lock(seen).until.len()).sum()
    }

    /// True when none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn seen(&self, owner: &[u8; 32]) -> Arc<Mutex<Seen>> {
        let owners = self.owners.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = owners.get(owner) {
            return Arc::clone(seen);
        }
        drop(owners);
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(owners.entry(*owner).or_default())
    }
}

impl Default for MemoryNonces {
    fn default() -> Self {
        Self::new(DEFAULT_NONCES)
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    fn forget(&mut self, now: Duration) {
        for _ in 0..FORGET_AT_ONCE {
            match self.next.peek() {
                Some(Reverse((until, _))) if *until < now => {}
                _ => return,
            }
            if let Some(Reverse((_, nonce))) = self.next.pop() {
                self.until.remove(&nonce);
            }
        }
    }

    fn remember(&mut self, nonce: &Nonce, most: usize) -> Result<bool, Error> {
        self.forget(nonce.now);
        let full = self.until.len() >= most;
        match self.until.entry(nonce.fingerprint) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(_) if full => Err(Error::new(Reason::IdentityUnavailable)
                .with_detail("too many signatures of this key are remembered")
                .with_retry_after(TRY_AGAIN)),
            Entry::Vacant(place) => {
                let until = nonce.now.saturating_add(nonce.remember);
                place.insert(until);
                self.next.push(Reverse((until, nonce.fingerprint)));
                Ok(true)
            }
        }
    }
}

impl NonceStore for MemoryNonces {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn remember(&self, nonce: &Nonce) -> Remembered {
        let seen = self.seen(&nonce.owner);
        let remembered = lock(&seen).remember(nonce, self.most);
        Remembered::Now(remembered)
    }
}

impl fmt::Debug for MemoryNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNonces").field("most", &self.most).field("len", &self.len()).finish()
    }
}
