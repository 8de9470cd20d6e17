//! Who is calling, and who may: what finds it out, each way behind a feature of its own.

pub mod authorize;
#[cfg(feature = "jwt")]
pub mod jwt;

mod claims;
