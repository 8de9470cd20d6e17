//! [`JwtProvider`]: one issuer, its keys, and what its tokens must say.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;

use super::algorithm::Algorithm;
use super::claims::{Names, Rules};
use super::keys::Keys;
use crate::auth::Forward;

/// Clocks that differ by this much are one. Default: 60 s.
pub const DEFAULT_SKEW: Duration = Duration::from_secs(60);

/// More than this is not a difference of clocks: 10 minutes.
const MAX_SKEW: Duration = Duration::from_secs(600);

/// What issuers sign with unless said otherwise. No secret that would be shared with them.
const DEFAULT_ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// One issuer of tokens: its keys, and what its tokens must say. See the [module](super).
#[derive(Clone)]
#[must_use]
pub struct JwtProvider {
    pub(super) rules: Rules,
    pub(super) names: Names,
    pub(super) keys: Keys,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) forward: Forward,
    any_audience: bool,
}

/// Why a verifier cannot be made of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtError {
    /// There is nobody whose tokens are taken.
    #[error("no provider")]
    NoProvider,
    /// Two providers with one issuer: which keys its tokens are for cannot be told.
    #[error("two providers have the issuer {0}")]
    IssuerTwice(String),
    /// Nobody has said for whom the tokens are (RFC 8725, section 3.9).
    #[error("{0}: no audience; name one, or say that any is taken")]
    NoAudience(String),
    /// No algorithm is allowed.
    #[error("{0}: no algorithm")]
    NoAlgorithm(String),
    /// Whoever reads keys from a server cannot share a secret with it.
    #[error("{0}: {1} needs a secret, and its keys come from a server")]
    SharedSecret(String, Algorithm),
    /// Clocks do not differ by that much.
    #[error("{0}: the skew is more than 10 minutes")]
    Skew(String),
    /// The field means something else.
    #[error("{0}: claims cannot be forwarded as {1}")]
    Forward(String, HeaderName),
    /// The keys that were given cannot be used.
    #[error("{0}: the keys: {1}")]
    Keys(String, String),
}

impl JwtProvider {
    /// Tokens of `issuer`, whose `iss` is exactly this, signed by one of `keys`.
    pub fn new(issuer: impl Into<Arc<str>>, keys: Keys) -> Self {
        Self {
            rules: Rules {
                issuer: issuer.into(),
                audience: Vec::new(),
                token_type: None,
                skew: DEFAULT_SKEW,
                required: vec!["exp".to_owned(), "sub".to_owned()],
            },
            names: Names {
                subject: "sub".to_owned(),
                roles: vec!["roles".to_owned()],
                scopes: vec!["scope".to_owned(), "scp".to_owned()],
                tier: None,
                tenant: None,
            },
            keys,
            algorithms: DEFAULT_ALGORITHMS.to_vec(),
            forward: Forward::new(),
            any_audience: false,
        }
    }

    /// Tokens are for this one of us: `aud` must be there and name it. Called again, one of them.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audience.push(audience.into());
        self
    }

    /// Tokens of this issuer are taken whomever they are for. Only where it issues for nobody
    /// else.
    pub fn any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// How tokens may be signed. Default: RS256, ES256 and `EdDSA`.
    ///
    /// A key without an `alg` of its own is used with one algorithm only, the first of these that
    /// fits it.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How much the clocks of issuer and gateway may differ, in whole seconds. Default: 60 s, at
    /// most 10 minutes.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.rules.skew = skew;
        self
    }

    /// The claims that must be there. Default: `exp` and `sub`. `iss`, and `aud` where an audience
    /// is named, must always be.
    ///
    /// A token without `exp` is taken for ever, and verified each time.
    pub fn required_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.rules.required = names.into_iter().map(Into::into).collect();
        self
    }

    /// The `typ` that tokens must have, such as `at+jwt` (RFC 9068, section 4). Default: none,
    /// `JWT` or `at+jwt`.
    pub fn token_type(mut self, token_type: impl Into<String>) -> Self {
        self.rules.token_type = Some(token_type.into());
        self
    }

    /// The claim that says who it is. Default: `sub`.
    ///
    /// Here and below, a name with dots leads into claims that hold others, as in
    /// `realm_access.roles`, where no claim has the whole as its name.
    pub fn subject_claim(mut self, name: impl Into<String>) -> Self {
        self.names.subject = name.into();
        self
    }

    /// The claims that roles stand in: a list, or one text. Default: `roles`.
    pub fn roles_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names.roles = names.into_iter().map(Into::into).collect();
        self
    }

    /// The claims that scopes stand in: a list, or one text with blanks between. Default: `scope`
    /// and `scp`.
    pub fn scopes_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.names.scopes = names.into_iter().map(Into::into).collect();
        self
    }

    /// The claim that the tier stands in. Default: none.
    pub fn tier_claim(mut self, name: impl Into<String>) -> Self {
        self.names.tier = Some(name.into());
        self
    }

    /// The claim that the tenant stands in. Default: none.
    pub fn tenant_claim(mut self, name: impl Into<String>) -> Self {
        self.names.tenant = Some(name.into());
        self
    }

    /// Tells the upstream what stands in `claim` as the field `name`. Lists are joined by commas.
    ///
    /// A client's own fields of this name are removed from every request, in every spelling, with
    /// a token or without. A token whose claim cannot stand in a field as what it is is rejected;
    /// see [`Forward`].
    pub fn forward(mut self, name: HeaderName, claim: impl Into<String>) -> Self {
        self.forward = self.forward.field(name, claim);
        self
    }

    /// Tells the upstream all of `forward`, instead of what was said before.
    pub fn forwards(mut self, forward: Forward) -> Self {
        self.forward = forward;
        self
    }

    pub(super) fn check(&self) -> Result<(), JwtError> {
        let issuer = || self.rules.issuer.to_string();
        if self.rules.audience.is_empty() && !self.any_audience {
            return Err(JwtError::NoAudience(issuer()));
        }
        if self.algorithms.is_empty() {
            return Err(JwtError::NoAlgorithm(issuer()));
        }
        let shared = self.algorithms.iter().find(|algorithm| algorithm.is_symmetric());
        if let Some(algorithm) = shared.filter(|_| self.keys.are_remote()) {
            return Err(JwtError::SharedSecret(issuer(), *algorithm));
        }
        if self.rules.skew > MAX_SKEW {
            return Err(JwtError::Skew(issuer()));
        }
        match self.forward.reserved() {
            Some(name) => Err(JwtError::Forward(issuer(), name.clone())),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for JwtProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtProvider")
            .field("issuer", &self.rules.issuer)
            .field("audience", &self.rules.audience)
            .field("algorithms", &self.algorithms)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
