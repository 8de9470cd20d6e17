//! [`JwtAuthenticator`].

use std::sync::Arc;

use gateway_core::{Error, Reason, Request};
use http::header::{HeaderName, HeaderValue};

use super::fault::TokenRejection;
use super::verifier::{Checked, JwtVerifier, VerifyError};
use crate::auth::credentials::remove_credentials;
use crate::auth::{
    Authentication, Authenticator, Challenge, CredentialHandling, CredentialSource, Identity,
    find_credential,
};

/// Knows callers by a token that a [`JwtVerifier`] takes; see the [module](super). Cheap to clone.
#[derive(Clone, Debug)]
#[must_use]
pub struct JwtAuthenticator {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    verifier: JwtVerifier,
    sources: Vec<CredentialSource>,
    credentials: CredentialHandling,
    realm: String,
}

impl JwtAuthenticator {
    /// Tokens that `verifier` takes.
    pub fn new(verifier: JwtVerifier) -> Self {
        let settings = Settings {
            verifier,
            sources: vec![CredentialSource::bearer()],
            credentials: CredentialHandling::Keep,
            realm: "gateway".to_owned(),
        };
        Self { settings: Arc::new(settings) }
    }

    /// Where tokens may stand. Default: in `Authorization: Bearer` only. A request with two is
    /// rejected.
    pub fn from(mut self, sources: impl IntoIterator<Item = CredentialSource>) -> Self {
        self.own().sources = sources.into_iter().collect();
        self
    }

    /// What becomes of a token once it has been verified. Default: the upstream gets it.
    pub fn credentials(mut self, credentials: CredentialHandling) -> Self {
        self.own().credentials = credentials;
        self
    }

    /// What `WWW-Authenticate` calls what is protected. Default: `gateway`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.own().realm = realm.into();
        self
    }

    /// The verifier, to look at it or to share it.
    pub fn verifier(&self) -> &JwtVerifier {
        &self.settings.verifier
    }

    fn own(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl Authenticator for JwtAuthenticator {
    fn authenticate(&self, request: &Request) -> Authentication {
        let settings = &self.settings;
        let token = match find_credential(&settings.sources, request) {
            Ok(Some((_, token))) => token,
            Ok(None) => return Authentication::Missing,
            Err(fault) => {
                return Authentication::Rejected(
                    settings.error(&TokenRejection::from(fault).into()),
                );
            }
        };
        match settings.verifier.check(token) {
            Checked::Known(token) => Authentication::Known(token.identity.clone()),
            // The others of this thread have their turn: what all of them send on goes out
            // together then, and does not wake whoever reads it one by one.
            Checked::Verified(token) => Authentication::Pending(Box::pin(async move {
                tokio::task::yield_now().await;
                Authentication::Known(token.identity.clone())
            })),
            Checked::Rejected(why) => settings.unrecognized_or_rejected(token, &why),
            Checked::Waits(flight) => {
                let (settings, token) = (Arc::clone(settings), token.to_owned());
                Authentication::Pending(Box::pin(async move {
                    flight.land().await;
                    match settings.verifier.check_again(&token) {
                        Ok(token) => Authentication::Known(token.identity.clone()),
                        Err(why) => settings.unrecognized_or_rejected(&token, &why),
                    }
                }))
            }
        }
    }

    fn admitted(&self, request: &mut Request, _: &Identity) {
        if self.settings.credentials == CredentialHandling::Drop {
            remove_credentials(&self.settings.sources, request);
        }
    }

    fn challenge(&self) -> Option<HeaderValue> {
        Some(Challenge::new("Bearer", &self.settings.realm).value())
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        &self.settings.sources
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        self.settings.verifier.reserved_headers()
    }
}

impl Settings {
    /// What is not a token of these issuers may be the credential of another kind.
    fn unrecognized_or_rejected(&self, token: &str, why: &VerifyError) -> Authentication {
        let error = self.error(why);
        match why {
            VerifyError::Token(_) if !self.verifier.is_issuer_of(token) => {
                Authentication::Unrecognized(error)
            }
            _ => Authentication::Rejected(error),
        }
    }

    /// Why a token is of no use.
    fn error(&self, why: &VerifyError) -> Error {
        match why {
            VerifyError::Token(fault) => fault.error(&self.realm),
            VerifyError::KeysUnavailable(after) => {
                let error = Error::new(Reason::KeysUnavailable);
                if after.is_zero() { error } else { error.with_retry_after(*after) }
            }
        }
    }
}
