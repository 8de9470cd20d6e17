//! Who is calling, what he may, and what upstreams are told of it.
//!
//! An [`Authenticator`] finds out who is calling by credentials of one kind; each stands behind a
//! feature of its own. [`Authenticate`] is the layer that wants one of several kinds, or all of
//! them, and makes whoever is known the request's
//! [`principal`](gateway_core::RequestContext::principal). What the one who is known may, an
//! [`AuthorizeFilter`](authorize::AuthorizeFilter) behind it says.
//!
//! ```
//! use std::sync::Arc;
//!
//! use gateway_core::context::Principal;
//! use gateway_core::{FixedResponse, Module, Reason, Request};
//! use gateway_layers::auth::{Authenticate, Authentication, Authenticator, Identity};
//! use tower::ServiceBuilder;
//!
//! /// Knows whoever says the magic word.
//! struct Magic;
//!
//! impl Authenticator for Magic {
//!     fn authenticate(&self, request: &Request) -> Authentication {
//!         match request.headers().get("x-magic") {
//!             None => Authentication::Missing,
//!             Some(word) if word == "please" => {
//!                 Authentication::Known(Identity::new(Principal::new("a friend", "magic")))
//!             }
//!             Some(_) => Authentication::Rejected(Reason::CredentialsInvalid.into()),
//!         }
//!     }
//! }
//!
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let known = Module::from_service(
//!     ServiceBuilder::new().layer(Authenticate::new(Magic)).service(module),
//! );
//! ```

#[cfg(feature = "api_key")]
pub mod api_key;
mod authenticate;
mod authenticator;
pub mod authorize;
#[cfg(feature = "basic")]
pub mod basic;
mod challenge;
mod claims;
mod credentials;
#[cfg(feature = "introspection")]
pub mod delegated;
#[cfg(any(feature = "api_key", feature = "service_token"))]
mod digest;
#[cfg(feature = "external_auth")]
pub mod external;
#[cfg(test)]
#[cfg_attr(not(feature = "signature"), allow(dead_code, reason = "each kind uses a part"))]
mod fake_clock;
#[cfg(any(feature = "introspection", feature = "jwt"))]
mod fault;
#[cfg(any(feature = "api_key", feature = "basic"))]
mod flights;
mod forward;
#[cfg(feature = "introspection")]
pub mod introspection;
#[cfg(any(feature = "introspection", feature = "jwt"))]
mod json;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "mtls")]
pub mod mtls;
#[cfg(feature = "introspection")]
pub mod remote;
#[cfg(feature = "service_token")]
pub mod service_token;
#[cfg(feature = "signature")]
pub mod signature;
#[cfg(any(feature = "introspection", feature = "jwt"))]
mod statements;
#[cfg(test)]
mod tests;

pub use self::authenticate::Authenticate;
pub use self::authenticator::{Authentication, Authenticator, Identity, Pending};
pub use self::challenge::Challenge;
pub use self::credentials::{
    CredentialHandling, CredentialRejection, CredentialSource, find_credential,
};
#[cfg(any(feature = "api_key", feature = "service_token"))]
pub use self::digest::SecretDigest;
#[cfg(any(feature = "introspection", feature = "jwt"))]
pub use self::fault::TokenRejection;
pub use self::forward::{Forward, Unsafe};
