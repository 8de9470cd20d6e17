//! Where a request came from: believed from trusted peers only, and said to upstreams.
//!
//! Three steps at the door, in this order, before route match and every layer:
//!
//! 1. [`TrustedProxies::resolve_client`] reads `X-Forwarded-For` or `Forwarded` and says whom
//!    the request counts for.
//! 2. [`strip_reserved`] deletes what only the gateway may say. From here on, nothing in the head
//!    or in the trailers claims to be the gateway's but is a client's.
//! 3. [`ForwardedPolicy::apply`] writes the fields for the upstream.

mod client;
mod headers;
mod names;
mod node;
mod original;
mod reserved;

pub use client::{ClientAddress, FORWARDED_ELEMENTS_LIMIT, TrustedProxies, resolve_client};
pub use headers::{ForwardedPolicy, Hop, Mode, Peer, original_host};
pub use names::{ORIGIN, OriginHeader, Via};
pub(crate) use original::{said_host, said_proto};
pub use reserved::{is_reserved, strip_reserved};
pub(crate) use reserved::{remove_where, same_field};
