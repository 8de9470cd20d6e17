//! [`Restricted`]: credentials of one kind, of some callers only.

use std::fmt;
use std::sync::Arc;

use gateway_core::context::Principal;
use gateway_core::{Error, Request};
use http::{HeaderName, HeaderValue};

use super::forbidden::DEFAULT_REALM;
use super::requirements::Requirements;
use crate::auth::{Authentication, Authenticator, CredentialSource, Identity};

/// An [`Authenticator`] that rejects callers of whom [`Requirements`] do not hold.
///
/// For what is asked of credentials of one kind, where a route takes several: whoever comes with
/// others is asked nothing here. What is asked of everybody, an
/// [`AuthorizeFilter`](super::AuthorizeFilter) asks, and it alone evaluates an expression: here
/// there is no request that one could look at, and requirements with one let nobody pass.
///
/// ```
/// use gateway_core::Request;
/// use gateway_core::context::Principal;
/// use gateway_layers::auth::authorize::{Requirements, Restricted};
/// use gateway_layers::auth::{Authenticate, Authentication, Authenticator, Identity};
///
/// struct Everybody;
///
/// impl Authenticator for Everybody {
///     fn authenticate(&self, _: &Request) -> Authentication {
///         Authentication::Known(Identity::new(Principal::new("anybody", "none")))
///     }
/// }
///
/// let admins = Restricted::new(Everybody, Requirements::new().roles_any(["admin"]));
/// let layer = Authenticate::new(admins);
/// ```
#[must_use]
pub struct Restricted<A> {
    inner: A,
    shared: Arc<Shared>,
}

struct Shared {
    requirements: Requirements,
    realm: String,
}

impl<A: Authenticator> Restricted<A> {
    /// Whom `inner` knows, and of whom `requirements` hold.
    pub fn new(inner: A, requirements: Requirements) -> Self {
        let shared = Shared { requirements, realm: DEFAULT_REALM.to_owned() };
        Self { inner, shared: Arc::new(shared) }
    }

    /// What `WWW-Authenticate` calls what is protected. Default: `gateway`.
    pub fn realm(self, realm: impl Into<String>) -> Self {
        let requirements = self.shared.requirements.clone();
        Self { shared: Arc::new(Shared { requirements, realm: realm.into() }), ..self }
    }
}

impl Shared {
    fn judge(self: &Arc<Self>, authentication: Authentication) -> Authentication {
        match authentication {
            Authentication::Known(identity) => self.admit(identity).into(),
            Authentication::Pending(pending) => {
                let shared = Arc::clone(self);
                Authentication::Pending(Box::pin(async move { shared.judge(pending.await) }))
            }
            other => other,
        }
    }

    fn admit(&self, identity: Identity) -> Result<Identity, Error> {
        let principal: &Principal = &identity.principal;
        match self.requirements.unmet_without_request(principal) {
            None => Ok(identity),
            Some(unmet) => {
                tracing::debug!(method = principal.method, why = %unmet, "not allowed");
                Err(self.requirements.forbidden(unmet, principal, &self.realm))
            }
        }
    }
}

impl<A: Authenticator> Authenticator for Restricted<A> {
    fn authenticate(&self, request: &Request) -> Authentication {
        self.shared.judge(self.inner.authenticate(request))
    }

    fn admitted(&self, request: &mut Request, identity: &Identity) {
        self.inner.admitted(request, identity);
    }

    fn challenge(&self) -> Option<HeaderValue> {
        self.inner.challenge()
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        self.inner.credential_sources()
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        self.inner.reserved_headers()
    }
}

impl<A> fmt::Debug for Restricted<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restricted")
            .field("requirements", &self.shared.requirements)
            .finish_non_exhaustive()
    }
}
