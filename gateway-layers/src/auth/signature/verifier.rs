//! [`SignatureVerifier`]: says who has signed a request.

use crate::auth::credentials::CredentialHandling;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use gateway_core::{Clock, Error, Reason, Request};
use http::HeaderName;
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http_body::Body as _;

use super::body::CheckedBody;
use super::builder;
use super::component::{Component, Name};
use super::digest::Digests;
use super::fault::SignatureRejection;
use super::input::{Fields, Input, SIGNATURE, SIGNATURE_INPUT, Signed};
use super::key::SignatureKey;
use super::message::Message;
use super::nonce::{Nonce, NonceStore, Remembered, Remembering};
use crate::auth::{Authentication, Authenticator, CredentialSource, Forward, Identity};

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

/// Says who has signed a request (RFC 9421). Clones are the same verifier. See the
/// [module](super).
#[derive(Clone)]
pub struct SignatureVerifier {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) name: Arc<str>,
    pub(super) keys: HashMap<Arc<str>, Known>,
    pub(super) covered: Vec<Component>,
    /// In seconds, as are all times here.
    pub(super) max_age: i64,
    pub(super) skew: i64,
    pub(super) nonce: NonceRule,
    pub(super) tag: Option<String>,
    pub(super) credentials: CredentialHandling,
    pub(super) forward: Forward,
    pub(super) nonces: Arc<dyn NonceStore>,
    pub(super) clock: Arc<dyn Clock>,
    /// `Accept-Signature` (RFC 9421, section 5.1): what would be taken.
    pub(super) accepts: Option<HeaderValue>,
    pub(super) challenge: HeaderValue,
}

/// A key and its owner, ready to be handed out.
pub(super) struct Known {
    pub(super) key: SignatureKey,
    pub(super) owner: Identity,
}

/// What is known about a request now.
pub(super) enum Judged {
    /// It is not signed.
    Missing,
    Known(Identity),
    Rejected(Error),
    /// No known key has signed it.
    Unrecognized(Error),
    /// It is signed well; whether for the first time is being asked.
    Asks(Asking),
}

/// A query of the store of nonces.
type Asking = Pin<Box<dyn Future<Output = Result<Identity, Error>> + Send>>;

/// Where signatures stand.
static SOURCES: [CredentialSource; 2] =
    [CredentialSource::Header(SIGNATURE), CredentialSource::Header(SIGNATURE_INPUT)];

impl SignatureVerifier {
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
    ) -> impl Future<Output = Result<Option<Identity>, Error>> + Send + use<> {
        let judged = self.judge(request);
        async move {
            match judged {
                Judged::Missing => Ok(None),
                Judged::Known(owner) => Ok(Some(owner)),
                Judged::Rejected(error) | Judged::Unrecognized(error) => Err(error),
                Judged::Asks(asking) => asking.await.map(Some),
            }
        }
    }

    pub(super) fn judge(&self, request: &Request) -> Judged {
        let fields = match Fields::find(request.headers()) {
            Ok(Some(fields)) => fields,
            Ok(None) => return Judged::Missing,
            Err(fault) => return Judged::Rejected(self.inner.rejected(fault)),
        };
        let (known, nonce) = match self.inner.examine(request, &fields) {
            Ok(passed) => passed,
            Err(fault @ SignatureRejection::KeyUnknown) => {
                return Judged::Unrecognized(self.inner.rejected(fault));
            }
            Err(fault) => return Judged::Rejected(self.inner.rejected(fault)),
        };
        let owner = known.owner.clone();
        let Some(nonce) = nonce else {
            return Judged::Known(owner);
        };
        match self.inner.nonces.remember(&nonce) {
            Remembered::Now(remembered) => match self.inner.fresh(remembered, owner) {
                Ok(owner) => Judged::Known(owner),
                Err(error) => Judged::Rejected(error),
            },
            Remembered::Later(asking) => {
                let inner = Arc::clone(&self.inner);
                Judged::Asks(inner.ask(asking, owner))
            }
        }
    }
}

impl Inner {
    fn ask(self: Arc<Self>, asking: Remembering, owner: Identity) -> Asking {
        Box::pin(async move { self.fresh(asking.await, owner) })
    }

    fn fresh(&self, remembered: Result<bool, Error>, owner: Identity) -> Result<Identity, Error> {
        match remembered {
            Ok(true) => Ok(owner),
            Ok(false) => Err(self.rejected(SignatureRejection::NonceUsed)),
            Err(error) => Err(error),
        }
    }

    /// The first of the signatures that is good, by whose key, and its nonce.
    fn examine(
        &self,
        request: &Request,
        fields: &Fields<'_>,
    ) -> Result<(&Known, Option<Nonce>), SignatureRejection> {
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
        Err(first.unwrap_or(SignatureRejection::KeyUnknown))
    }

    /// What costs little is looked at before the signature itself.
    fn check(
        &self,
        request: &Request,
        message: &Message<'_>,
        signed: &Signed<'_>,
        id: &str,
        key: &SignatureKey,
    ) -> Result<Option<Nonce>, SignatureRejection> {
        let input = signed.input()?;
        if input.algorithm.is_some_and(|name| name != key.algorithm().as_str()) {
            return Err(SignatureRejection::Algorithm);
        }
        if self.tag.is_some() && self.tag.as_deref() != input.tag {
            return Err(SignatureRejection::Parameter);
        }
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX);
        let over = self.check_time(&input, builder::seconds(now))?;
        let nonce = match (input.nonce, self.nonce) {
            (Some(nonce), _) if NONCE_LENGTH.contains(&nonce.len()) => {
                let left = over.saturating_add(self.skew).saturating_sub(builder::seconds(now));
                let remember = Duration::from_secs(u64::try_from(left).unwrap_or(0) + 1);
                Some(Nonce::new(id, nonce, now, remember))
            }
            (None, NonceRule::Optional) => None,
            _ => return Err(SignatureRejection::NonceMissing),
        };
        self.check_covered(message, request, &input)?;
        let base = message.base(&input.covered, &input.text)?;
        if !key.verifies(base.as_bytes(), &signed.bytes) {
            return Err(SignatureRejection::Wrong);
        }
        Ok(nonce)
    }

    /// The last second in which it is taken.
    fn check_time(&self, input: &Input<'_>, now: i64) -> Result<i64, SignatureRejection> {
        let created = input.created.ok_or(SignatureRejection::CreatedMissing)?;
        if created > now.saturating_add(self.skew) {
            return Err(SignatureRejection::CreatedAhead);
        }
        let over = created.saturating_add(self.max_age).saturating_add(self.skew);
        let says = input.expires.map_or(i64::MAX, |expires| expires.saturating_add(self.skew));
        if now > over || now > says {
            return Err(SignatureRejection::Expired);
        }
        Ok(over)
    }

    fn check_covered(
        &self,
        message: &Message<'_>,
        request: &Request,
        input: &Input<'_>,
    ) -> Result<(), SignatureRejection> {
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
                    SignatureRejection::DigestMissing
                } else {
                    SignatureRejection::NotCovered
                });
            }
        }
        let signs_digest =
            |own: &Component| own.field_name() == Some(&super::digest::CONTENT_DIGEST);
        if input.covered.iter().any(signs_digest) {
            let digests = Digests::read(request.headers())?;
            let digests = digests.ok_or(if has_body {
                SignatureRejection::DigestMissing
            } else {
                SignatureRejection::ComponentMissing
            })?;
            if !has_body && !digests.are_of_nothing() {
                return Err(SignatureRejection::DigestWrong);
            }
        }
        Ok(())
    }

    fn rejected(&self, fault: SignatureRejection) -> Error {
        let mut error = Error::from(fault);
        if error.reason() == Reason::SignatureInvalid {
            error = error.with_field(WWW_AUTHENTICATE, self.challenge.clone());
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
            let verifier = Arc::clone(&self.inner);
            let wrong = move || verifier.rejected(SignatureRejection::DigestWrong);
            *request.body_mut() = body.map(|inner| CheckedBody::new(inner, digests, wrong));
        }
        if self.inner.credentials == CredentialHandling::Drop {
            request.headers_mut().remove(SIGNATURE);
            request.headers_mut().remove(SIGNATURE_INPUT);
        }
    }
}

impl Authenticator for SignatureVerifier {
    fn authenticate(&self, request: &Request) -> Authentication {
        match self.judge(request) {
            Judged::Missing => Authentication::Missing,
            Judged::Known(owner) => Authentication::Known(owner),
            Judged::Rejected(error) => Authentication::Rejected(error),
            Judged::Unrecognized(error) => Authentication::Unrecognized(error),
            Judged::Asks(asking) => {
                Authentication::Pending(Box::pin(async move { asking.await.into() }))
            }
        }
    }

    fn admitted(&self, request: &mut Request, _: &Identity) {
        self.admit(request);
    }

    fn challenge(&self) -> Option<HeaderValue> {
        Some(self.inner.challenge.clone())
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        &SOURCES
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        self.inner.forward.names()
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
