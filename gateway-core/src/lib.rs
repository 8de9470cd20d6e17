//! Mechanism of an embeddable API gateway.

pub mod server;
