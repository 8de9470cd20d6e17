//! [`JwtAuthenticator`]: who is calling, by a signed token.
//!
//! A token is a JSON Web Token (RFC 7519) in `Authorization: Bearer`, signed by an issuer
//! ([`JwtProvider`]) whose keys stand in a JWK set: at a URL, in a file, or in the settings
//! ([`Keys`]). What a [`JwtVerifier`] takes becomes the request's
//! [`Principal`](gateway_core::context::Principal), and upstreams can be told its claims as header
//! fields. Everything else is rejected:
//!
//! | what | answer |
//! | --- | --- |
//! | no token | 401 [`Unauthenticated`](gateway_core::Reason::Unauthenticated), or it passes as nobody where that is [`optional`](super::Authenticate::optional) |
//! | a token that is not valid | 401 [`TokenInvalid`](gateway_core::Reason::TokenInvalid), with a [`TokenRejection`] |
//! | no keys to tell | 503 [`KeysUnavailable`](gateway_core::Reason::KeysUnavailable) |
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::Authenticate;
//! use gateway_layers::auth::jwt::{JwtAuthenticator, JwtProvider, JwtVerifier, Keys};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Keys::url("https://issuer.example/jwks.json");
//! let provider = JwtProvider::new("https://issuer.example", keys)
//!     .audience("orders")
//!     .forward(http::HeaderName::from_static("x-user-id"), "sub");
//! let tokens = JwtAuthenticator::new(JwtVerifier::new(provider)?);
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let known = Module::from_service(
//!     ServiceBuilder::new().layer(Authenticate::new(tokens)).service(module),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! Two issuers, one of them in this house, with a secret that both know:
//!
//! ```
//! # use gateway_layers::auth::jwt::{Algorithm, JwtProvider, JwtVerifier, Keys};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = [7; 32];
//! let own = JwtProvider::new("house", Keys::secret(secret, Algorithm::HS256))
//!     .algorithms([Algorithm::HS256])
//!     .audience("orders");
//! let partner = Keys::discovery("https://partner.example");
//! let partner = JwtProvider::new("https://partner.example", partner).audience("orders");
//! let verifier = JwtVerifier::builder().provider(own).provider(partner).build()?;
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod authenticator;
mod cache;
mod claims;
mod fetch;
mod jws;
mod key;
mod key_set;
mod keys;
mod prepared;
mod provider;
mod store;
#[cfg(test)]
mod tests;
mod verifier;

pub use super::{CredentialHandling, TokenRejection};
use super::{fault, json};
use crate::http_client::url;

pub use self::algorithm::{Algorithm, AlgorithmUnknown};
pub use self::authenticator::JwtAuthenticator;
pub use self::cache::VerifiedToken;
pub use self::keys::{
    DEFAULT_COOLDOWN, DEFAULT_MAX_BYTES, DEFAULT_MAX_KEYS, DEFAULT_STALE, DEFAULT_TIMEOUT,
    DEFAULT_TTL, Keys,
};
pub use self::provider::{DEFAULT_SKEW, JwtError, JwtProvider};
pub use self::store::{Freshness, KeyStores, KeysStatus};
pub use self::verifier::{
    DEFAULT_CACHED_TOKENS, DEFAULT_TOKEN_LIMIT, JwtVerifier, JwtVerifierBuilder, VerifyError,
};
