//! What tests of several capabilities need.

mod logged;
#[cfg(feature = "redis")]
mod redis;

pub(crate) use self::logged::Logged;
#[cfg(feature = "redis")]
pub(crate) use self::redis::RedisServer;
