//! [`Principal`]: who is calling.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Who is calling, once somebody has found out. Made once for a credential, and shared by all
/// requests that carry it.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Principal {
    /// Who: the subject of a token, the id of a key, the name in a certificate.
    pub subject: Arc<str>,
    /// How that was found out: `jwt`, `api_key`, `basic`, `mtls`, `signature`, `service_token`.
    pub method: &'static str,
    /// Who says so: the issuer of a token, the name of a key store.
    pub issuer: Option<Arc<str>>,
    /// The class that limits and priorities go by.
    pub tier: Option<Arc<str>>,
    /// The organisation on whose behalf.
    pub tenant: Option<Arc<str>>,
    /// What it is.
    pub roles: Vec<Arc<str>>,
    /// What it was allowed to do.
    pub scopes: Vec<Arc<str>>,
    /// What else is known.
    pub claims: BTreeMap<String, Claim>,
}

/// A value that is known of a principal.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Claim {
    /// Nothing.
    Null,
    /// Yes or no.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(Arc<str>),
    /// Several values.
    List(Vec<Self>),
    /// Values by name.
    Map(BTreeMap<String, Self>),
}

impl Principal {
    /// Somebody called `subject`, as `method` found out.
    pub fn new(subject: impl Into<Arc<str>>, method: &'static str) -> Self {
        Self {
            subject: subject.into(),
            method,
            issuer: None,
            tier: None,
            tenant: None,
            roles: Vec::new(),
            scopes: Vec::new(),
            claims: BTreeMap::new(),
        }
    }

    /// True when it has the role `role`.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| **own == *role)
    }

    /// True when it has the scope `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| **own == *scope)
    }
}

impl From<bool> for Claim {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Claim {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<i32> for Claim {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Claim {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Claim {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for Claim {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl fmt::Debug for Principal {
    /// Without its claims, which may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("subject", &self.subject)
            .field("method", &self.method)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}
