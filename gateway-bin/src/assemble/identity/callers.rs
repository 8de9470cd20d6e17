//! Keys, passwords and service tokens of a document.

use gateway_core::BoxError;
use gateway_layers::auth::api_key::{
    ApiKeyAuthenticator, ApiKeys, FileKeyStore, KeyStore, MemoryKeyStore, RedisKeyConfig,
    RedisKeyStore,
};
#[cfg(feature = "postgres")]
use gateway_layers::auth::api_key::{PostgresKeyConfig, PostgresKeyStore};
use gateway_layers::auth::basic::{BasicAuthenticator, BasicVerifier};
use gateway_layers::auth::service_token::ServiceTokenAuthenticator;

use crate::config::{self, KeysFrom, UsersFrom};

pub(super) fn api_key(
    name: &str,
    config: &config::ApiKeyProvider,
) -> Result<ApiKeyAuthenticator, BoxError> {
    Ok(ApiKeyAuthenticator::new(keys(name, config, false)?)
        .from(config.from.iter().cloned())
        .credentials(config.credentials)
        .realm(config.realm.as_str()))
}

/// What is wrong with the file at `path`.
fn of(path: &str, error: &dyn std::fmt::Display) -> String {
    format!("{path}: {error}")
}

/// The keys of `[identity.api_key.NAME]`. A file that is not there is made where it is `written`.
pub(crate) fn keys(
    name: &str,
    config: &config::ApiKeyProvider,
    written: bool,
) -> Result<ApiKeys, BoxError> {
    match &config.keys {
        KeysFrom::File(path) if written => Ok(remembered(
            name,
            config,
            FileKeyStore::open_or_create(path).map_err(|error| of(path, &error))?,
        )),
        KeysFrom::File(path) => Ok(remembered(
            name,
            config,
            FileKeyStore::open(path).map_err(|error| of(path, &error))?,
        )),
        KeysFrom::Redis { url, prefix } => {
            let mut settings = RedisKeyConfig::default();
            url.reveal().clone_into(&mut settings.url);
            settings.prefix.clone_from(prefix);
            Ok(remembered(name, config, RedisKeyStore::new(settings)?))
        }
        #[cfg(feature = "postgres")]
        KeysFrom::Postgres { .. } => Ok(remembered(name, config, postgres(config)?)),
        KeysFrom::Inline(records) => {
            Ok(remembered(name, config, MemoryKeyStore::with(records.iter().cloned())?))
        }
    }
}

/// The table of `[identity.api_key.NAME]`.
#[cfg(feature = "postgres")]
pub(crate) fn postgres(config: &config::ApiKeyProvider) -> Result<PostgresKeyStore, BoxError> {
    let KeysFrom::Postgres { url, table } = &config.keys else {
        return Err("these keys are not in Postgres: there is no table to be made".into());
    };
    let mut settings = PostgresKeyConfig::default();
    url.reveal().clone_into(&mut settings.url);
    settings.table.clone_from(table);
    Ok(PostgresKeyStore::new(settings)?)
}

fn remembered(name: &str, config: &config::ApiKeyProvider, store: impl KeyStore) -> ApiKeys {
    let cache = &config.cache;
    ApiKeys::builder(name, store)
        .format(config.format.clone())
        .any_format(config.any_format)
        .cached_keys(cache.entries)
        .ttl(cache.ttl)
        .negative_ttl(cache.negative_ttl)
        .timeout(config.timeout)
        .forward(config.forward.clone())
        .build()
}

pub(super) fn basic(
    name: &str,
    config: &config::BasicProvider,
) -> Result<BasicAuthenticator, BoxError> {
    let mut builder = match &config.users {
        UsersFrom::File(path) => {
            BasicVerifier::from_file(name, path).map_err(|error| of(path, &error))?
        }
        UsersFrom::Inline(users) => BasicVerifier::builder(name, users.clone()),
    };
    if let Some(jobs) = config.jobs {
        builder = builder.jobs(jobs);
    }
    let verifier = builder
        .cached(config.cached)
        .ttl(config.ttl)
        .negative_ttl(config.negative_ttl)
        .queue(config.queue)
        .timeout(config.timeout)
        .forward(config.forward.clone())
        .build()
        .ok_or("no random numbers")?;
    Ok(BasicAuthenticator::new(verifier)
        .credentials(config.credentials)
        .realm(config.realm.as_str()))
}

pub(super) fn service_token(
    name: &str,
    config: &config::ServiceTokenProvider,
) -> Result<ServiceTokenAuthenticator, BoxError> {
    Ok(ServiceTokenAuthenticator::new(name, config.tokens.iter().cloned())?
        .header(config.header.clone())
        .forward(config.forward.clone())
        .credentials(config.credentials)
        .realm(config.realm.as_str()))
}
