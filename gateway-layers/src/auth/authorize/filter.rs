//! [`AuthorizeFilter`].

use gateway_core::context::Principal;
use gateway_core::{Error, Reason, RequestContext, RequestExt};
use http::header::{HeaderValue, WWW_AUTHENTICATE};
use http::request;

use super::requirements::{Requirements, Unmet};
use crate::filter::{Filter, Flow};

/// The `method` of principals that were known by a bearer token (RFC 6750).
const BEARER_METHODS: [&str; 2] = ["jwt", "introspection"];

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
        Self { requirements, realm: "gateway".to_owned(), challenges: Vec::new() }
    }

    /// What `WWW-Authenticate` calls what is protected; quotes, backslashes and what is not
    /// printable are left away. Default: `gateway`.
    pub fn realm(mut self, realm: &str) -> Self {
        self.realm = quotable(realm);
        self
    }

    /// The `WWW-Authenticate` of answers to nobody: which credentials are taken (RFC 9110, section
    /// 11.6.1). Default: `Bearer` with the realm.
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
            Some(unmet) => Err(self.forbidden(unmet, principal, context)),
        }
    }

    /// Nobody is known.
    fn unknown(&self) -> Error {
        let error = Error::new(Reason::Unauthenticated);
        if self.challenges.is_empty() {
            return self.challenged(error, "");
        }
        let add =
            |error: Error, value: &HeaderValue| error.with_field(WWW_AUTHENTICATE, value.clone());
        self.challenges.iter().fold(error, add)
    }

    /// The caller is known, and may not.
    fn forbidden(
        &self,
        unmet: Unmet,
        principal: &Principal,
        context: Option<&RequestContext>,
    ) -> Error {
        let route = context.and_then(RequestContext::route).map_or("", |route| &*route.id);
        tracing::debug!(route, method = principal.method, why = %unmet, "not allowed");
        let error = Error::new(Reason::Forbidden).with_detail(unmet.text());
        let Requirements { scopes_all, scopes_any, .. } = &self.requirements;
        // One of them is enough, but there is no way to say so (RFC 6750, section 3): whoever has
        // them all has what it takes.
        let alternatives: &[String] = match unmet {
            Unmet::ScopesAll if any_of(scopes_any, principal) => &[],
            Unmet::ScopesAll | Unmet::ScopesAny => scopes_any,
            _ => return error,
        };
        if !BEARER_METHODS.contains(&principal.method) {
            return error;
        }
        let mut scopes: Vec<&str> = Vec::with_capacity(scopes_all.len() + alternatives.len());
        for scope in scopes_all.iter().chain(alternatives) {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        let scopes = quotable(&scopes.join(" "));
        self.challenged(error, &format!(", error=\"insufficient_scope\", scope=\"{scopes}\""))
    }

    fn challenged(&self, error: Error, said: &str) -> Error {
        match HeaderValue::from_str(&format!("Bearer realm=\"{}\"{said}", self.realm)) {
            Ok(value) => error.with_field(WWW_AUTHENTICATE, value),
            Err(_) => error,
        }
    }
}

impl Filter for AuthorizeFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        self.check(head).into()
    }
}

fn any_of(scopes: &[String], principal: &Principal) -> bool {
    scopes.iter().any(|scope| principal.has_scope(scope))
}

/// What of `text` may stand between quotes as it is.
fn quotable(text: &str) -> String {
    let may = |letter: &char| (' '..='~').contains(letter) && !matches!(letter, '"' | '\\');
    text.chars().filter(may).collect()
}
