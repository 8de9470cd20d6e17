//! API keys.

mod authenticator;
mod cache;
mod fault;
mod format;
mod keys;
mod manage;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod time;
mod written;

pub use self::authenticator::ApiKeyAuthenticator;
pub use self::fault::KeyFault;
pub use self::format::{IssuedKey, KeyFormat, MAX_KEY, MIN_KEY};
pub use self::keys::{
    ApiKeys, ApiKeysBuilder, ApiKeysStatus, DEFAULT_CACHED_KEYS, DEFAULT_DEADLINE,
    DEFAULT_NEGATIVE_TTL, DEFAULT_TTL,
};
pub use self::manage::KeyError;
pub use self::record::{KeyGrant, KeyRecord};
pub use self::store::{
    FileKeyStore, KeyChange, KeyChanges, KeyStore, MAX_KEYS, MemoryKeyStore, StoreError,
};
#[cfg(feature = "postgres")]
pub use self::store::{PostgresKeySettings, PostgresKeyStore};
#[cfg(feature = "redis")]
pub use self::store::{RedisKeySettings, RedisKeyStore};
