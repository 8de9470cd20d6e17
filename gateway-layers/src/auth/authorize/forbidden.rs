//! What is answered to who is known and may not.

use gateway_core::context::Principal;
use gateway_core::{Error, Reason};
use http::header::WWW_AUTHENTICATE;

use super::requirements::{Requirements, Unmet};
use crate::auth::Challenge;

/// What is protected, unless somebody says otherwise.
pub(super) const DEFAULT_REALM: &str = "gateway";

/// The `method` of principals that were known by a bearer token (RFC 6750).
const BEARER_METHODS: [&str; 2] = ["jwt", "introspection"];

impl Requirements {
    /// The answer to `principal`, of whom `unmet` does not hold. Who came with a token is told the
    /// scopes of one that would do (RFC 6750, section 3.1).
    pub(super) fn forbidden(&self, unmet: Unmet, principal: &Principal, realm: &str) -> Error {
        let error = Error::new(Reason::Forbidden).with_detail(unmet.text());
        let Self { scopes_all, scopes_any, .. } = self;
        let has_any = scopes_any.iter().any(|scope| principal.has_scope(scope));
        // One of them is enough, but there is no way to say so (RFC 6750, section 3): whoever has
        // them all has what it takes.
        let alternatives: &[String] = match unmet {
            Unmet::ScopesAll if has_any => &[],
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
        let challenge = Challenge::new("Bearer", realm)
            .parameter("error", "insufficient_scope")
            .parameter("scope", &scopes.join(" "));
        error.with_field(WWW_AUTHENTICATE, challenge.value())
    }
}
