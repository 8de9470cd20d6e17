//! [`AuthorizeFilter`]: who may, of those who are known.
//!
//! Layers of authentication say who is calling
//! ([`RequestContext::principal`](gateway_core::RequestContext::principal)); this filter stands
//! behind them and says whether that one may. All [`Requirements`] must hold:
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::authorize::{AuthorizeFilter, ClaimTest, Requirements};
//! use gateway_layers::filter::FilterLayer;
//! use tower::ServiceBuilder;
//!
//! let requirements = Requirements::new()
//!     .roles_any(["admin", "clerk"])
//!     .scopes_all(["orders:read"])
//!     .claim("email_verified", ClaimTest::one_of([true]));
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let orders = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(FilterLayer::new(AuthorizeFilter::new(requirements)))
//!         .service(module),
//! );
//! ```
//!
//! | who | answer |
//! | --- | --- |
//! | nobody is known | 401 [`Unauthenticated`](gateway_core::Reason::Unauthenticated) |
//! | known, and something does not hold | 403 [`Forbidden`](gateway_core::Reason::Forbidden) |
//! | known by a token without the scopes | 403, with `insufficient_scope` (RFC 6750, section 3.1) |
//! | known, and all of it holds | goes on |
//!
//! Nobody passes as nobody, whatever the requirements say: a filter without any lets pass who is
//! known.
#![cfg_attr(
    feature = "cel",
    doc = "
What names and lists cannot say, an [`Expression`] in the Common Expression Language says:

```
use gateway_layers::auth::authorize::{Expression, Requirements};

# fn main() -> Result<(), Box<dyn std::error::Error>> {
let own_or_admin = Expression::new(
    \"request.params.user == principal.subject || 'admin' in principal.roles\",
)?;
let requirements = Requirements::new().expression(own_or_admin);
# Ok(())
# }
```
"
)]

mod claim_test;
#[cfg(feature = "cel")]
mod expression;
mod filter;
#[cfg(test)]
mod property;
mod requirements;
#[cfg(test)]
mod tests;

pub use self::claim_test::ClaimTest;
#[cfg(feature = "cel")]
pub use self::expression::{
    Expression, ExpressionError, MOST_BYTES, MOST_DEPTH, MOST_STEPS, MOST_VARIABLES,
};
pub use self::filter::AuthorizeFilter;
pub use self::requirements::Requirements;
