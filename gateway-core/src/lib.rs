//! Mechanism of an embeddable API gateway.

pub mod forwarded;
pub mod server;
