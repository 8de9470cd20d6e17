//! What is said about a caller, by a token or by whoever was asked about one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use gateway_core::context::{Claim, Principal};
use gateway_core::{Clock as _, SystemClock};

use super::claims::find;
use super::fault::TokenRejection;
use super::json::Object;

/// The year 10000: nothing that is meant as a time lies behind it.
const LAST_SECOND: i64 = 253_402_300_800;

/// Which claims say what a principal is.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Names {
    pub(in crate::auth) subject: String,
    pub(in crate::auth) roles: Vec<String>,
    pub(in crate::auth) scopes: Vec<String>,
    pub(in crate::auth) tier: Option<String>,
    pub(in crate::auth) tenant: Option<String>,
}

impl Names {
    /// Who the claims are about.
    pub(in crate::auth) fn principal(
        &self,
        method: &'static str,
        issuer: Option<Arc<str>>,
        claims: Object,
    ) -> Principal {
        let one = |what: &str, name: &Option<String>| {
            let name = name.as_ref()?;
            match find(&claims, name)? {
                Claim::Text(text) => Some(Arc::clone(text)),
                other => {
                    warn_once(what, name, other);
                    None
                }
            }
        };
        let subject = match find(&claims, &self.subject) {
            Some(Claim::Text(text)) => Arc::clone(text),
            // The numbers of a database.
            Some(Claim::Integer(number)) => number.to_string().into(),
            _ => "".into(),
        };
        let mut principal = Principal::new(subject, method);
        principal.issuer = issuer;
        principal.tier = one("tier", &self.tier);
        principal.tenant = one("tenant", &self.tenant);
        principal.roles = gathered(&claims, &self.roles, |text| vec![Arc::clone(text)]);
        principal.scopes = gathered(&claims, &self.scopes, |text| {
            // RFC 8693, section 4.2: one text, with blanks between.
            text.split(' ').filter(|one| !one.is_empty()).map(Arc::from).collect()
        });
        principal.claims = claims;
        principal
    }
}

/// Warns that a claim has another type than the configuration expects. Once a minute: a caller with a
/// valid token can send many.
fn warn_once(what: &str, name: &str, found: &Claim) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since = SystemClock.now().duration_since(UNIX_EPOCH);
    let minute = since.map_or(1, |time| time.as_secs() / 60);
    if LAST.swap(minute, Ordering::Relaxed) != minute {
        let found = match found {
            Claim::List(_) => "a list",
            Claim::Boolean(_) => "true or false",
            Claim::Text(_) => "a string",
            _ => "another type",
        };
        tracing::warn!(claim = name, "`{what}` must be a string, found {found}: it is not set");
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

/// Checks `aud` (RFC 7519, section 4.1.3): a text, or a list of them, of which one is in
/// `wanted`. With nothing wanted all are taken.
pub(in crate::auth) fn check_audience(
    claims: &Object,
    wanted: &[String],
) -> Result<(), TokenRejection> {
    let found: Vec<&str> = match claims.get("aud") {
        None => Vec::new(),
        Some(Claim::Text(one)) => vec![one],
        Some(Claim::List(list)) => {
            let texts = list.iter().map(|one| as_text(one).ok_or(TokenRejection::ClaimType));
            texts.collect::<Result<_, _>>()?
        }
        Some(_) => return Err(TokenRejection::ClaimType),
    };
    if wanted.is_empty() {
        return Ok(());
    }
    if !claims.contains_key("aud") {
        return Err(TokenRejection::ClaimMissing);
    }
    let ours = |found: &&str| wanted.iter().any(|own| own == found);
    if found.iter().any(ours) { Ok(()) } else { Err(TokenRejection::Audience) }
}

/// Checks `exp`, `nbf` and `iat` at `now`, in seconds since 1970, with clocks that differ by
/// `skew`, and says when `exp` is, with the skew.
pub(in crate::auth) fn check_times(
    claims: &Object,
    now: i64,
    skew: Duration,
) -> Result<Option<i64>, TokenRejection> {
    let skew = i64::try_from(skew.as_secs()).unwrap_or(LAST_SECOND);
    let (begins, issued) = (time(claims, "nbf")?, time(claims, "iat")?);
    // A token that ends in half a second has ended at its beginning.
    let dies = time(claims, "exp")?.map(|end| end.saturating_add(skew));
    if dies.is_some_and(|dies| now >= dies) {
        return Err(TokenRejection::Expired);
    }
    let latest = now.saturating_add(skew);
    if begins.is_some_and(|begins| begins > latest) {
        return Err(TokenRejection::NotYet);
    }
    if issued.is_some_and(|issued| issued > latest) {
        return Err(TokenRejection::IssuedLater);
    }
    Ok(dies)
}

fn as_text(claim: &Claim) -> Option<&str> {
    match claim {
        Claim::Text(text) => Some(text),
        _ => None,
    }
}

/// The claim `name`, which is a text where it is there.
pub(in crate::auth) fn text<'a>(
    claims: &'a Object,
    name: &str,
) -> Result<Option<&'a Arc<str>>, TokenRejection> {
    match claims.get(name) {
        None => Ok(None),
        Some(Claim::Text(text)) => Ok(Some(text)),
        Some(_) => Err(TokenRejection::ClaimType),
    }
}

/// Seconds since 1970 (RFC 7519, section 2); parts of one are left away.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "looked at first")]
pub(in crate::auth) fn time(claims: &Object, name: &str) -> Result<Option<i64>, TokenRejection> {
    let seconds = match find(claims, name) {
        None => return Ok(None),
        Some(Claim::Integer(seconds)) => *seconds,
        Some(Claim::Number(seconds)) if (0.0..LAST_SECOND as f64).contains(seconds) => {
            seconds.floor() as i64
        }
        Some(_) => return Err(TokenRejection::ClaimType),
    };
    if (0..LAST_SECOND).contains(&seconds) {
        Ok(Some(seconds))
    } else {
        Err(TokenRejection::ClaimType)
    }
}
