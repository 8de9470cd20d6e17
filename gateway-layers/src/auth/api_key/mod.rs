//! [`ApiKeyAuthenticator`]: who is calling, by a key.
//!
//! A key is a long random text that whoever has it shows with each request, in `x-api-key` unless
//! something else is said. [`ApiKeys`] issues them, changes them and takes them back, and finds out
//! whose a key is; where they are kept is a [`KeyStore`]: memory, a file
//! ([`FileKeyStore`]), Redis (`RedisKeyStore`, feature `redis`) or Postgres (`PostgresKeyStore`,
//! feature `postgres`). What is kept is the SHA-256 of a key, never the key.
//!
//! Keys that were looked up are remembered for a while, those that are not there in a room of their
//! own, and forgotten when the store says that they have changed: a key that is revoked is rejected
//! by all gateways within a second. Without the store, keys that are remembered are taken until
//! their time is over, and nobody else is let in.
//!
//! | what | answer |
//! | --- | --- |
//! | no key | 401 [`Unauthenticated`](gateway_core::Reason::Unauthenticated) |
//! | one that is unknown, over or revoked; two | 401 [`CredentialsInvalid`](gateway_core::Reason::CredentialsInvalid) |
//! | from an address where it is not taken | 403 [`AddressDenied`](gateway_core::Reason::AddressDenied) |
//! | on a route where it is not taken | 403 [`Forbidden`](gateway_core::Reason::Forbidden) |
//! | the store does not answer | 503 [`IdentityUnavailable`](gateway_core::Reason::IdentityUnavailable) |
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::Authenticate;
//! use gateway_layers::auth::api_key::{ApiKeyAuthenticator, ApiKeys, MemoryKeyStore};
//! use tower::ServiceBuilder;
//!
//! let keys = ApiKeys::new("partners", MemoryKeyStore::new());
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let known = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(Authenticate::new(ApiKeyAuthenticator::new(keys.clone())))
//!         .service(module),
//! );
//! ```

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
pub use self::fault::ApiKeyRejection;
pub use self::format::{IssuedKey, KeyFormat, MAX_KEY, MIN_KEY};
pub use self::keys::{
    ApiKeys, ApiKeysBuilder, ApiKeysStatus, DEFAULT_CACHED_KEYS, DEFAULT_NEGATIVE_TTL,
    DEFAULT_TIMEOUT, DEFAULT_TTL,
};
pub use self::manage::KeyManagementError;
pub use self::record::{KeyGrant, KeyRecord};
pub use self::store::{
    FileKeyStore, KeyChange, KeyChanges, KeyListener, KeyStore, MAX_KEYS, MemoryKeyStore,
    StoreError,
};
#[cfg(feature = "postgres")]
pub use self::store::{PostgresKeyConfig, PostgresKeyStore};
#[cfg(feature = "redis")]
pub use self::store::{RedisKeyConfig, RedisKeyStore};
pub use self::time::{read_time, write_time};
