//! [`ApiKeys`]: keys as requests ask for them.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use gateway_core::context::Principal;
use gateway_core::{Clock, SystemClock};
use tokio::time::timeout;

use super::cache::{Bounds, Cache, Found, Known, Since};
use super::fault::ApiKeyRejection;
use super::format::{KeyFormat, MAX_KEY, Shape};
use super::record::KeyRecord;
use super::store::{Erased, KeyListener, KeyStore, StoreError};
use crate::auth::SecretDigest;
use crate::auth::flights::Flights;
use crate::auth::{Forward, Identity};

/// So many keys are remembered. One takes about 1 KiB.
pub const DEFAULT_CACHED_KEYS: usize = 10_000;

/// A key that was looked up is good for so long without asking again, whatever is not heard.
pub const DEFAULT_TTL: Duration = Duration::from_secs(60);

/// A key that was not there is not looked for again for so long.
pub const DEFAULT_NEGATIVE_TTL: Duration = Duration::from_secs(5);

/// A request waits for the store at most so long.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

/// So many keys are looked up at a time: what a flood of wrong ones may cost the store.
const MAX_LOOKUPS: usize = 256;

/// Keys of one store, and what was found out about them. Cheap to clone; clones are the same keys.
///
/// ```
/// use std::time::Duration;
///
/// use gateway_layers::auth::api_key::{ApiKeys, KeyGrant, MemoryKeyStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = ApiKeys::new("partners", MemoryKeyStore::new());
/// let (key, record) = keys.issue(KeyGrant::new("acme").tier("gold")).await?;
/// println!("{}", key.reveal()); // once: nobody keeps it
///
/// // A second key, and the first one for another day.
/// let (next, _) = keys.rotate(&record.id, Duration::from_secs(24 * 3600)).await?;
/// keys.revoke(next.id()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ApiKeys {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) store: Arc<dyn Erased>,
    pub(super) format: KeyFormat,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) forward: Forward,
    timeout: Duration,
    any_format: bool,
    cache: Arc<Cache>,
    flights: Flights<SecretDigest, Looked>,
    counts: Arc<Counts>,
    /// Kept, so that the store finds somebody to tell.
    _listener: Arc<KeyListener>,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    lookups: AtomicU64,
    failures: AtomicU64,
}

/// What came of a look-up: the key, if it is there.
type Looked = Result<Option<Arc<Known>>, ApiKeyRejection>;

/// Makes [`ApiKeys`].
#[must_use]
pub struct ApiKeysBuilder {
    name: Arc<str>,
    store: Arc<dyn Erased>,
    format: KeyFormat,
    clock: Arc<dyn Clock>,
    forward: Forward,
    timeout: Duration,
    any_format: bool,
    bounds: Bounds,
}

impl ApiKeysBuilder {
    /// What keys look like that are issued. Default: with the prefix `gk`.
    pub fn format(mut self, format: KeyFormat) -> Self {
        self.format = format;
        self
    }

    /// Whether keys of other formats are looked up as well. Default: they are. Without, the store
    /// is asked for nothing that is not one of its own by its checksum.
    pub fn any_format(mut self, any_format: bool) -> Self {
        self.any_format = any_format;
        self
    }

    /// So many keys are remembered; 0: each request asks the store. Default: 10,000. As many that
    /// are not there are remembered beside them.
    pub fn cached_keys(mut self, keys: usize) -> Self {
        (self.bounds.keys, self.bounds.unknown_keys) = (keys, keys);
        self
    }

    /// For so long a key is good without asking again, if the store tells nothing. Default: 60 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.bounds.ttl = ttl;
        self
    }

    /// For so long a key that is not there is not looked for again. Default: 5 s.
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.bounds.unknown_ttl = ttl;
        self
    }

    /// A request waits for the store at most so long. Default: 500 ms.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What upstreams are told of who has a key. Default: nothing.
    pub fn forward(mut self, forward: Forward) -> Self {
        self.forward = forward;
        self
    }

    /// Asks `clock` for the time. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The keys. Nothing is asked yet.
    pub fn build(self) -> ApiKeys {
        let cache = Arc::new(Cache::new(self.bounds));
        let listener: Arc<KeyListener> = {
            let cache = Arc::clone(&cache);
            Arc::new(move |change| cache.change(change))
        };
        self.store.changes().listen(&listener);
        let shared = Shared {
            name: self.name,
            store: self.store,
            format: self.format,
            clock: self.clock,
            forward: self.forward,
            timeout: self.timeout,
            any_format: self.any_format,
            cache,
            flights: Flights::new(MAX_LOOKUPS),
            counts: Arc::default(),
            _listener: listener,
        };
        ApiKeys { shared: Arc::new(shared) }
    }
}

impl fmt::Debug for ApiKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeysBuilder")
            .field("name", &self.name)
            .field("store", &self.store.kind())
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

/// Keys at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiKeysStatus {
    /// Their name.
    pub name: Arc<str>,
    /// Where they are kept: `memory`, `file`, `redis`, `postgres`.
    pub store: &'static str,
    /// What is wrong with the store; `None` when it is well.
    pub trouble: Option<String>,
    /// Keys that are remembered.
    pub cached: usize,
    /// Keys that are remembered not to be there.
    pub cached_unknown: usize,
    /// Requests whose key was remembered.
    pub hits: u64,
    /// Times that the store was asked.
    pub lookups: u64,
    /// Times that it did not tell.
    pub failures: u64,
}

/// What is known of a key that a request shows.
pub(super) enum Checked {
    Known(Arc<Known>),
    Rejected(ApiKeyRejection),
    /// The store has to be asked.
    Waits(Lookup),
}

impl ApiKeys {
    /// The keys in `store`, with all defaults. Their principals have `name` as their issuer.
    pub fn new(name: impl Into<Arc<str>>, store: impl KeyStore) -> Self {
        Self::builder(name, store).build()
    }

    /// The same with settings of its own.
    pub fn builder(name: impl Into<Arc<str>>, store: impl KeyStore) -> ApiKeysBuilder {
        ApiKeysBuilder {
            name: name.into(),
            store: Arc::new(store),
            format: KeyFormat::default(),
            clock: Arc::new(SystemClock),
            forward: Forward::new(),
            timeout: DEFAULT_TIMEOUT,
            any_format: true,
            bounds: Bounds {
                keys: DEFAULT_CACHED_KEYS,
                ttl: DEFAULT_TTL,
                unknown_keys: DEFAULT_CACHED_KEYS,
                unknown_ttl: DEFAULT_NEGATIVE_TTL,
            },
        }
    }

    /// Their name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Begins what the store does in the background. Needs a runtime; without, it begins when the
    /// store is first asked.
    pub fn start(&self) {
        self.shared.store.start();
    }

    /// How they are.
    pub fn status(&self) -> ApiKeysStatus {
        let shared = &*self.shared;
        let (cached, cached_unknown) = shared.cache.len();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ApiKeysStatus {
            name: Arc::clone(&shared.name),
            store: shared.store.kind(),
            trouble: shared.store.trouble(),
            cached,
            cached_unknown,
            hits: read(&shared.counts.hits),
            lookups: read(&shared.counts.lookups),
            failures: read(&shared.counts.failures),
        }
    }

    /// Whose `key` is, shown by `client` on `route`. Keys that are bound to networks are not taken
    /// from a client whose address is unknown (`None`).
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub async fn verify(
        &self,
        key: &str,
        client: Option<IpAddr>,
        route: Option<&str>,
    ) -> Result<Arc<Principal>, ApiKeyRejection> {
        let known = match self.check(key.as_bytes()) {
            Checked::Known(known) => known,
            Checked::Rejected(fault) => return Err(fault),
            Checked::Waits(lookup) => lookup.land().await?,
        };
        Ok(self.permitted(&known, client, route)?.principal)
    }

    /// Who has a key that is there, if it is taken.
    pub(super) fn permitted(
        &self,
        known: &Known,
        client: Option<IpAddr>,
        route: Option<&str>,
    ) -> Result<Identity, ApiKeyRejection> {
        known.record.permits(|| self.now(), client, route)?;
        known.identity.clone().ok_or(ApiKeyRejection::Untold)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// What is known of `key` without asking. Never waits.
    pub(super) fn check(&self, key: &[u8]) -> Checked {
        let shared = &self.shared;
        if key.is_empty() || key.len() > MAX_KEY {
            return Checked::Rejected(ApiKeyRejection::Malformed);
        }
        let digest = SecretDigest::of(key);
        let doubtful = match shared.cache.find(&digest) {
            Found::Known(known) => {
                shared.counts.hits.fetch_add(1, Ordering::Relaxed);
                return Checked::Known(known);
            }
            Found::Unknown => return Checked::Rejected(ApiKeyRejection::Unknown),
            Found::Doubtful(known) => Some(known),
            Found::Nothing => None,
        };
        match shared.format.shape(key) {
            Shape::Own => {}
            Shape::Broken => return Checked::Rejected(ApiKeyRejection::Malformed),
            Shape::Foreign if !shared.any_format => {
                return Checked::Rejected(ApiKeyRejection::Unknown);
            }
            Shape::Foreign => {}
        }
        match shared.flights.join(&digest, || shared.look_up(digest)) {
            Some(flight) => Checked::Waits(Lookup { flight: Box::pin(flight), doubtful }),
            None => match doubtful {
                Some(known) => Checked::Known(known),
                None => Checked::Rejected(ApiKeyRejection::Unavailable),
            },
        }
    }
}

impl Shared {
    /// Asks the store, and remembers what it says.
    fn look_up(&self, digest: SecretDigest) -> impl Future<Output = Looked> + Send + use<> {
        let (store, cache) = (Arc::clone(&self.store), Arc::clone(&self.cache));
        let (name, counts) = (Arc::clone(&self.name), Arc::clone(&self.counts));
        let forward = self.forward.clone();
        let deadline = self.timeout;
        async move {
            counts.lookups.fetch_add(1, Ordering::Relaxed);
            let since: Since = cache.since();
            let answer = timeout(deadline, store.find(&digest)).await;
            let answer = answer.unwrap_or_else(|_| Err(StoreError::Away("no answer".to_owned())));
            match answer {
                // Whatever the store does, only who has the key has the record.
                Ok(Some(record)) if record.digest.is_same(&digest) => {
                    let identity = identity(&record, &name, &forward);
                    Ok(Some(cache.keep(since, record, identity)))
                }
                Ok(None) => {
                    cache.keep_unknown(since, digest);
                    Ok(None)
                }
                Ok(Some(record)) => {
                    counts.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        store = &*name,
                        id = record.id,
                        "not the key that was asked for"
                    );
                    Err(ApiKeyRejection::Unavailable)
                }
                Err(error) => {
                    counts.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(store = &*name, %error, "a key could not be looked up");
                    Err(ApiKeyRejection::Unavailable)
                }
            }
        }
    }
}

/// Who has this key; `None`: it cannot be told to upstreams as it should be.
fn identity(record: &KeyRecord, store: &Arc<str>, forward: &Forward) -> Option<Identity> {
    let principal = record.principal(store);
    match forward.of(&principal) {
        Ok(fields) => Some(Identity::new(principal).with_fields(fields)),
        Err(error) => {
            tracing::warn!(store = &**store, id = record.id, %error, "a key is not taken");
            None
        }
    }
}

/// A key that is being looked up.
pub(super) struct Lookup {
    flight: Pin<Box<dyn Future<Output = Looked> + Send>>,
    doubtful: Option<Arc<Known>>,
}

impl Lookup {
    /// The key, if it is there.
    pub(super) async fn land(self) -> Result<Arc<Known>, ApiKeyRejection> {
        match self.flight.await {
            Ok(Some(known)) => Ok(known),
            Ok(None) => Err(ApiKeyRejection::Unknown),
            // It was good when it was last seen, and its time is not over.
            Err(fault) => self.doubtful.ok_or(fault),
        }
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").field("status", &self.status()).finish_non_exhaustive()
    }
}
