//! [`JwtVerifier`]: says whose a token is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use gateway_core::context::Claim;
use gateway_core::{Clock, SystemClock};
use http::header::HeaderName;

use super::cache::{Cache, TokenHash, VerifiedToken};
use super::fault::TokenRejection;
use super::json;
use super::jws::{Jws, Unverified};
use super::key::{Key, install_backend};
use super::provider::{JwtError, JwtProvider};
use super::store::{Flight, KeyStore, KeyStores, KeysStatus, Wanted};
use crate::auth::Identity;

/// Most verified tokens that are remembered. Default: 10,000, of about 1 KiB each.
pub const DEFAULT_CACHED_TOKENS: usize = 10_000;

/// Most bytes of a token. Default: 16 KiB, a quarter of what the headers of a request may have.
pub const DEFAULT_TOKEN_LIMIT: usize = 16 * 1024;

/// Says whose a token is: several issuers, their keys, and the tokens that were verified last.
/// Clones share all of it. See the [module](super).
#[derive(Clone)]
pub struct JwtVerifier {
    inner: Arc<Inner>,
}

struct Inner {
    providers: Vec<Provider>,
    cache: Cache,
    token_limit: usize,
    clock: Arc<dyn Clock>,
    owned: Vec<HeaderName>,
}

struct Provider {
    settings: JwtProvider,
    store: Arc<KeyStore>,
}

/// Why nothing is known about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is rejected.
    #[error("{0}")]
    Token(TokenRejection),
    /// There are no keys to verify it with, and none are to be had before this time is over.
    #[error("the keys of the issuer cannot be had")]
    KeysUnavailable(Duration),
}

impl From<TokenRejection> for VerifyError {
    fn from(fault: TokenRejection) -> Self {
        Self::Token(fault)
    }
}

/// What is known about a token now.
pub(super) enum Checked {
    /// It was verified before, or with a secret, in no time.
    Known(Arc<VerifiedToken>),
    /// It was verified now, which took as long as a small request takes in all.
    Verified(Arc<VerifiedToken>),
    Rejected(VerifyError),
    /// Keys are on their way.
    Waits(Flight),
}

/// Builds a [`JwtVerifier`].
#[must_use]
pub struct JwtVerifierBuilder {
    providers: Vec<JwtProvider>,
    stores: KeyStores,
    cached: usize,
    token_limit: usize,
    clock: Arc<dyn Clock>,
    starts: bool,
}

impl JwtVerifierBuilder {
    /// Takes tokens of this issuer as well. The `iss` of a token says whose it is.
    pub fn provider(mut self, provider: JwtProvider) -> Self {
        self.providers.push(provider);
        self
    }

    /// Shares keys with the verifiers that have the same stores. Default: with nobody.
    pub fn stores(mut self, stores: &KeyStores) -> Self {
        self.stores = stores.clone();
        self
    }

    /// How many verified tokens are remembered; with 0 each is verified each time. Default:
    /// 10,000.
    pub fn cached_tokens(mut self, tokens: usize) -> Self {
        self.cached = tokens;
        self
    }

    /// Most bytes of a token; a larger one is rejected unread. Default: 16 KiB.
    pub fn token_limit(mut self, bytes: usize) -> Self {
        self.token_limit = bytes;
        self
    }

    /// What time it is. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Fetches nothing before [`JwtVerifier::start`] or the first request, wherever it is built.
    pub fn idle(mut self) -> Self {
        self.starts = false;
        self
    }

    /// The verifier. Keys are fetched from now on where there is a runtime, else from
    /// [`JwtVerifier::start`] or the first request on.
    ///
    /// # Errors
    ///
    /// What cannot be meant: see [`JwtError`].
    pub fn build(self) -> Result<JwtVerifier, JwtError> {
        install_backend();
        if self.providers.is_empty() {
            return Err(JwtError::NoProvider);
        }
        let mut providers: Vec<Provider> = Vec::with_capacity(self.providers.len());
        let mut owned = Vec::new();
        for settings in self.providers {
            let issuer = settings.rules.issuer.to_string();
            settings.check()?;
            let wrong = |what: String| JwtError::Keys(issuer.clone(), what);
            settings.keys.check().map_err(wrong)?;
            if providers.iter().any(|other| other.settings.rules.issuer == settings.rules.issuer) {
                return Err(JwtError::IssuerTwice(issuer));
            }
            owned.extend(settings.forward.names().iter().cloned());
            let store = self.stores.store(&settings.keys, &issuer).map_err(wrong)?;
            providers.push(Provider { settings, store });
        }
        let cache = Cache::new(self.cached);
        let (token_limit, clock) = (self.token_limit, self.clock);
        let inner = Inner { providers, cache, token_limit, clock, owned };
        let verifier = JwtVerifier { inner: Arc::new(inner) };
        if self.starts {
            verifier.start();
        }
        Ok(verifier)
    }
}

impl JwtVerifier {
    /// A verifier of one issuer's tokens.
    ///
    /// # Errors
    ///
    /// As [`JwtVerifierBuilder::build`].
    pub fn new(provider: JwtProvider) -> Result<Self, JwtError> {
        Self::builder().provider(provider).build()
    }

    /// A verifier of several issuers' tokens, or with other parts.
    pub fn builder() -> JwtVerifierBuilder {
        JwtVerifierBuilder {
            providers: Vec::new(),
            stores: KeyStores::new(),
            cached: DEFAULT_CACHED_TOKENS,
            token_limit: DEFAULT_TOKEN_LIMIT,
            clock: Arc::new(SystemClock),
            starts: true,
        }
    }

    /// Fetches keys in the background from now on, as building does inside of a runtime. Does
    /// nothing where that has begun, or outside of one.
    pub fn start(&self) {
        self.inner.providers.iter().for_each(|provider| provider.store.start());
    }

    /// Waits until keys of each issuer were fetched, or could not be, once.
    pub async fn ready(&self) {
        for provider in &self.inner.providers {
            provider.store.ready().await;
        }
    }

    /// Says whose `token` is, and waits for keys where that is of use: once, for little more than
    /// a fetch may take.
    ///
    /// # Errors
    ///
    /// Why it is rejected, or that it cannot be verified now.
    pub async fn verify(&self, token: &str) -> Result<Arc<VerifiedToken>, VerifyError> {
        let flight = match self.check(token) {
            Checked::Waits(flight) => flight,
            Checked::Known(token) | Checked::Verified(token) => return Ok(token),
            Checked::Rejected(why) => return Err(why),
        };
        flight.land().await;
        self.check_again(token)
    }

    /// How good the keys of each issuer are, in the order of the issuers.
    pub fn status(&self) -> Vec<KeysStatus> {
        self.inner.providers.iter().map(|provider| provider.store.status()).collect()
    }

    /// How many verified tokens are remembered.
    pub fn cached(&self) -> usize {
        self.inner.cache.len()
    }

    /// The fields that claims are forwarded as. Nobody else may say them: they are to be removed
    /// from the requests of routes without tokens, too.
    pub fn reserved_headers(&self) -> &[HeaderName] {
        &self.inner.owned
    }

    /// What can be said at once.
    pub(super) fn check(&self, token: &str) -> Checked {
        if token.len() > self.inner.token_limit {
            return Checked::Rejected(TokenRejection::TooLarge.into());
        }
        let (hash, now) = (self.inner.cache.hash(token), self.now());
        if let Some(token) = hash.and_then(|hash| self.inner.cache.find(&hash, now)) {
            return Checked::Known(token);
        }
        match self.examine(token, hash, now, false) {
            Ok(checked) => checked,
            Err(fault) => Checked::Rejected(fault.into()),
        }
    }

    /// What can be said after a fetch.
    pub(super) fn check_again(&self, token: &str) -> Result<Arc<VerifiedToken>, VerifyError> {
        match self.examine(token, self.inner.cache.hash(token), self.now(), true)? {
            Checked::Known(token) | Checked::Verified(token) => Ok(token),
            Checked::Rejected(why) => Err(why),
            Checked::Waits(_) => Err(TokenRejection::KeyUnknown.into()),
        }
    }

    /// True where `token` names one of these issuers, so that it can be of no other kind. Nothing
    /// else of it is checked.
    pub(super) fn is_issuer_of(&self, token: &str) -> bool {
        let payload =
            (token.len() <= self.inner.token_limit).then(|| Jws::payload(token)).flatten();
        let issuer = payload.and_then(|payload| json::object(&payload));
        let issuer = issuer.as_ref().and_then(|claims| claims.get("iss"));
        let Some(Claim::Text(issuer)) = issuer else { return false };
        self.inner.providers.iter().any(|one| one.settings.rules.issuer == *issuer)
    }

    fn now(&self) -> i64 {
        // A clock that shows nothing sensible makes every token an old one.
        let since = self.inner.clock.now().duration_since(UNIX_EPOCH);
        since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(i64::MAX)
    }

    /// Looks at everything that costs little before a signature is verified or keys are fetched.
    fn examine(
        &self,
        token: &str,
        hash: Option<TokenHash>,
        now: i64,
        last: bool,
    ) -> Result<Checked, TokenRejection> {
        let jws = Jws::parse(token)?;
        let claims = json::object(&jws.payload).ok_or(TokenRejection::Malformed)?;
        let provider = self.provider(claims.get("iss"))?;
        let settings = &provider.settings;
        if !settings.algorithms.contains(&jws.header.algorithm) {
            return Err(TokenRejection::Algorithm);
        }
        settings.rules.check_type(jws.header.token_type.as_deref())?;
        let dies = settings.rules.check(&claims, now)?;
        let key = match provider.find_key(&jws, last)? {
            Found::Key(key) => key,
            Found::Nothing(checked) => return Ok(checked),
        };
        let issuer = Some(Arc::clone(&settings.rules.issuer));
        let principal = settings.names.principal("jwt", issuer, claims);
        let fields = settings.forward.of(&principal).map_err(|_| TokenRejection::ClaimUnsafe)?;
        let identity = Identity::new(principal).with_fields(fields);
        let token = VerifiedToken { identity, key, dies };
        let token = Arc::new(token);
        if let Some(hash) = hash {
            self.inner.cache.keep(hash, &token);
        }
        let dear = !token.key.is_secret();
        Ok(if dear { Checked::Verified(token) } else { Checked::Known(token) })
    }

    /// Whose rules a token is to be held against. What it says is not believed by that.
    fn provider(&self, issuer: Option<&Claim>) -> Result<&Provider, TokenRejection> {
        match (self.inner.providers.as_slice(), issuer) {
            ([only], _) => Ok(only),
            (_, None) => Err(TokenRejection::ClaimMissing),
            (several, Some(Claim::Text(issuer))) => {
                let one = several.iter().find(|one| one.settings.rules.issuer == *issuer);
                one.ok_or(TokenRejection::Issuer)
            }
            _ => Err(TokenRejection::ClaimType),
        }
    }
}

enum Found {
    Key(Arc<Key>),
    Nothing(Checked),
}

impl Provider {
    /// The key that has signed, or what is to be done without one.
    fn find_key(&self, jws: &Jws<'_>, last: bool) -> Result<Found, TokenRejection> {
        let Some(snapshot) = self.store.keys() else {
            let checked = match self.store.want(None) {
                Wanted::Wait(flight) if !last => Checked::Waits(flight),
                Wanted::Wait(_) => Checked::Rejected(VerifyError::KeysUnavailable(Duration::ZERO)),
                Wanted::Later(after) => Checked::Rejected(VerifyError::KeysUnavailable(after)),
            };
            return Ok(Found::Nothing(checked));
        };
        match jws.verify(&snapshot.keys, &self.settings.algorithms) {
            Ok(key) => Ok(Found::Key(key)),
            Err(Unverified::Wrong) => Err(TokenRejection::Signature),
            Err(Unverified::NoKey) if self.store.is_fixed() => Err(TokenRejection::KeyUnknown),
            Err(Unverified::NoKey) => {
                let id = jws.header.key.as_deref();
                if last {
                    id.into_iter().for_each(|id| self.store.note_unknown(id));
                    return Err(TokenRejection::KeyUnknown);
                }
                match self.store.want(id) {
                    Wanted::Wait(flight) => Ok(Found::Nothing(Checked::Waits(flight))),
                    Wanted::Later(_) => Err(TokenRejection::KeyUnknown),
                }
            }
        }
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let providers: Vec<_> = self.inner.providers.iter().map(|one| &one.settings).collect();
        f.debug_struct("JwtVerifier").field("providers", &providers).finish_non_exhaustive()
    }
}

impl fmt::Debug for JwtVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifierBuilder").field("providers", &self.providers).finish()
    }
}
