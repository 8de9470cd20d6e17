//! Web origins (RFC 6454): what a browser says of where a script comes from, and patterns of those
//! that are let in.
//!
//! ```
//! use gateway_layers::origin::Origins;
//! use http::HeaderValue;
//!
//! # fn main() -> Result<(), gateway_layers::origin::OriginError> {
//! let origins = Origins::new(["https://*.example.com".parse()?, "http://localhost:*".parse()?]);
//! assert!(origins.takes(&HeaderValue::from_static("https://a.b.example.com")));
//! assert!(origins.takes(&HeaderValue::from_static("http://localhost:3000")));
//! for other in ["https://example.com", "https://a.example.com:8443", "null"] {
//!     assert!(!origins.takes(&HeaderValue::from_static(other)));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An origin is compared in the one form in which browsers write it (HTML, "ASCII serialization of
//! an origin"): lower case, no port where it is the scheme's own, nothing behind it. What is
//! written otherwise is nobody's origin, and no pattern takes it.

mod parse;
mod pattern;
mod set;
#[cfg(test)]
mod tests;

pub(crate) use self::parse::Origin;
pub use self::pattern::{OriginError, OriginPattern};
pub use self::set::Origins;
