//! [`KeyStore`]: the keys of one source, kept fresh.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gateway_core::{Swap, Tasks};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::fetch::{FetchError, Fetcher};
use super::key_set::KeySet;
use super::keys::Keys;

/// Names of keys that were looked for in vain are remembered, so many of them. With more, the
/// cool-down alone holds.
const MAX_UNKNOWN: usize = 1024;

/// They are remembered for so many cool-downs.
const UNKNOWN_FOR: u32 = 3;

/// Fetches that fail are tried again after at most this.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Who waits for a fetch waits a little longer than that may take.
const MARGIN: Duration = Duration::from_millis(500);

/// How good the keys of a source are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freshness {
    /// Fetched within their time.
    Fresh,
    /// Older, since they could not be fetched again. They are used.
    Stale,
    /// There are none that may be used: nobody is let in.
    Unavailable,
}

/// What is known of the keys of one source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeysStatus {
    /// The address without its query, the path of the file, or `inline`.
    pub source: String,
    /// How good they are.
    pub freshness: Freshness,
    /// How many can be used.
    pub keys: usize,
    /// How many stood beside them that cannot.
    pub skipped: usize,
    /// How old they are; `None` without any, and where they do not age.
    pub age: Option<Duration>,
    /// How often they were fetched, or tried to.
    pub fetches: u64,
    /// Why the last fetch failed.
    pub failure: Option<String>,
}

/// Sources of keys, each fetched once for all verifiers that share these. Clones share the same.
#[derive(Clone, Default)]
pub struct KeyStores {
    stores: Arc<Mutex<HashMap<String, Weak<KeyStore>>>>,
}

impl KeyStores {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn store(&self, keys: &Keys, issuer: &str) -> Result<Arc<KeyStore>, String> {
        let Some(name) = keys.shared_under(issuer) else {
            return Ok(Arc::new(KeyStore::new(keys, issuer)?));
        };
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.retain(|_, store| store.strong_count() > 0);
        if let Some(store) = stores.get(&name).and_then(Weak::upgrade) {
            return Ok(store);
        }
        let store = Arc::new(KeyStore::new(keys, issuer)?);
        stores.insert(name, Arc::downgrade(&store));
        Ok(store)
    }
}

impl fmt::Debug for KeyStores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyStores")
    }
}

/// The keys of one source.
pub(super) struct KeyStore {
    shared: Arc<Shared>,
    issuer: String,
    tasks: Tasks,
}

/// What requests and the task that fetches have in common.
struct Shared {
    settings: Keys,
    fixed: bool,
    snapshot: Swap<Snapshot>,
    state: Mutex<State>,
    hasher: RandomState,
    /// Somebody wants keys that are not there.
    wanted: Notify,
    /// Counts fetches that have ended.
    ended: watch::Sender<u64>,
    running: AtomicBool,
}

/// The keys, and until when they may be used.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) keys: KeySet,
    fetched: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// When the last fetch began.
    began: Option<Instant>,
    in_flight: bool,
    requested: bool,
    failures: u32,
    failure: Option<String>,
    fetches: u64,
    /// Names, hashed, and until when nothing is fetched for them.
    unknown: HashMap<u64, Instant>,
}

/// What is done for who needs keys that are not there.
pub(super) enum Wanted {
    /// A fetch has begun: its end is told.
    Wait(Flight),
    /// Nothing before this time.
    Later(Duration),
}

/// A fetch that is waited for.
pub(super) struct Flight {
    ended: watch::Receiver<u64>,
    patience: Duration,
}

impl Flight {
    /// Waits for its end, whatever it brings.
    pub(super) async fn land(mut self) {
        let _ = tokio::time::timeout(self.patience, self.ended.changed()).await;
    }
}

impl KeyStore {
    fn new(keys: &Keys, issuer: &str) -> Result<Self, String> {
        let fixed = keys.fixed()?;
        let shared = Shared {
            settings: keys.clone(),
            fixed: fixed.is_some(),
            snapshot: Swap::new(Snapshot { keys: fixed.unwrap_or_default(), fetched: None }),
            state: Mutex::default(),
            hasher: RandomState::new(),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            running: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared), issuer: issuer.to_owned(), tasks: Tasks::new() })
    }

    /// Fetches in the background from now on, where that has not begun. Without a runtime it has
    /// to wait for the first request.
    pub(super) fn start(&self) {
        let shared = &self.shared;
        if shared.fixed || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        if !shared.running.swap(true, Ordering::AcqRel) {
            let fetcher = Fetcher::new(shared.settings.clone(), &self.issuer);
            let running = Running(Arc::clone(shared));
            self.tasks.spawn("jwks", keep_fresh(running, fetcher));
        }
    }

    /// Waits until the first fetch has ended, whatever it brought. Keys that are fixed are there.
    pub(super) async fn ready(&self) {
        if !self.shared.fixed {
            // It cannot fail: the sender is ours.
            let _ = self.shared.ended.subscribe().wait_for(|ended| *ended > 0).await;
        }
    }

    /// The keys, if there are any that may be used.
    pub(super) fn keys(&self) -> Option<Arc<Snapshot>> {
        let snapshot = self.shared.snapshot.load();
        (self.shared.freshness(&snapshot) != Freshness::Unavailable).then_some(snapshot)
    }

    /// Asks for a fetch, for the sake of the key called `id` or of any.
    pub(super) fn want(&self, id: Option<&str>) -> Wanted {
        self.start();
        let shared = &self.shared;
        let now = Instant::now();
        let mut state = shared.lock();
        let flight = || Flight {
            ended: shared.ended.subscribe(),
            patience: shared.settings.timeout + MARGIN,
        };
        if state.in_flight {
            return Wanted::Wait(flight());
        }
        if !shared.running.load(Ordering::Acquire) {
            return Wanted::Later(shared.settings.cooldown);
        }
        let known = id.and_then(|id| state.unknown.get(&shared.hasher.hash_one(id)).copied());
        let cool = state.began.map(|began| began + shared.settings.cooldown);
        match known.max(cool).filter(|until| *until > now) {
            Some(until) => Wanted::Later(until - now),
            None => {
                state.begin(now);
                state.requested = true;
                shared.wanted.notify_one();
                Wanted::Wait(flight())
            }
        }
    }

    /// Remembers that a fetch has not brought the key called `id`.
    pub(super) fn note_unknown(&self, id: &str) {
        let shared = &self.shared;
        let now = Instant::now();
        let mut state = shared.lock();
        if state.unknown.len() >= MAX_UNKNOWN {
            state.unknown.retain(|_, until| *until > now);
        }
        if state.unknown.len() < MAX_UNKNOWN {
            let until = now + shared.settings.cooldown * UNKNOWN_FOR;
            state.unknown.insert(shared.hasher.hash_one(id), until);
        }
    }

    pub(super) fn is_fixed(&self) -> bool {
        self.shared.fixed
    }

    pub(super) fn status(&self) -> KeysStatus {
        let snapshot = self.shared.snapshot.load();
        let state = self.shared.lock();
        KeysStatus {
            source: self.shared.settings.name(),
            freshness: self.shared.freshness(&snapshot),
            keys: snapshot.keys.len(),
            skipped: snapshot.keys.skipped(),
            age: snapshot.fetched.map(|fetched| fetched.elapsed()),
            fetches: state.fetches,
            failure: state.failure.clone(),
        }
    }
}

impl State {
    fn begin(&mut self, now: Instant) {
        (self.began, self.in_flight) = (Some(now), true);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn freshness(&self, snapshot: &Snapshot) -> Freshness {
        if self.fixed {
            return Freshness::Fresh;
        }
        match snapshot.fetched.map(|fetched| fetched.elapsed()) {
            Some(age) if age <= self.settings.ttl => Freshness::Fresh,
            Some(age) if age <= self.settings.ttl + self.settings.stale => Freshness::Stale,
            _ => Freshness::Unavailable,
        }
    }

    /// When the next fetch is due, and when the keys end.
    fn due(&self) -> (Instant, Option<Instant>) {
        let fetched = self.snapshot.peek().fetched;
        let state = self.lock();
        let settings = &self.settings;
        let next = match (state.failures, state.began, fetched) {
            (0, Some(_), Some(fetched)) => fetched + settings.refresh_after(),
            (failures @ 1.., Some(began), _) => {
                let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
                let backoff = settings.cooldown.saturating_mul(factor);
                began + backoff.min(MAX_BACKOFF.max(settings.cooldown))
            }
            _ => Instant::now(),
        };
        (next, fetched.map(|fetched| fetched + settings.ttl + settings.stale))
    }

    /// Keys that are too old are none, nor is what was verified with them.
    fn expire(&self) {
        self.snapshot.replace(Snapshot::default()).keys.retire();
    }

    fn finish(&self, outcome: Result<KeySet, FetchError>) {
        let source = self.settings.name();
        let mut state = self.lock();
        match outcome {
            Ok(keys) => {
                let before = self.snapshot.load();
                let keys = keys.following(&before.keys);
                if !keys.is_same(&before.keys) {
                    state.unknown.clear();
                }
                if state.failures > 0 {
                    tracing::info!(source, "keys can be fetched again");
                }
                self.snapshot.replace(Snapshot { keys, fetched: Some(Instant::now()) });
                (state.failures, state.failure) = (0, None);
            }
            Err(fault) => {
                if state.failures == 0 {
                    tracing::warn!(source, %fault, "keys cannot be fetched");
                }
                state.failures = state.failures.saturating_add(1);
                state.failure = Some(fault.to_string());
            }
        }
        state.fetches += 1;
        self.end(&mut state);
    }

    /// Tells it while nobody can begin another one, which would be taken for this.
    fn end(&self, state: &mut State) {
        state.in_flight = false;
        self.ended.send_modify(|count| *count += 1);
    }
}

/// Says, whatever becomes of the task, that nobody fetches any more.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        self.0.running.store(false, Ordering::Release);
        self.0.end(&mut state);
    }
}

/// The only one that fetches: two at a time there cannot be.
async fn keep_fresh(running: Running, mut fetcher: Fetcher) {
    let shared = &running.0;
    loop {
        let (next, end) = shared.due();
        tokio::select! {
            () = sleep_until(end.map_or(next, |end| end.min(next))) => {}
            () = shared.wanted.notified() => {}
        }
        let now = Instant::now();
        if end.is_some_and(|end| now >= end) {
            shared.expire();
        }
        {
            let mut state = shared.lock();
            if !state.requested && now < next {
                continue;
            }
            state.requested = false;
            state.begin(now);
        }
        let outcome = fetcher.fetch().await;
        shared.finish(outcome);
    }
}
