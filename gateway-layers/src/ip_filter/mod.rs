//! [`IpFilter`]: which addresses may ask.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::filter::FilterLayer;
//! use gateway_layers::ip_filter::IpFilter;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let office = IpFilter::new().allow(["10.0.0.0/8".parse()?]).deny(["10.9.0.0/16".parse()?]);
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let internal = Module::from_service(
//!     ServiceBuilder::new().layer(FilterLayer::new(office)).service(module),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! What counts is the client's [address](gateway_core::RequestContext::client_ip): the peer's, or
//! what trusted proxies in front of the gateway say, never a field that anybody can send. A rejected
//! request fails with [`Reason::AddressDenied`](gateway_core::Reason::AddressDenied) (403), or, when the
//! address is unknown, with
//! [`Reason::ClientAddressUnknown`](gateway_core::Reason::ClientAddressUnknown) (500).

mod filter;
mod networks;

pub use self::filter::IpFilter;
pub use self::networks::Networks;
