//! [`SignatureVerifierBuilder`].

use crate::auth::credentials::CredentialHandling;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{Clock, SystemClock};
use http::{HeaderName, HeaderValue};

use super::component::Component;
use super::input::MAX_COMPONENTS;
use super::key::TrustedKey;
use super::nonce::{MemoryNonces, NonceStore};
use super::verifier::{Inner, Known, NonceRule, SignatureVerifier};
use crate::auth::{Challenge, Forward, Identity, Unsafe};

/// A signature may be so old. Default: 5 minutes, a slow client and a retry.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// So far may the clocks of signer and gateway be apart. Default: 60 s.
pub const DEFAULT_SKEW: Duration = Duration::from_secs(60);

/// Builds a [`SignatureVerifier`].
#[derive(Clone)]
#[must_use]
pub struct SignatureVerifierBuilder {
    name: Arc<str>,
    keys: Vec<TrustedKey>,
    covered: Vec<Component>,
    max_age: Duration,
    skew: Duration,
    nonce: NonceRule,
    tag: Option<String>,
    credentials: CredentialHandling,
    forward: Forward,
    realm: String,
    nonces: Arc<dyn NonceStore>,
    clock: Arc<dyn Clock>,
}

/// What cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Without a key nobody can be known.
    #[error("no keys, expected at least one")]
    NoKey,
    /// Two keys have one id.
    #[error("the key `{0}` is given twice")]
    KeyTwice(String),
    /// An id that no signature can name.
    #[error("`{0}` is no id of a key, expected 1 to 256 printable letters")]
    KeyId(String),
    /// A signature that covers nothing could be put to any request.
    #[error("nothing is to be covered, expected at least one component")]
    NothingCovered,
    /// More components than a signature may have.
    #[error("{0} components are to be covered, expected 64 at most")]
    TooManyCovered(usize),
    /// A component is named twice.
    #[error("`{0}` is to be covered twice")]
    CoveredTwice(Component),
    /// A field that upstreams are told something else in.
    #[error("`{0}` means something else already, expected a field of one's own")]
    Forward(HeaderName),
    /// What is known of a key's owner cannot stand in a field.
    #[error("what is known of the owner of `{0}` cannot be told in a header field")]
    Unsafe(String),
    /// Nothing would be young enough.
    #[error("the greatest age is 0, expected a time")]
    MaxAge,
}

impl SignatureVerifierBuilder {
    /// Believes the signatures of this key as well.
    pub fn key(mut self, key: TrustedKey) -> Self {
        self.keys.push(key);
        self
    }

    /// What signatures must cover. Default: `@method`, `@authority`, `@path`, `@query` and
    /// `content-digest`.
    ///
    /// `content-digest` must be covered where there is a body, and `@query` where there is a query.
    /// What includes a component stands for it: `@target-uri` for scheme, authority, path and
    /// query, `@request-target` for path and query, `@query` for its parameters.
    pub fn covered(mut self, covered: impl IntoIterator<Item = Component>) -> Self {
        self.covered = covered.into_iter().collect();
        self
    }

    /// How old a signature may be. Default: 5 minutes.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// How far clocks may be apart. Default: 60 s.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// Whether signatures need a nonce. Default: they do.
    pub fn nonce(mut self, nonce: NonceRule) -> Self {
        self.nonce = nonce;
        self
    }

    /// The application that signatures must name in `tag`, so that those for something else are not
    /// taken. Default: none is asked for.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// What becomes of the signature of a request that was let in. Default: the upstream gets it.
    pub fn credentials(mut self, credentials: CredentialHandling) -> Self {
        self.credentials = credentials;
        self
    }

    /// What the upstream is told about who has signed. Default: nothing.
    pub fn forward(mut self, forward: Forward) -> Self {
        self.forward = forward;
        self
    }

    /// What `WWW-Authenticate` calls what is protected. Default: `gateway`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// Where used nonces are remembered. Default: in the memory of this gateway, 100,000 of each
    /// key.
    pub fn with_nonces(mut self, nonces: impl NonceStore) -> Self {
        self.nonces = Arc::new(nonces);
        self
    }

    /// What time it is. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The verifier.
    ///
    /// # Errors
    ///
    /// What cannot be meant: see [`SignatureError`].
    pub fn build(self) -> Result<SignatureVerifier, SignatureError> {
        check_covered(&self.covered)?;
        if self.max_age.as_secs() == 0 {
            return Err(SignatureError::MaxAge);
        }
        if self.keys.is_empty() {
            return Err(SignatureError::NoKey);
        }
        if let Some(name) = self.forward.reserved() {
            return Err(SignatureError::Forward(name.clone()));
        }
        let mut keys = HashMap::new();
        for trusted in self.keys {
            if !trusted.is_named() {
                return Err(SignatureError::KeyId(trusted.id.to_string()));
            }
            let TrustedKey { id, key, mut owner } = trusted;
            owner.issuer = Some(Arc::clone(&self.name));
            let told = self.forward.of(&owner);
            let told = told.map_err(|Unsafe| SignatureError::Unsafe(id.to_string()))?;
            let owner = Identity::new(owner).with_fields(told);
            if keys.insert(Arc::clone(&id), Known { key, owner }).is_some() {
                return Err(SignatureError::KeyTwice(id.to_string()));
            }
        }
        let accepts = accepts(&self.covered, self.tag.as_deref());
        let inner = Inner {
            name: self.name,
            keys,
            covered: self.covered,
            max_age: seconds(self.max_age),
            skew: seconds(self.skew),
            nonce: self.nonce,
            tag: self.tag,
            credentials: self.credentials,
            forward: self.forward,
            nonces: self.nonces,
            clock: self.clock,
            accepts: HeaderValue::from_str(&accepts).ok(),
            challenge: Challenge::new("Signature", &self.realm).value(),
        };
        Ok(SignatureVerifier { inner: Arc::new(inner) })
    }
}

pub(super) fn check_covered(covered: &[Component]) -> Result<(), SignatureError> {
    if covered.is_empty() {
        return Err(SignatureError::NothingCovered);
    }
    if covered.len() > MAX_COMPONENTS {
        return Err(SignatureError::TooManyCovered(covered.len()));
    }
    for (index, component) in covered.iter().enumerate() {
        if covered.iter().take(index).any(|before| before == component) {
            return Err(SignatureError::CoveredTwice(component.clone()));
        }
    }
    Ok(())
}

fn accepts(covered: &[Component], tag: Option<&str>) -> String {
    let mut text = "sig=(".to_owned();
    for (index, component) in covered.iter().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        component.write(&mut text);
    }
    text.push_str(");created;keyid");
    if let Some(tag) = tag {
        text.push_str(";tag=");
        super::structured::write_string(tag, &mut text);
    }
    text
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl SignatureVerifier {
    /// A verifier that believes the signatures of `keys`.
    ///
    /// # Errors
    ///
    /// As [`SignatureVerifierBuilder::build`].
    pub fn new(keys: impl IntoIterator<Item = TrustedKey>) -> Result<Self, SignatureError> {
        let mut builder = Self::builder("signature");
        builder.keys.extend(keys);
        builder.build()
    }

    /// A verifier with other settings. `name` is what principals have as their issuer; gateways
    /// that share nonces must have the same name.
    pub fn builder(name: impl Into<Arc<str>>) -> SignatureVerifierBuilder {
        SignatureVerifierBuilder {
            name: name.into(),
            keys: Vec::new(),
            covered: vec![
                Component::METHOD,
                Component::AUTHORITY,
                Component::PATH,
                Component::QUERY,
                Component::CONTENT_DIGEST,
            ],
            max_age: DEFAULT_MAX_AGE,
            skew: DEFAULT_SKEW,
            nonce: NonceRule::default(),
            tag: None,
            credentials: CredentialHandling::Keep,
            forward: Forward::new(),
            realm: "gateway".to_owned(),
            nonces: Arc::new(MemoryNonces::default()),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for SignatureVerifierBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureVerifierBuilder")
            .field("name", &self.name)
            .field("keys", &self.keys)
            .field("covered", &self.covered)
            .finish_non_exhaustive()
    }
}
