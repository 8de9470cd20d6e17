//! [`MirrorLayer`]: copies of requests go to a second module, and its answers are compared.
//!
//! The answer is the first module's. The copy is sent beside it, fire and forget: it delays
//! nothing, fails nothing, and its answer is read, compared if that is wanted, and thrown away.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::mirror::{CompareConfig, MirrorLayer, MirrorConfig};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), gateway_layers::mirror::InvalidPath> {
//! let orders = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let orders_next = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//!
//! let mut compare = CompareConfig::default();
//! compare.ignore = vec!["/id".parse()?, "items.*.updated".parse()?];
//! compare.unordered = vec!["/items".parse()?];
//! let mut settings = MirrorConfig::default();
//! settings.percent = 10.0;
//! settings.compare = Some(compare);
//!
//! let layer = MirrorLayer::new(orders_next).settings(settings);
//! let mirror = layer.handle();
//! let stack = ServiceBuilder::new().layer(layer).service(orders);
//! assert_eq!(mirror.report().mirrored, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What is mirrored
//!
//! A copy does once more what its request does: an order that is mirrored is placed twice. So only
//! requests of safe methods are ([`Methods::Safe`]), unless the route's owner says that the mirror
//! may be written to:
//!
//! ```
//! # use gateway_layers::mirror::{Methods, MirrorConfig};
//! let mut settings = MirrorConfig::default();
//! settings.methods = Methods::All;
//! ```
//!
//! Of those, `percent` are, evenly spread: of every hundred requests at 10 %, every tenth. Upgrades
//! and requests that are copies themselves never are. A copy carries `x-gateway-mirror: 1` and has
//! a [`RequestContext`](gateway_core::RequestContext) of its own, so that it writes nothing into
//! the record of its request and has its own deadline; a module of this process finds no route and
//! no path parameters in it.
//!
//! # What it costs
//!
//! A body is kept while the first module reads it, and sent to the mirror when that has read it to
//! the end; a larger one than `body_limit` is not mirrored. At most `in_flight` copies are under
//! way at the same time, those included whose request is still being read: together they bound the
//! memory, `in_flight * (body_limit + 2 * compare_limit)`.

mod compare;
mod config;
mod json_path;
mod judge;
mod layer;
mod report;
mod send;
mod service;
mod tee;
#[cfg(test)]
mod tests;

pub use self::config::{CompareConfig, Methods, MirrorConfig};
pub use self::json_path::{InvalidPath, JsonPath};
pub use self::layer::MirrorLayer;
pub use self::report::{Difference, Mirror, MirrorReport};
pub use self::service::{Mirrored, ResponseFuture};
