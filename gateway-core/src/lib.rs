//! Mechanism of an embeddable API gateway.

pub mod forwarded;
pub mod hop_headers;
pub mod hygiene;
pub mod server;
pub mod trailers;
