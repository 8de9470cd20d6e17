//! Mechanism of an embeddable API gateway.
