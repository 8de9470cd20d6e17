//! [`ServiceTokenAuthenticator`]: which service is calling, by a token that both know.
//!
//! Services of one house show a token in `x-service-token`. Of each only the SHA-256 is kept; what
//! is shown is compared with all of them, in the same time whichever it is. A service may have
//! several tokens at once, so that they can be changed one after the other. The field never
//! reaches the upstream, unless that is asked for.
//!
//! | what | answer |
//! | --- | --- |
//! | no token | 401 [`Unauthenticated`](gateway_core::Reason::Unauthenticated) |
//! | one that nobody has | 401 [`CredentialsInvalid`](gateway_core::Reason::CredentialsInvalid) |
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::Authenticate;
//! use gateway_layers::auth::service_token::{ServiceToken, ServiceTokenAuthenticator};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let billing = ServiceToken::new("billing", "a-token-of-at-least-16-bytes")?.roles(["internal"]);
//! let tokens = ServiceTokenAuthenticator::new("services", [billing])?;
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let known = Module::from_service(
//!     ServiceBuilder::new().layer(Authenticate::new(tokens)).service(module),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! And towards services that want one of us, [`ServiceTokenFilter`]:
//!
//! ```
//! use gateway_layers::auth::service_token::ServiceTokenFilter;
//! use gateway_layers::filter::FilterLayer;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let layer = FilterLayer::new(ServiceTokenFilter::new("a-token-of-at-least-16-bytes")?);
//! # Ok(())
//! # }
//! ```

mod authenticator;
mod filter;
#[cfg(test)]
mod tests;
mod token;

pub use self::authenticator::ServiceTokenAuthenticator;
pub use self::filter::ServiceTokenFilter;
pub use self::token::{MAX_TOKEN, MIN_TOKEN, ServiceToken, ServiceTokenError};

/// Where tokens stand, unless something else is said.
const HEADER: http::HeaderName = http::HeaderName::from_static("x-service-token");
