//! [`JwtLayer`].

use std::sync::Arc;

use gateway_core::{Error, Reason};
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use tower_layer::Layer;

use super::fault::TokenFault;
use super::service::Jwt;
use super::source::TokenSource;
use super::verifier::{JwtVerifier, VerifyError};

/// What becomes of `Authorization` once it has been verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Authorization {
    /// The upstream gets it, to verify it itself.
    #[default]
    Keep,
    /// The upstream does not get it: it cannot be used or logged there.
    Drop,
}

/// Lets requests pass that carry a token which a [`JwtVerifier`] takes; see the [module](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct JwtLayer {
    pub(super) settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) verifier: JwtVerifier,
    pub(super) sources: Vec<TokenSource>,
    pub(super) authorization: Authorization,
    pub(super) optional: bool,
    realm: Arc<str>,
    scopes: Vec<String>,
    roles: Vec<String>,
}

impl JwtLayer {
    /// Requests need a token that `verifier` takes.
    pub fn new(verifier: JwtVerifier) -> Self {
        Self {
            settings: Arc::new(Settings {
                verifier,
                sources: vec![TokenSource::Header],
                authorization: Authorization::default(),
                optional: false,
                realm: "gateway".into(),
                scopes: Vec::new(),
                roles: Vec::new(),
            }),
        }
    }

    /// Where tokens may stand. Default: in `Authorization` only. A request with two is refused.
    pub fn from(mut self, sources: impl IntoIterator<Item = TokenSource>) -> Self {
        self.own().sources = sources.into_iter().collect();
        self
    }

    /// Whether requests without a token pass, as nobody. One that is not valid is refused all the
    /// same. Default: they do not.
    pub fn optional(mut self, optional: bool) -> Self {
        self.own().optional = optional;
        self
    }

    /// What becomes of `Authorization` once it has been verified. Default: the upstream gets it.
    pub fn authorization(mut self, authorization: Authorization) -> Self {
        self.own().authorization = authorization;
        self
    }

    /// What `WWW-Authenticate` calls what is protected; quotes, backslashes and what is not
    /// printable are left away. Default: `gateway`.
    pub fn realm(mut self, realm: &str) -> Self {
        self.own().realm = quotable(realm).into();
        self
    }

    /// Scopes that a token must all have, or the answer is 403. Default: none.
    pub fn scopes<N: Into<String>>(mut self, scopes: impl IntoIterator<Item = N>) -> Self {
        self.own().scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Roles of which a token must have one, or the answer is 403. Default: none.
    pub fn roles<N: Into<String>>(mut self, roles: impl IntoIterator<Item = N>) -> Self {
        self.own().roles = roles.into_iter().map(Into::into).collect();
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

impl<S> Layer<S> for JwtLayer {
    type Service = Jwt<S>;

    fn layer(&self, inner: S) -> Jwt<S> {
        Jwt::new(inner, Arc::clone(&self.settings))
    }
}

impl Settings {
    /// There is no token.
    pub(super) fn missing(&self) -> Error {
        self.challenged(Error::new(Reason::Unauthenticated), "")
    }

    /// Why a token is of no use (RFC 6750, section 3.1).
    pub(super) fn refused(&self, why: &VerifyError) -> Error {
        match why {
            VerifyError::Token(fault) => {
                let error = Error::new(Reason::TokenInvalid).with_detail(fault.text());
                let code = match fault {
                    TokenFault::Several => "invalid_request",
                    _ => "invalid_token",
                };
                let text = fault.text();
                let said = format!(", error=\"{code}\", error_description=\"{text}\"");
                self.challenged(error, &said)
            }
            VerifyError::KeysUnavailable(after) => {
                let error = Error::new(Reason::KeysUnavailable);
                if after.is_zero() { error } else { error.with_retry_after(*after) }
            }
        }
    }

    /// Whether the caller has what the route asks for.
    pub(super) fn permits(&self, principal: &gateway_core::context::Principal) -> bool {
        self.scopes.iter().all(|scope| principal.has_scope(scope))
            && (self.roles.is_empty() || self.roles.iter().any(|role| principal.has_role(role)))
    }

    /// The caller is known, and may not.
    pub(super) fn forbidden(&self) -> Error {
        let error = Error::new(Reason::Forbidden);
        if self.scopes.is_empty() {
            return error;
        }
        let scopes = quotable(&self.scopes.join(" "));
        self.challenged(error, &format!(", error=\"insufficient_scope\", scope=\"{scopes}\""))
    }

    fn challenged(&self, error: Error, said: &str) -> Error {
        let value = format!("Bearer realm=\"{}\"{said}", self.realm);
        match HeaderValue::from_str(&value) {
            Ok(value) => error.with_field(WWW_AUTHENTICATE, value),
            Err(_) => error,
        }
    }
}

/// What of `text` may stand between quotes as it is.
fn quotable(text: &str) -> String {
    let may = |letter: &char| (' '..='~').contains(letter) && !matches!(letter, '"' | '\\');
    text.chars().filter(may).collect()
}
