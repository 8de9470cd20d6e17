//! Who is calling: what finds it out, each way behind a feature of its own.

#[cfg(feature = "api_key")]
pub mod api_key;
#[cfg(feature = "basic")]
pub mod basic;
#[cfg(any(feature = "api_key", feature = "basic"))]
mod file;
#[cfg(any(feature = "api_key", feature = "basic"))]
mod flights;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "service_token")]
pub mod service_token;
