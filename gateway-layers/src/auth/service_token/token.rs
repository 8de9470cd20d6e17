//! [`ServiceToken`]: a token, and whose it is.

use std::fmt;

use crate::auth::SecretDigest;

/// A shorter token is guessed, in bytes.
pub const MIN_TOKEN: usize = 16;

/// No token is longer, in bytes.
pub const MAX_TOKEN: usize = 1024;

/// A token, and the service that shows it. Of the token only the SHA-256 is kept.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct ServiceToken {
    /// The service: the subject of its principal. Several tokens may have one.
    pub service: String,
    /// The SHA-256 of the token.
    pub digest: SecretDigest,
    /// What the service is. Default: nothing.
    pub roles: Vec<String>,
    /// What it may do. Default: nothing.
    pub scopes: Vec<String>,
    /// The class that limits and priorities go by. Default: none.
    pub tier: Option<String>,
    /// The organisation on whose behalf. Default: none.
    pub tenant: Option<String>,
}

/// Why tokens are not taken. It repeats none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceTokenError {
    /// Nobody could be let in.
    #[error("no token, expected one at least")]
    None,
    /// It is guessed, or cannot be sent.
    #[error("the token of `{0}` is none, expected {MIN_TOKEN} to {MAX_TOKEN} visible characters")]
    Text(String),
    /// Nobody has it.
    #[error("a token of nobody, expected the name of a service")]
    Service,
    /// Nobody could say whose it is.
    #[error("`{0}` and `{1}` have the same token")]
    Twice(String, String),
}

/// Whether `token` can be one: visible ASCII characters, not too few.
pub(super) fn is_token(token: &str) -> bool {
    (MIN_TOKEN..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic())
}

impl ServiceToken {
    /// `token`, by which `service` is known.
    ///
    /// # Errors
    ///
    /// When it is shorter than 16 bytes or longer than 1,024, or has other than visible ASCII
    /// characters; or the service has no name.
    pub fn new(service: impl Into<String>, token: &str) -> Result<Self, ServiceTokenError> {
        let service = service.into();
        if !is_token(token) {
            return Err(ServiceTokenError::Text(service));
        }
        Self::hashed(service, SecretDigest::of(token.as_bytes()))
    }

    /// The token with this SHA-256.
    ///
    /// # Errors
    ///
    /// When the service has no name.
    pub fn hashed(
        service: impl Into<String>,
        digest: SecretDigest,
    ) -> Result<Self, ServiceTokenError> {
        let service = service.into();
        if service.is_empty() || service.chars().any(char::is_control) {
            return Err(ServiceTokenError::Service);
        }
        let (roles, scopes) = (Vec::new(), Vec::new());
        Ok(Self { service, digest, roles, scopes, tier: None, tenant: None })
    }

    /// Sets [`roles`](Self::roles).
    pub fn roles<N: Into<String>>(mut self, roles: impl IntoIterator<Item = N>) -> Self {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`scopes`](Self::scopes).
    pub fn scopes<N: Into<String>>(mut self, scopes: impl IntoIterator<Item = N>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`tier`](Self::tier).
    pub fn tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// Sets [`tenant`](Self::tenant).
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceToken").field("service", &self.service).finish_non_exhaustive()
    }
}
