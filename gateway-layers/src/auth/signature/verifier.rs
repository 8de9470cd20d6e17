//! [`SignatureVerifier`]: says who has signed a request.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use gateway_core::context::Principal;
use gateway_core::{Clock, Error, Reason, Request, SystemClock};
use http::HeaderName;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http_body::Body as _;

use super::component::{Component, Name};
use super::digest::Digests;
use super::fault::SignatureFault;
use super::input::{Fields, Input, MAX_COMPONENTS, SIGNATURE, SIGNATURE_INPUT, Signed};
use super::key::{SignatureKey, TrustedKey};
use super::message::Message;
use super::nonce::{MemoryNonces, Nonce, NonceStore, Remembered, Remembering};

/// A signature may be so old. Default: 5 minutes, a slow client and a retry.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// So far may the clocks of signer and gateway be apart. Default: 60 s.
pub const DEFAULT_SKEW: Duration = Duration::from_secs(60);

/// Fewest and most letters of a nonce: what is shorter comes twice by chance.
const NONCE_LENGTH: std::ops::RangeInclusive<usize> = 8..=256;

const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");

/// Whether signatures need a nonce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonceRule {
    /// They do: none is taken twice.
    #[default]
    Required,
    /// One without a nonce is taken as often as it comes, while it is young enough.
    Optional,
}

/// What becomes of the signature of a request that was let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureFields {
    /// The upstream gets it.
    #[default]
    Keep,
    /// The upstream does not get it.
    Drop,
}

/// Says who has signed a request (RFC 9421). Clones are the same verifier. See the
/// [module](super).
#[derive(Clone)]
pub struct SignatureVerifier {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    name: Arc<str>,
    keys: HashMap<Arc<str>, Known>,
    covered: Vec<Component>,
    max_age: i64,
    skew: i64,
    nonce: NonceRule,
    tag: Option<String>,
    pub(super) fields: SignatureFields,
    nonces: Arc<dyn NonceStore>,
    clock: Arc<dyn Clock>,
    /// `Accept-Signature` (RFC 9421, section 5.1): what would be taken.
    accepts: Option<HeaderValue>,
    pub(super) challenge: Option<HeaderValue>,
}

/// A key and its owner, ready to be handed out.
struct Known {
    key: SignatureKey,
    owner: Arc<Principal>,
}

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
    fields: SignatureFields,
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
    pub fn fields(mut self, fields: SignatureFields) -> Self {
        self.fields = fields;
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
        let mut keys = HashMap::new();
        for trusted in self.keys {
            if !trusted.is_named() {
                return Err(SignatureError::KeyId(trusted.id.to_string()));
            }
            let TrustedKey { id, key, mut owner } = trusted;
            owner.issuer = Some(Arc::clone(&self.name));
            if keys.insert(Arc::clone(&id), Known { key, owner: Arc::new(owner) }).is_some() {
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
            fields: self.fields,
            nonces: self.nonces,
            clock: self.clock,
            accepts: HeaderValue::from_str(&accepts).ok(),
            challenge: Some(HeaderValue::from_static("Signature realm=\"gateway\"")),
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

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// What is known about a request now.
pub(super) enum Judged {
    /// It is not signed.
    Missing,
    Known(Arc<Principal>),
    Refused(Error),
    /// It is signed well; whether for the first time is being asked.
    Asks(Asking),
}

/// The end of a question.
pub(super) type Asking =
    std::pin::Pin<Box<dyn Future<Output = Result<Arc<Principal>, Error>> + Send>>;

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
            fields: SignatureFields::default(),
            nonces: Arc::new(MemoryNonces::default()),
            clock: Arc::new(SystemClock),
        }
    }

    /// Says who has signed `request`, and remembers its nonce. `None`: nobody has. Its head is
    /// looked at when this is called, its body not at all: see [`admit`](Self::admit).
    ///
    /// # Errors
    ///
    /// [`Reason::SignatureInvalid`] for a signature that is not good, and
    /// [`Reason::IdentityUnavailable`] where it cannot be told whether it was used before.
    pub fn verify(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<Option<Arc<Principal>>, Error>> + Send + use<> {
        let judged = self.judge(request);
        async move {
            match judged {
                Judged::Missing => Ok(None),
                Judged::Known(owner) => Ok(Some(owner)),
                Judged::Refused(error) => Err(error),
                Judged::Asks(asking) => asking.await.map(Some),
            }
        }
    }

    pub(super) fn judge(&self, request: &Request) -> Judged {
        let fields = match Fields::find(request.headers()) {
            Ok(Some(fields)) => fields,
            Ok(None) => return Judged::Missing,
            Err(fault) => return Judged::Refused(self.inner.refused(fault)),
        };
        let (known, nonce) = match self.inner.examine(request, &fields) {
            Ok(passed) => passed,
            Err(fault) => return Judged::Refused(self.inner.refused(fault)),
        };
        let owner = Arc::clone(&known.owner);
        let Some(nonce) = nonce else {
            return Judged::Known(owner);
        };
        match self.inner.nonces.remember(&nonce) {
            Remembered::Now(remembered) => match self.inner.fresh(remembered, owner) {
                Ok(owner) => Judged::Known(owner),
                Err(error) => Judged::Refused(error),
            },
            Remembered::Later(asking) => {
                let inner = Arc::clone(&self.inner);
                Judged::Asks(inner.ask(asking, owner))
            }
        }
    }
}

impl Inner {
    fn ask(self: Arc<Self>, asking: Remembering, owner: Arc<Principal>) -> Asking {
        Box::pin(async move { self.fresh(asking.await, owner) })
    }

    fn fresh(
        &self,
        remembered: Result<bool, Error>,
        owner: Arc<Principal>,
    ) -> Result<Arc<Principal>, Error> {
        match remembered {
            Ok(true) => Ok(owner),
            Ok(false) => Err(self.refused(SignatureFault::NonceUsed)),
            Err(error) => Err(error),
        }
    }

    /// The first of the signatures that is good, by whose key, and its nonce.
    fn examine(
        &self,
        request: &Request,
        fields: &Fields<'_>,
    ) -> Result<(&Known, Option<Nonce>), SignatureFault> {
        let message = Message::received(request);
        let mut first = None;
        for signed in fields.signatures()? {
            // Others may have signed too, for somebody else.
            let Some((id, known)) = signed.key().and_then(|key| self.keys.get_key_value(key))
            else {
                continue;
            };
            match self.check(request, &message, &signed, id, &known.key) {
                Ok(nonce) => return Ok((known, nonce)),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        Err(first.unwrap_or(SignatureFault::KeyUnknown))
    }

    /// What costs little is looked at before the signature itself.
    fn check(
        &self,
        request: &Request,
        message: &Message<'_>,
        signed: &Signed<'_>,
        id: &str,
        key: &SignatureKey,
    ) -> Result<Option<Nonce>, SignatureFault> {
        let input = signed.input()?;
        if input.algorithm.is_some_and(|name| name != key.algorithm().as_str()) {
            return Err(SignatureFault::Algorithm);
        }
        if self.tag.is_some() && self.tag.as_deref() != input.tag {
            return Err(SignatureFault::Parameter);
        }
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX);
        let over = self.check_time(&input, seconds(now))?;
        let nonce = match (input.nonce, self.nonce) {
            (Some(nonce), _) if NONCE_LENGTH.contains(&nonce.len()) => {
                let left = over.saturating_add(self.skew).saturating_sub(seconds(now));
                let remember = Duration::from_secs(u64::try_from(left).unwrap_or(0) + 1);
                Some(Nonce::new(&self.name, id, nonce, now, remember))
            }
            (None, NonceRule::Optional) => None,
            _ => return Err(SignatureFault::NonceMissing),
        };
        self.check_covered(message, request, &input)?;
        let base = message.base(&input.covered, &input.text)?;
        if !key.verifies(base.as_bytes(), &signed.bytes) {
            return Err(SignatureFault::Wrong);
        }
        Ok(nonce)
    }

    /// The last second in which it is taken.
    fn check_time(&self, input: &Input<'_>, now: i64) -> Result<i64, SignatureFault> {
        let created = input.created.ok_or(SignatureFault::CreatedMissing)?;
        if created > now.saturating_add(self.skew) {
            return Err(SignatureFault::CreatedAhead);
        }
        let over = created.saturating_add(self.max_age).saturating_add(self.skew);
        let says = input.expires.map_or(i64::MAX, |expires| expires.saturating_add(self.skew));
        if now > over || now > says {
            return Err(SignatureFault::Expired);
        }
        Ok(over)
    }

    fn check_covered(
        &self,
        message: &Message<'_>,
        request: &Request,
        input: &Input<'_>,
    ) -> Result<(), SignatureFault> {
        let covers = |needed: &Component| input.covered.iter().any(|own| own.includes(needed));
        let has_body = !is_empty(request.body());
        for needed in &self.covered {
            let applies = match &needed.name {
                Name::Query => message.target.query().is_some(),
                _ if *needed == Component::CONTENT_DIGEST => has_body,
                _ => true,
            };
            if applies && !covers(needed) {
                let digest = *needed == Component::CONTENT_DIGEST
                    && !request.headers().contains_key(super::digest::CONTENT_DIGEST);
                return Err(if digest {
                    SignatureFault::DigestMissing
                } else {
                    SignatureFault::NotCovered
                });
            }
        }
        let signs_digest =
            |own: &Component| own.field_name() == Some(&super::digest::CONTENT_DIGEST);
        if input.covered.iter().any(signs_digest) {
            let digests = Digests::read(request.headers())?;
            let digests = digests.ok_or(SignatureFault::ComponentMissing)?;
            if !has_body && !digests.are_of_nothing() {
                return Err(SignatureFault::DigestWrong);
            }
        }
        Ok(())
    }

    fn refused(&self, fault: SignatureFault) -> Error {
        let mut error = Error::from(fault);
        if error.reason() == Reason::SignatureInvalid {
            if let Some(challenge) = &self.challenge {
                error = error.with_field(WWW_AUTHENTICATE, challenge.clone());
            }
            if let Some(accepts) = &self.accepts {
                error = error.with_field(ACCEPT_SIGNATURE, accepts.clone());
            }
        }
        error
    }
}

impl SignatureVerifier {
    /// Makes `request` one that was let in: sees to it that its body is the one of its
    /// `Content-Digest` before whoever reads it has read all of it, and drops the signature where
    /// the upstream is not to get it.
    ///
    /// A body that is another one breaks off before its end with
    /// [`Reason::SignatureInvalid`].
    pub fn admit(&self, request: &mut Request) {
        if !is_empty(request.body())
            && let Ok(Some(digests)) = Digests::read(request.headers())
        {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = body.map(|inner| super::body::CheckedBody::new(inner, digests));
        }
        if self.inner.fields == SignatureFields::Drop {
            request.headers_mut().remove(SIGNATURE);
            request.headers_mut().remove(SIGNATURE_INPUT);
        }
    }
}

/// True where there is no body, for certain.
pub(super) fn is_empty(body: &gateway_core::Body) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

impl fmt::Debug for SignatureVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureVerifier")
            .field("name", &self.inner.name)
            .field("keys", &self.inner.keys.len())
            .field("covered", &self.inner.covered)
            .field("nonces", &self.inner.nonces.name())
            .finish_non_exhaustive()
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
