//! [`Rules`]: what an answer about a token must say.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::context::Claim;

use super::cache::Known;
use crate::auth::authenticator::Identity;
use crate::auth::claims::find;
use crate::auth::fault::TokenRejection;
use crate::auth::forward::Forward;
use crate::auth::json;
use crate::auth::statements::{Names, check_audience, check_times, text, time};

/// Which member says that the token is good.
#[derive(Clone, Debug)]
pub(in crate::auth) enum Active {
    /// The one of this name, which must be there.
    Named(String),
    /// Any of these that is there. An answer without is one about a good token.
    IfThere(&'static [&'static str]),
}

/// What an answer about a token must say.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Rules {
    /// How the principal is said to be known.
    pub(in crate::auth) method: &'static str,
    pub(in crate::auth) active: Active,
    /// The answer has the members of RFC 7662, section 2.2, with their meaning.
    pub(in crate::auth) standard: bool,
    /// Nothing where any is taken.
    pub(in crate::auth) issuer: Option<Arc<str>>,
    /// Nothing where all are taken.
    pub(in crate::auth) audience: Vec<String>,
    pub(in crate::auth) skew: Duration,
    /// Where it says when the token ends.
    pub(in crate::auth) expires: Option<String>,
    pub(in crate::auth) required: Vec<String>,
    pub(in crate::auth) names: Names,
    pub(in crate::auth) forward: Forward,
}

/// Why nobody is known by an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The token is not good.
    Rejected(TokenRejection),
    /// The answer is not.
    Unusable(&'static str),
}

impl From<TokenRejection> for Judged {
    fn from(fault: TokenRejection) -> Self {
        match fault {
            // The server's fault, not the token's.
            TokenRejection::ClaimType => Self::Unusable("a member has the wrong type"),
            fault => Self::Rejected(fault),
        }
    }
}

impl Rules {
    /// Members of no standard, which say whose a good token is; known by `method`.
    pub(super) fn new(method: &'static str) -> Self {
        Self {
            method,
            active: Active::IfThere(&["active", "valid"]),
            standard: false,
            issuer: None,
            audience: Vec::new(),
            skew: Duration::ZERO,
            expires: Some("exp".to_owned()),
            required: Vec::new(),
            names: Names {
                subject: "sub".to_owned(),
                roles: vec!["roles".to_owned()],
                scopes: vec!["scope".to_owned()],
                tier: None,
                tenant: None,
            },
            forward: Forward::new(),
        }
    }

    /// Who is known by `answer`, at `now`, in seconds since 1970.
    pub(super) fn judge(&self, answer: &[u8], now: i64) -> Result<Known, Judged> {
        let claims = json::object(answer)
            .ok_or(Judged::Unusable("it is no JSON object that can be read in one way only"))?;
        self.check_active(&claims)?;
        if self.required.iter().any(|name| find(&claims, name).is_none()) {
            return Err(TokenRejection::ClaimMissing.into());
        }
        let mut issuer = None;
        if self.standard {
            for name in ["sub", "client_id", "username", "jti", "token_type", "scope"] {
                text(&claims, name)?;
            }
            issuer = text(&claims, "iss")?.cloned();
            if let Some(wanted) = &self.issuer
                && *issuer.as_ref().ok_or(TokenRejection::ClaimMissing)? != *wanted
            {
                return Err(TokenRejection::Issuer.into());
            }
            check_audience(&claims, &self.audience)?;
            check_times(&claims, now, self.skew)?;
        }
        let ends = match &self.expires {
            Some(name) => time(&claims, name)?,
            None => None,
        };
        let skew = i64::try_from(self.skew.as_secs()).unwrap_or(i64::MAX);
        if ends.is_some_and(|ends| now >= ends.saturating_add(skew)) {
            return Err(TokenRejection::Expired.into());
        }
        let principal = self.names.principal(self.method, issuer, claims);
        if principal.subject.is_empty() {
            return Err(TokenRejection::ClaimMissing.into());
        }
        let fields = self.forward.of(&principal).map_err(|_| TokenRejection::ClaimUnsafe)?;
        Ok(Known { identity: Identity::new(principal).with_fields(fields), ends })
    }

    fn check_active(&self, claims: &json::Object) -> Result<(), Judged> {
        let good = |claim: &Claim| match claim {
            Claim::Boolean(true) => Ok(()),
            Claim::Boolean(false) => Err(TokenRejection::Inactive.into()),
            _ => Err(Judged::Unusable("whether the token is active is neither true nor false")),
        };
        match &self.active {
            Active::Named(name) => {
                let claim = find(claims, name);
                good(claim.ok_or(Judged::Unusable("it does not say whether the token is active"))?)
            }
            Active::IfThere(names) => {
                names.iter().filter_map(|name| claims.get(*name)).try_for_each(good)
            }
        }
    }
}
