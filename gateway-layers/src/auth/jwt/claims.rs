//! What a token says, held against what it must say.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::context::{Claim, Principal};

use super::fault::TokenFault;
use super::json::Object;
use super::jws::is_type;
use crate::auth::claims::find;

/// The year 10000: nothing that is meant as a time lies behind it.
const LAST_SECOND: i64 = 253_402_300_800;

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

/// Which claims say what a principal is.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) subject: String,
    pub(super) roles: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) tier: Option<String>,
    pub(super) tenant: Option<String>,
}

impl Rules {
    /// Checks the type of the token (RFC 8725, section 3.11).
    pub(super) fn check_type(&self, found: Option<&str>) -> Result<(), TokenFault> {
        let fits = match (&self.token_type, found) {
            (Some(wanted), Some(found)) => is_type(found, wanted),
            (Some(_), None) => false,
            (None, Some(found)) => is_type(found, "jwt") || is_type(found, "at+jwt"),
            (None, None) => true,
        };
        if fits { Ok(()) } else { Err(TokenFault::Type) }
    }

    /// Checks the claims at `now`, in seconds since 1970, and says when they are none any more.
    pub(super) fn check(&self, claims: &Object, now: i64) -> Result<Option<i64>, TokenFault> {
        if self.required.iter().any(|name| !claims.contains_key(name)) {
            return Err(TokenFault::ClaimMissing);
        }
        text(claims, "sub")?;
        text(claims, "jti")?;
        let issuer = text(claims, "iss")?.ok_or(TokenFault::ClaimMissing)?;
        if **issuer != *self.issuer {
            return Err(TokenFault::Issuer);
        }
        self.check_audience(claims)?;
        let skew = i64::try_from(self.skew.as_secs()).unwrap_or(LAST_SECOND);
        let (begins, issued) = (time(claims, "nbf")?, time(claims, "iat")?);
        // A token that ends in half a second has ended at its beginning.
        let dies = time(claims, "exp")?.map(|end| end.saturating_add(skew));
        if dies.is_some_and(|dies| now >= dies) {
            return Err(TokenFault::Expired);
        }
        let latest = now.saturating_add(skew);
        if begins.is_some_and(|begins| begins > latest) {
            return Err(TokenFault::NotYet);
        }
        if issued.is_some_and(|issued| issued > latest) {
            return Err(TokenFault::IssuedLater);
        }
        Ok(dies)
    }

    fn check_audience(&self, claims: &Object) -> Result<(), TokenFault> {
        let found: Vec<&str> = match claims.get("aud") {
            None => Vec::new(),
            Some(Claim::Text(one)) => vec![one],
            Some(Claim::List(list)) => {
                let texts = list.iter().map(|one| as_text(one).ok_or(TokenFault::ClaimType));
                texts.collect::<Result<_, _>>()?
            }
            Some(_) => return Err(TokenFault::ClaimType),
        };
        if self.audience.is_empty() {
            return Ok(());
        }
        if !claims.contains_key("aud") {
            return Err(TokenFault::ClaimMissing);
        }
        let ours = |found: &&str| self.audience.iter().any(|own| own == found);
        if found.iter().any(ours) { Ok(()) } else { Err(TokenFault::Audience) }
    }
}

impl Names {
    /// Who the claims are about.
    pub(super) fn principal(&self, issuer: &Arc<str>, claims: Object) -> Principal {
        let one = |name: &Option<String>| match name.as_ref().and_then(|name| find(&claims, name)) {
            Some(Claim::Text(text)) => Some(Arc::clone(text)),
            _ => None,
        };
        let subject = match find(&claims, &self.subject) {
            Some(Claim::Text(text)) => Arc::clone(text),
            _ => "".into(),
        };
        let mut principal = Principal::new(subject, "jwt");
        principal.issuer = Some(Arc::clone(issuer));
        principal.tier = one(&self.tier);
        principal.tenant = one(&self.tenant);
        principal.roles = gathered(&claims, &self.roles, |text| vec![Arc::clone(text)]);
        principal.scopes = gathered(&claims, &self.scopes, |text| {
            // RFC 8693, section 4.2: one text, with blanks between.
            text.split(' ').filter(|one| !one.is_empty()).map(Arc::from).collect()
        });
        principal.claims = claims;
        principal
    }
}

/// The texts under all of `names`, each once.
fn gathered(
    claims: &Object,
    names: &[String],
    split: impl Fn(&Arc<str>) -> Vec<Arc<str>>,
) -> Vec<Arc<str>> {
    let mut all: Vec<Arc<str>> = Vec::new();
    for claim in names.iter().filter_map(|name| find(claims, name)) {
        let some = match claim {
            Claim::Text(text) => split(text),
            Claim::List(list) => list.iter().filter_map(as_text).map(Arc::from).collect(),
            _ => Vec::new(),
        };
        for one in some {
            if !all.contains(&one) {
                all.push(one);
            }
        }
    }
    all
}

fn as_text(claim: &Claim) -> Option<&str> {
    match claim {
        Claim::Text(text) => Some(text),
        _ => None,
    }
}

fn text<'a>(claims: &'a Object, name: &str) -> Result<Option<&'a Arc<str>>, TokenFault> {
    match claims.get(name) {
        None => Ok(None),
        Some(Claim::Text(text)) => Ok(Some(text)),
        Some(_) => Err(TokenFault::ClaimType),
    }
}

/// Seconds since 1970 (RFC 7519, section 2); parts of one are left away.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "looked at first")]
fn time(claims: &Object, name: &str) -> Result<Option<i64>, TokenFault> {
    let seconds = match claims.get(name) {
        None => return Ok(None),
        Some(Claim::Integer(seconds)) => *seconds,
        Some(Claim::Number(seconds)) if (0.0..LAST_SECOND as f64).contains(seconds) => {
            seconds.floor() as i64
        }
        Some(_) => return Err(TokenFault::ClaimType),
    };
    if (0..LAST_SECOND).contains(&seconds) { Ok(Some(seconds)) } else { Err(TokenFault::ClaimType) }
}
