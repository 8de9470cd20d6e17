//! Who is calling: what finds it out, each way behind a feature of its own.

#[cfg(feature = "jwt")]
pub mod jwt;
#[cfg(feature = "signature")]
pub mod signature;
