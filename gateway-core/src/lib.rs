//! Mechanism of an embeddable API gateway.

pub mod path;
pub mod route;
