//! [`ServiceTokenAuthenticator`].

use crate::auth::credentials::CredentialHandling;
use std::fmt;
use std::sync::Arc;

use gateway_core::context::Principal;
use gateway_core::{Error, Reason, Request};
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};
use subtle::ConditionallySelectable;

use super::HEADER;
use super::token::{MAX_TOKEN, ServiceToken, ServiceTokenError};
use crate::auth::{
    Authentication, Authenticator, Challenge, CredentialSource, Forward, Identity, SecretDigest,
};

/// How a service was known, in [`Principal::method`].
const METHOD: &str = "service_token";

/// The scheme of the challenge. It is in no register; a service knows where to put its token.
const SCHEME: &str = "ServiceToken";

/// No token has this place.
const NOBODY: u32 = u32::MAX;

/// Knows services by their tokens; see the [module](super). Cheap to clone.
#[derive(Clone)]
#[must_use]
pub struct ServiceTokenAuthenticator {
    settings: Arc<Settings>,
}

#[derive(Clone)]
struct Settings {
    name: Arc<str>,
    tokens: Vec<ServiceToken>,
    /// Of each token; `None`: it cannot be told to upstreams as it should be.
    identities: Vec<Option<Identity>>,
    forward: Forward,
    source: CredentialSource,
    credentials: CredentialHandling,
    realm: String,
}

impl ServiceTokenAuthenticator {
    /// Services with one of these `tokens`, whose principals have `name` as their issuer.
    ///
    /// # Errors
    ///
    /// Without tokens, and when two are the same.
    pub fn new(
        name: impl Into<Arc<str>>,
        tokens: impl IntoIterator<Item = ServiceToken>,
    ) -> Result<Self, ServiceTokenError> {
        let tokens: Vec<_> = tokens.into_iter().collect();
        if tokens.is_empty() {
            return Err(ServiceTokenError::None);
        }
        for (place, one) in tokens.iter().enumerate() {
            if let Some(other) = tokens[..place].iter().find(|other| other.digest == one.digest) {
                return Err(ServiceTokenError::Twice(other.service.clone(), one.service.clone()));
            }
        }
        let mut settings = Settings {
            name: name.into(),
            tokens,
            identities: Vec::new(),
            forward: Forward::new(),
            source: CredentialSource::Header(HEADER),
            credentials: CredentialHandling::Drop,
            realm: "gateway".to_owned(),
        };
        settings.know();
        Ok(Self { settings: Arc::new(settings) })
    }

    /// The field in which tokens stand. Default: `x-service-token`.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.own().source = CredentialSource::Header(name);
        self
    }

    /// Whether the upstream gets the token. Default: it does not.
    pub fn credentials(mut self, credentials: CredentialHandling) -> Self {
        self.own().credentials = credentials;
        self
    }

    /// What upstreams are told of services. Default: nothing.
    pub fn forward(mut self, forward: Forward) -> Self {
        let settings = self.own();
        settings.forward = forward;
        settings.know();
        self
    }

    /// What `WWW-Authenticate` calls what is protected. Default: `gateway`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.own().realm = realm.into();
        self
    }

    fn own(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl Settings {
    fn know(&mut self) {
        let identity = |token: &ServiceToken| {
            let principal = principal(token, &self.name);
            let fields = self.forward.of(&principal).ok()?;
            Some(Identity::new(principal).with_fields(fields))
        };
        self.identities = self.tokens.iter().map(identity).collect();
    }

    /// The place of `token`. All are compared, in the same time whichever it is.
    fn place(&self, token: &str) -> usize {
        let digest = SecretDigest::of(token.as_bytes());
        let mut found = NOBODY;
        for (place, one) in (0_u32..).zip(&self.tokens) {
            found.conditional_assign(&place, one.digest.is_like(&digest));
        }
        found as usize
    }

    /// What no service has may be the credential of another kind.
    fn know_by(&self, token: &str) -> Authentication {
        if token.len() > MAX_TOKEN {
            return Authentication::Unrecognized(self.rejected("the token is too long"));
        }
        match self.identities.get(self.place(token)) {
            None => Authentication::Unrecognized(self.rejected("the token is not known")),
            Some(Some(identity)) => Authentication::Known(identity.clone()),
            Some(None) => Authentication::Rejected(
                self.rejected("what the service is cannot be told in a header field"),
            ),
        }
    }

    fn rejected(&self, detail: &'static str) -> Error {
        Error::new(Reason::CredentialsInvalid)
            .with_detail(detail)
            .with_field(WWW_AUTHENTICATE, self.challenge())
    }

    fn challenge(&self) -> HeaderValue {
        Challenge::new(SCHEME, &self.realm).value()
    }
}

fn principal(token: &ServiceToken, name: &Arc<str>) -> Principal {
    let shared = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
    let mut principal = Principal::new(token.service.as_str(), METHOD);
    principal.issuer = Some(Arc::clone(name));
    principal.tier = token.tier.as_deref().map(Into::into);
    principal.tenant = token.tenant.as_deref().map(Into::into);
    principal.roles = shared(&token.roles);
    principal.scopes = shared(&token.scopes);
    principal
}

impl Authenticator for ServiceTokenAuthenticator {
    fn authenticate(&self, request: &Request) -> Authentication {
        let settings = &self.settings;
        match settings.source.find(request) {
            Ok(None) => Authentication::Missing,
            Ok(Some(token)) => settings.know_by(token),
            Err(_) => Authentication::Rejected(settings.rejected("there is not one token")),
        }
    }

    fn admitted(&self, request: &mut Request, _: &Identity) {
        if self.settings.credentials == CredentialHandling::Drop {
            self.settings.source.remove(request);
        }
    }

    fn challenge(&self) -> Option<HeaderValue> {
        Some(self.settings.challenge())
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        std::slice::from_ref(&self.settings.source)
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        self.settings.forward.names()
    }
}

impl fmt::Debug for ServiceTokenAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokenAuthenticator")
            .field("name", &self.settings.name)
            .field("tokens", &self.settings.tokens)
            .finish_non_exhaustive()
    }
}
