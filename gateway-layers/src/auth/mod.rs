//! Who is calling: what finds it out, each way behind a feature of its own.

#[cfg(any(feature = "introspection", feature = "jwt"))]
mod claims;
#[cfg(any(feature = "introspection", feature = "jwt"))]
mod fault;
#[cfg(any(feature = "introspection", feature = "jwt"))]
mod json;
#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(any(feature = "introspection", feature = "jwt"))]
mod statements;
