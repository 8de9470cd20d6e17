//! [`Keys`]: where the keys of an issuer come from, and how long they hold.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{Cluster, ClusterBuilder};

use super::algorithm::Algorithm;
use super::key::{Key, Origin};
use super::key_set::KeySet;
use super::url::Url;

/// Keys are fetched again when four fifths of this are over. Default: 10 min.
pub const DEFAULT_TTL: Duration = Duration::from_secs(600);
/// Between two fetches, whoever asks for them, lies at least this. Default: 10 s.
pub const DEFAULT_COOLDOWN: Duration = Duration::from_secs(10);
/// A fetch takes at most this. Default: 2 s.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
/// Keys that cannot be fetched again are used for this much longer. Default: 24 h.
pub const DEFAULT_STALE: Duration = Duration::from_secs(24 * 3600);
/// Most keys of a set. Default: 100; issuers have two to ten.
pub const DEFAULT_MAX_KEYS: usize = 100;
/// Most bytes of a set. Default: 1 MiB.
pub const DEFAULT_MAX_BYTES: usize = 1024 * 1024;

/// Nothing takes, or holds for, more than this: a year.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where the keys of an issuer come from, and how long they hold.
///
/// Verifiers that share [`KeyStores`](super::KeyStores) fetch one address once, with the settings
/// of the first of them.
#[derive(Clone)]
#[must_use]
pub struct Keys {
    pub(super) source: Source,
    pub(super) ttl: Duration,
    pub(super) cooldown: Duration,
    pub(super) timeout: Duration,
    pub(super) stale: Duration,
    pub(super) max_keys: usize,
    pub(super) max_bytes: usize,
    pub(super) cluster: Arc<dyn Fn() -> ClusterBuilder + Send + Sync>,
}

/// Where from.
#[derive(Clone)]
pub(super) enum Source {
    Url(Result<Url, &'static str>),
    Discovery(Result<Url, &'static str>),
    File(PathBuf),
    Inline(Arc<[u8]>),
    Secret(Arc<[u8]>, Algorithm),
}

impl Keys {
    /// Keys of the JWK set at `url`, which is `https`, or `http` where the network is trusted.
    /// Secrets in it are passed over. `https` needs to be told whom to trust: see
    /// [`cluster`](Self::cluster).
    pub fn url(url: &str) -> Self {
        Self::new(Source::Url(Url::parse(url)))
    }

    /// Keys of the JWK set that the issuer's own description names (`OpenID` Connect Discovery 1.0,
    /// section 4). `url` is that of the issuer, or of the description itself.
    pub fn discovery(url: &str) -> Self {
        const PLACE: &str = "/.well-known/";
        if url.contains(PLACE) {
            return Self::new(Source::Discovery(Url::parse(url)));
        }
        let url = format!("{}{PLACE}openid-configuration", url.trim_end_matches('/'));
        Self::new(Source::Discovery(Url::parse(&url)))
    }

    /// Keys of the JWK set in a file, which is read again as if it were fetched.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(path.into()))
    }

    /// Keys of this JWK set.
    pub fn inline(set: impl AsRef<[u8]>) -> Self {
        Self::new(Source::Inline(set.as_ref().into()))
    }

    /// One secret, of at least as many bytes as the hash of `algorithm` has: 32, 48 or 64.
    pub fn secret(secret: impl AsRef<[u8]>, algorithm: Algorithm) -> Self {
        Self::new(Source::Secret(secret.as_ref().into(), algorithm))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            ttl: DEFAULT_TTL,
            cooldown: DEFAULT_COOLDOWN,
            timeout: DEFAULT_TIMEOUT,
            stale: DEFAULT_STALE,
            max_keys: DEFAULT_MAX_KEYS,
            max_bytes: DEFAULT_MAX_BYTES,
            cluster: Arc::new(|| Cluster::builder("jwks")),
        }
    }

    /// How long keys are fresh, at most a year, as all times here. They are fetched again at four
    /// fifths of it. Default: 10 min.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// What lies at least between two fetches, however many unknown keys are named. Default: 10 s.
    pub fn cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// What a fetch takes at most. Default: 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How much longer than `ttl` keys are used that cannot be fetched again. Default: 24 h.
    pub fn stale(mut self, stale: Duration) -> Self {
        self.stale = stale;
        self
    }

    /// Most keys of a set; one with more is rejected as a whole. Default: 100.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Most bytes of a set. Default: 1 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How connections to the issuer are made: `make` begins a cluster, and gives it its TLS, as
    /// with `ClusterBuilder::tls` of the core's feature `tls`. Endpoint and timeouts are set here.
    /// Default: without TLS, so that keys of `https` addresses are unavailable.
    pub fn cluster(mut self, make: impl Fn() -> ClusterBuilder + Send + Sync + 'static) -> Self {
        self.cluster = Arc::new(make);
        self
    }

    pub(super) fn are_remote(&self) -> bool {
        matches!(self.source, Source::Url(_) | Source::Discovery(_))
    }

    pub(super) fn origin(&self) -> Origin {
        if self.are_remote() { Origin::Remote } else { Origin::Local }
    }

    /// What is wrong with them.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.source {
            Source::Inline(_) | Source::Secret(..) => return self.fixed().map(drop),
            Source::Url(Err(fault)) | Source::Discovery(Err(fault)) => {
                return Err((*fault).to_owned());
            }
            _ => {}
        }
        if self.cooldown.is_zero() || self.timeout.is_zero() {
            return Err("cooldown and timeout are more than nothing".to_owned());
        }
        let all = [self.ttl, self.cooldown, self.timeout, self.stale];
        if all.into_iter().any(|one| one > MAX_DURATION) {
            return Err("no time is more than a year".to_owned());
        }
        if self.refresh_after() < self.cooldown {
            return Err("four fifths of ttl are not less than cooldown".to_owned());
        }
        Ok(())
    }

    /// Keys that stand in the settings; none where they come from somewhere else.
    pub(super) fn fixed(&self) -> Result<Option<KeySet>, String> {
        match &self.source {
            Source::Inline(set) => {
                let set = KeySet::parse(set, Origin::Local, self.max_keys);
                set.map(Some).map_err(|fault| format!("the document {fault}"))
            }
            Source::Secret(secret, algorithm) => Key::from_secret(secret, *algorithm)
                .map(|key| Some(KeySet::of(key)))
                .ok_or_else(|| format!("no secret, or too short a one, for {algorithm}")),
            _ => Ok(None),
        }
    }

    /// The age at which keys are fetched again.
    pub(super) fn refresh_after(&self) -> Duration {
        self.ttl.mul_f64(0.8)
    }

    /// What it is called where status is shown.
    pub(super) fn name(&self) -> String {
        match &self.source {
            Source::Url(Ok(url)) | Source::Discovery(Ok(url)) => url.shown(),
            Source::Url(Err(_)) | Source::Discovery(Err(_)) => "no URL".to_owned(),
            Source::File(path) => path.display().to_string(),
            Source::Inline(_) | Source::Secret(..) => "inline".to_owned(),
        }
    }

    /// Under what it is shared; nothing where there is nothing to share.
    pub(super) fn shared_under(&self, issuer: &str) -> Option<String> {
        match &self.source {
            Source::Url(Ok(url)) => Some(format!("url {}", url.whole())),
            Source::Discovery(Ok(url)) => Some(format!("discovery {issuer} {}", url.whole())),
            Source::File(path) => Some(format!("file {}", path.display())),
            _ => None,
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.name()).finish()
    }
}
