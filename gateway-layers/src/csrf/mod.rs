//! [`CsrfFilter`]: what another site makes a browser send, with this site's cookies, is rejected.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::csrf::{CsrfConfig, CsrfFilter};
//! use gateway_layers::filter::FilterLayer;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let csrf = CsrfFilter::new(
//!     CsrfConfig::default().cookies(["session"]).trusted_origins(["https://app.example.com".parse()?]),
//! )?;
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let orders = Module::from_service(
//!     ServiceBuilder::new().layer(FilterLayer::new(csrf)).service(module),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! There is no token and no session: a browser says itself where a request comes from. The first of
//! these that is there decides:
//!
//! 1. Safe methods (RFC 9110, section 9.2.1) pass, unless they ask to switch protocols: a WebSocket
//!    carries cookies too, and a script of any site may open one.
//! 2. With [`CsrfConfig::cookies`], requests without any of these cookies pass.
//! 3. An `Origin` among [`CsrfConfig::trusted_origins`] passes.
//! 4. `Sec-Fetch-Site` (Fetch Metadata) passes as `same-origin` and `none`, and as `same-site` where
//!    [`CsrfConfig::same_site`] is set.
//! 5. `Origin` passes when it is the one that the request is sent to: scheme, host, port.
//! 6. `Referer` passes the same way.
//!
//! Everything else fails with [`Reason::CrossSite`](gateway_core::Reason::CrossSite) (403): what says
//! nothing as well, which is no browser of the last years. Let programs keep their tokens in
//! `Authorization` and name the cookies, then they pass by the second.
//!
//! Host and scheme are those that the [client asked for](gateway_core::RequestContext::requested_host),
//! before any rewrite.

mod config;
mod filter;
#[cfg(test)]
mod tests;

pub use self::config::{CsrfConfig, CsrfConfigError};
pub use self::filter::CsrfFilter;
