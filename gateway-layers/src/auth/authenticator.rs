//! [`Authenticator`]: finds out who is calling, by credentials of one kind.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateway_core::context::Principal;
use gateway_core::{Error, Request};
use http::{HeaderName, HeaderValue};

use super::credentials::CredentialSource;

/// Finds out who is calling, by credentials of one kind.
///
/// It runs on the request path and must not block: what has to ask somebody is
/// [`Pending`](Authentication::Pending), with a deadline of its own.
pub trait Authenticator: Send + Sync + 'static {
    /// Looks for credentials of its kind in `request`, and says whose they are.
    fn authenticate(&self, request: &Request) -> Authentication;

    /// Edits a request that goes on as this identity's: drops its credentials, wraps its body.
    /// Default: nothing.
    fn admitted(&self, request: &mut Request, identity: &Identity) {
        let _ = (request, identity);
    }

    /// What `WWW-Authenticate` says where there are no credentials (RFC 9110, section 11.6.1).
    /// Default: nothing.
    fn challenge(&self) -> Option<HeaderValue> {
        None
    }

    /// Where credentials of this kind stand. Where another kind has verified the caller, what
    /// stands there is removed, so that no upstream takes it for verified. Default: nowhere.
    fn credential_sources(&self) -> &[CredentialSource] {
        &[]
    }

    /// The fields that identities of this kind are told to upstreams as: nobody else may say them.
    /// Default: none.
    fn reserved_headers(&self) -> &[HeaderName] {
        &[]
    }
}

impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    fn authenticate(&self, request: &Request) -> Authentication {
        (**self).authenticate(request)
    }

    fn admitted(&self, request: &mut Request, identity: &Identity) {
        (**self).admitted(request, identity);
    }

    fn challenge(&self) -> Option<HeaderValue> {
        (**self).challenge()
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        (**self).credential_sources()
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        (**self).reserved_headers()
    }
}

/// What is known of a request by its credentials of one kind.
#[non_exhaustive]
pub enum Authentication {
    /// It has none of this kind.
    Missing,
    /// Whose they are.
    Known(Identity),
    /// They are not good (401), not good here (403), or nobody can tell now (503).
    Rejected(Error),
    /// Credentials stand in its place, and nothing says that they are of this kind. Another kind
    /// that reads the same place may take them; the error is for where none does.
    Unrecognized(Error),
    /// Somebody is asked.
    Pending(Pending),
}

/// A query about whose credentials these are.
pub type Pending = Pin<Box<dyn Future<Output = Authentication> + Send>>;

impl From<Result<Identity, Error>> for Authentication {
    fn from(found: Result<Identity, Error>) -> Self {
        found.map_or_else(Self::Rejected, Self::Known)
    }
}

/// Who is calling, and what the upstream is told of it. Made once for a credential, and shared by
/// all requests that carry it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Identity {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// Header fields for the upstream; see [`Forward`](super::Forward).
    pub fields: Arc<[(HeaderName, HeaderValue)]>,
}

impl Identity {
    /// `principal`, of whom the upstream is told nothing.
    pub fn new(principal: Principal) -> Self {
        Self { principal: Arc::new(principal), fields: Arc::default() }
    }

    /// Tells the upstream these fields.
    #[must_use]
    pub fn with_fields(mut self, fields: impl Into<Arc<[(HeaderName, HeaderValue)]>>) -> Self {
        self.fields = fields.into();
        self
    }
}

impl fmt::Debug for Identity {
    /// Without what the upstream is told, which may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("principal", &self.principal).finish_non_exhaustive()
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("Missing"),
            Self::Known(identity) => f.debug_tuple("Known").field(identity).finish(),
            Self::Rejected(error) => f.debug_tuple("Rejected").field(error).finish(),
            Self::Unrecognized(error) => f.debug_tuple("Unrecognized").field(error).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}
