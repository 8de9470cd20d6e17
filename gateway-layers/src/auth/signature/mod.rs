//! [`SignatureVerifier`] and [`SignLayer`]: signed requests (RFC 9421), in and out.
//!
//! A signature is made over parts of a request that its sender lists (`Signature-Input`), with a
//! key that both sides know or whose public half the gateway has. The body is part of it by its
//! digest (`Content-Digest`, RFC 9530). What a [`SignatureVerifier`] takes becomes the request's
//! [`Principal`](gateway_core::context::Principal); everything else is rejected:
//!
//! | what | answer |
//! | --- | --- |
//! | a signature that is not good, too old, or was used before | 401 [`SignatureInvalid`](gateway_core::Reason::SignatureInvalid), with a [`SignatureRejection`] |
//! | a body that is not the one of its digest | 401 as well, or it breaks off before its end |
//! | nobody can tell whether it was used before | 503 [`IdentityUnavailable`](gateway_core::Reason::IdentityUnavailable) |
//!
//! **What was signed is what is read.** A gateway brings paths into one form at its door, and a
//! route may rewrite path and host. `@path`, `@query`, `@request-target`, `@target-uri` and
//! `@authority` mean the request as it was behind the door and before any rewrite, and `@scheme`
//! what the listener speaks. A client whose path had to be changed (`/a/../b`, `//`, `%7e`), that
//! asked in absolute-form, or that signed a field of one hop only does not verify.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::Authenticate;
//! use gateway_layers::auth::signature::{SignatureKey, SignatureVerifier, TrustedKey};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = [7; 32];
//! let key = TrustedKey::new("orders-2026", SignatureKey::secret(&secret)?)
//!     .owner("orders")
//!     .roles(["partner"]);
//! let verifier = SignatureVerifier::new([key])?;
//! # let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let known = Module::from_service(
//!     ServiceBuilder::new().layer(Authenticate::new(verifier)).service(module),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! Towards an upstream a [`SignLayer`] signs each try anew, with a nonce:
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::signature::{SignLayer, SignConfig, SignatureKey};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = [7; 32];
//! let settings = SignConfig::new("gateway-2026", SignatureKey::secret(&secret)?);
//! # let upstream = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let signed = Module::from_service(
//!     ServiceBuilder::new().layer(SignLayer::new(settings)?).service(upstream),
//! );
//! # Ok(())
//! # }
//! ```

mod algorithm;
mod body;
mod builder;
mod component;
mod digest;
mod fault;
mod input;
mod key;
mod message;
mod nonce;
mod sign;
mod structured;
#[cfg(test)]
mod tests;
mod verifier;

pub use self::algorithm::{SignatureAlgorithm, SignatureAlgorithmUnknown};
pub use self::builder::{DEFAULT_MAX_AGE, DEFAULT_SKEW, SignatureError, SignatureVerifierBuilder};
pub use self::component::{Component, ComponentUnknown};
pub use self::digest::DigestAlgorithm;
pub use self::fault::SignatureRejection;
pub use self::key::{SignatureKey, SignatureKeyError, TrustedKey};
pub use self::nonce::{DEFAULT_NONCES, MemoryNonces, Nonce, NonceStore, Remembered, Remembering};
#[cfg(feature = "redis")]
pub use self::nonce::{RedisNonces, RedisNoncesConfig, RedisNoncesError};
pub use self::sign::{
    DEFAULT_BODY_LIMIT, DEFAULT_BODY_TIMEOUT, DEFAULT_EXPIRES, LargeBodies, ResponseFuture, Sign,
    SignConfig, SignError, SignLayer,
};
pub use self::verifier::{NonceRule, SignatureVerifier};
