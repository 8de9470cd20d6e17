//! Who is calling: what finds it out, each way behind a feature of its own.

#[cfg(feature = "api_key")]
pub mod api_key;
#[cfg(any(feature = "api_key", feature = "basic"))]
mod flights;
#[cfg(feature = "jwt")]
pub mod jwt;
