//! What a token says, held against what it must say.

use std::sync::Arc;
use std::time::Duration;

use super::fault::TokenRejection;
use super::json::Object;
use super::jws::is_type;
pub(super) use crate::auth::statements::Names;
use crate::auth::statements::{check_audience, check_times, text};

/// What the claims of a token must be.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuer: Arc<str>,
    /// Nothing where all audiences are taken.
    pub(super) audience: Vec<String>,
    /// None where nobody has said which: those of access and identity tokens.
    pub(super) token_type: Option<String>,
    pub(super) skew: Duration,
    pub(super) required: Vec<String>,
}

impl Rules {
    /// Checks the type of the token (RFC 8725, section 3.11).
    pub(super) fn check_type(&self, found: Option<&str>) -> Result<(), TokenRejection> {
        let fits = match (&self.token_type, found) {
            (Some(wanted), Some(found)) => is_type(found, wanted),
            (Some(_), None) => false,
            (None, Some(found)) => is_type(found, "jwt") || is_type(found, "at+jwt"),
            (None, None) => true,
        };
        if fits { Ok(()) } else { Err(TokenRejection::Type) }
    }

    /// Checks the claims at `now`, in seconds since 1970, and says when they are none any more.
    pub(super) fn check(&self, claims: &Object, now: i64) -> Result<Option<i64>, TokenRejection> {
        if self.required.iter().any(|name| !claims.contains_key(name)) {
            return Err(TokenRejection::ClaimMissing);
        }
        text(claims, "sub")?;
        text(claims, "jti")?;
        let issuer = text(claims, "iss")?.ok_or(TokenRejection::ClaimMissing)?;
        if **issuer != *self.issuer {
            return Err(TokenRejection::Issuer);
        }
        check_audience(claims, &self.audience)?;
        check_times(claims, now, self.skew)
    }
}
