//! [`BasicAuthenticator`]: who is calling, by name and password.
//!
//! Names and passwords stand in `Authorization: Basic` (RFC 7617), in UTF-8, and go over the wire
//! as they are: take them where TLS is. What is kept of a password ([`PasswordHash`]) takes long to
//! compute on purpose, so that somebody who has it does not find the password. It is computed off
//! the threads that serve requests, few at a time, and what came of it is remembered; see
//! [`BasicVerifier`].
//!
//! | what | answer |
//! | --- | --- |
//! | no credentials | 401 [`Unauthenticated`](gateway_core::Reason::Unauthenticated) |
//! | a wrong name or password | 401 [`CredentialsInvalid`](gateway_core::Reason::CredentialsInvalid) |
//! | too many are being verified | 503 [`IdentityUnavailable`](gateway_core::Reason::IdentityUnavailable) |
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::Authenticate;
//! use gateway_layers::auth::basic::{BasicAuthenticator, BasicUsers, BasicVerifier};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // As `htpasswd -nB alice` prints it, with roles behind it.
//! let users = BasicUsers::from_htpasswd(
//!     "alice:$2b$10$.TtQJ4Jr6isd4Hp.mVfZeuh6Gws4rOQ/vdBczhDx.19NFK0Y84Dle:admin",
//! )?;
//! let verifier = BasicVerifier::builder("staff", users).build().ok_or("no randomness")?;
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let known = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(Authenticate::new(BasicAuthenticator::new(verifier)))
//!         .service(module),
//! );
//! # Ok(())
//! # }
//! ```

mod authenticator;
mod fault;
mod hash;
mod places;
mod source;
#[cfg(test)]
mod tests;
mod users;
mod verifier;

pub use self::authenticator::BasicAuthenticator;
pub use self::fault::BasicAuthRejection;
pub use self::hash::{HashError, PasswordHash};
pub use self::users::{BasicUser, BasicUsers, MAX_USERS, UserError, UsersError};
pub use self::verifier::{
    BasicStatus, BasicVerifier, BasicVerifierBuilder, DEFAULT_CACHED, DEFAULT_NEGATIVE_TTL,
    DEFAULT_QUEUE, DEFAULT_TIMEOUT, DEFAULT_TTL,
};
