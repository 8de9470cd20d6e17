//! [`Requirements`]: what must hold of who is calling.

use std::fmt;

use gateway_core::RequestContext;
use gateway_core::context::Principal;
use http::request;

use super::claim_test::ClaimTest;
#[cfg(feature = "cel")]
use super::expression::{Expression, Subject};
use crate::auth::claims::find;

/// What must hold of who is calling. All of it must; without any, everybody who is known may.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Requirements {
    /// Roles of which the caller has at least one. Default: none is asked for.
    pub roles_any: Vec<String>,
    /// Roles which the caller all has. Default: none.
    pub roles_all: Vec<String>,
    /// Scopes of which the caller has at least one. Default: none is asked for.
    pub scopes_any: Vec<String>,
    /// Scopes which the caller all has. Default: none.
    pub scopes_all: Vec<String>,
    /// What claims must be, by name. A name with dots is a path where no claim has this name
    /// itself: `realm_access.roles`. Default: none.
    pub claims: Vec<(String, ClaimTest)>,
    /// What else must be true. Default: nothing.
    #[cfg(feature = "cel")]
    pub expression: Option<Expression>,
}

/// Which requirement does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmet {
    ScopesAll,
    ScopesAny,
    Roles,
    Claims,
    #[cfg(feature = "cel")]
    Expression,
    /// It could not be found out whether the expression holds.
    #[cfg(feature = "cel")]
    ExpressionFailed(&'static str),
}

impl Unmet {
    /// What the client is told: the kind, and nothing that is asked for or known.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::ScopesAll | Self::ScopesAny => "the scopes do not suffice",
            Self::Roles => "the roles do not suffice",
            Self::Claims => "the claims do not suffice",
            #[cfg(feature = "cel")]
            Self::Expression | Self::ExpressionFailed(_) => "the policy does not allow it",
        }
    }
}

impl fmt::Display for Unmet {
    /// What the log is told: the kind, and no values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ScopesAll => "scopes_all does not hold",
            Self::ScopesAny => "scopes_any does not hold",
            Self::Roles => "the roles do not hold",
            Self::Claims => "the claims do not hold",
            #[cfg(feature = "cel")]
            Self::Expression => "the expression is false",
            #[cfg(feature = "cel")]
            Self::ExpressionFailed(why) => {
                return write!(f, "the expression cannot be evaluated: {why}");
            }
        })
    }
}

impl Requirements {
    /// Nothing but that somebody is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The caller has one of `roles`.
    #[must_use]
    pub fn roles_any<N: Into<String>>(mut self, roles: impl IntoIterator<Item = N>) -> Self {
        self.roles_any = roles.into_iter().map(Into::into).collect();
        self
    }

    /// The caller has all of `roles`.
    #[must_use]
    pub fn roles_all<N: Into<String>>(mut self, roles: impl IntoIterator<Item = N>) -> Self {
        self.roles_all = roles.into_iter().map(Into::into).collect();
        self
    }

    /// The caller has one of `scopes`.
    #[must_use]
    pub fn scopes_any<N: Into<String>>(mut self, scopes: impl IntoIterator<Item = N>) -> Self {
        self.scopes_any = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The caller has all of `scopes`.
    #[must_use]
    pub fn scopes_all<N: Into<String>>(mut self, scopes: impl IntoIterator<Item = N>) -> Self {
        self.scopes_all = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The claim `name` is what `test` says, beside those that were named before.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, test: ClaimTest) -> Self {
        self.claims.push((name.into(), test));
        self
    }

    /// `expression` is true.
    #[cfg(feature = "cel")]
    #[must_use]
    pub fn expression(mut self, expression: Expression) -> Self {
        self.expression = Some(expression);
        self
    }

    /// True when nothing is asked for but that somebody is known.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.roles_any, &self.roles_all, &self.scopes_any, &self.scopes_all];
        #[cfg(feature = "cel")]
        if self.expression.is_some() {
            return false;
        }
        lists.iter().all(|list| list.is_empty()) && self.claims.is_empty()
    }

    /// The first that does not hold of `principal`, who sends `head`.
    pub(super) fn unmet(
        &self,
        principal: &Principal,
        head: &request::Parts,
        context: Option<&RequestContext>,
    ) -> Option<Unmet> {
        // Scopes first: of them alone the client is told what it lacks.
        if !self.scopes_all.iter().all(|scope| principal.has_scope(scope)) {
            return Some(Unmet::ScopesAll);
        }
        if !any(&self.scopes_any, |scope| principal.has_scope(scope)) {
            return Some(Unmet::ScopesAny);
        }
        let every_role = self.roles_all.iter().all(|role| principal.has_role(role));
        if !every_role || !any(&self.roles_any, |role| principal.has_role(role)) {
            return Some(Unmet::Roles);
        }
        let holds = |(name, test): &(String, ClaimTest)| test.holds(find(&principal.claims, name));
        if !self.claims.iter().all(holds) {
            return Some(Unmet::Claims);
        }
        self.unmet_expression(principal, head, context)
    }

    #[cfg(feature = "cel")]
    fn unmet_expression(
        &self,
        principal: &Principal,
        head: &request::Parts,
        context: Option<&RequestContext>,
    ) -> Option<Unmet> {
        match self.expression.as_ref()?.allows(&Subject { principal, head, context }) {
            Ok(true) => None,
            Ok(false) => Some(Unmet::Expression),
            Err(failure) => Some(Unmet::ExpressionFailed(failure.text())),
        }
    }

    #[cfg(not(feature = "cel"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn unmet_expression(
        &self,
        _: &Principal,
        _: &request::Parts,
        _: Option<&RequestContext>,
    ) -> Option<Unmet> {
        None
    }
}

/// Whether one of `wanted` is there; of none that are wanted, yes.
fn any(wanted: &[String], has: impl Fn(&str) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| has(one))
}
