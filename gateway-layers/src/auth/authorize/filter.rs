//! [`AuthorizeFilter`].

use gateway_core::{Error, Reason, RequestContext, RequestExt};
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::request;

use super::forbidden::DEFAULT_REALM;
use super::requirements::Requirements;
use crate::auth::Challenge;
use crate::filter::{Filter, Flow};

/// Lets requests pass of whom [`Requirements`] hold; see the [module](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthorizeFilter {
    requirements: Requirements,
    realm: String,
    challenges: Vec<HeaderValue>,
}

impl AuthorizeFilter {
    /// Who is known and has all of `requirements` may.
    pub fn new(requirements: Requirements) -> Self {
        Self { requirements, realm: DEFAULT_REALM.to_owned(), challenges: Vec::new() }
    }

    /// What `WWW-Authenticate` calls what is protected. Default: `gateway`.
    pub fn realm(mut self, realm: &str) -> Self {
        realm.clone_into(&mut self.realm);
        self
    }

    /// The `WWW-Authenticate` of answers to nobody: which credentials are taken. Default: `Bearer`
    /// with the realm.
    pub fn challenges(mut self, challenges: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.challenges = challenges.into_iter().collect();
        self
    }

    /// What must hold.
    pub fn requirements(&self) -> &Requirements {
        &self.requirements
    }

    fn check(&self, head: &request::Parts) -> Result<(), Error> {
        let context = head.context();
        let Some(principal) = context.and_then(RequestContext::principal) else {
            return Err(self.unknown());
        };
        match self.requirements.unmet(principal, head, context) {
            None => Ok(()),
            Some(unmet) => {
                let route = context.and_then(RequestContext::route).map_or("", |route| &*route.id);
                tracing::debug!(route, method = principal.method, why = %unmet, "not allowed");
                Err(self.requirements.forbidden(unmet, principal, &self.realm))
            }
        }
    }

    /// Nobody is known. Where identity is optional its layer has let pass who sent nothing, and it
    /// is said here that something is wanted (RFC 9110, section 15.5.2).
    fn unknown(&self) -> Error {
        let error = Error::new(Reason::Unauthenticated);
        if self.challenges.is_empty() {
            let challenge = Challenge::new("Bearer", &self.realm);
            return error.with_field(WWW_AUTHENTICATE, challenge.value());
        }
        let add =
            |error: Error, value: &HeaderValue| error.with_field(WWW_AUTHENTICATE, value.clone());
        self.challenges.iter().fold(error, add)
    }
}

impl Filter for AuthorizeFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        self.check(head).into()
    }
}
