//! The downstream side: what happens on an accepted connection before a request exists.

pub mod proxy_protocol;
