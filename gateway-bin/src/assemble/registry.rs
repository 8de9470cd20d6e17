//! The registry of a document.

use gateway_core::{BoxError, Observers};
use gateway_layers::registry::{RedisStore, Registry, RegistryModule};

use crate::config;

/// A registry and the module of its API.
#[derive(Clone, Debug)]
pub(crate) struct RegistryPart {
    pub(crate) registry: Registry,
    tokens: Option<gateway_layers::registry::ServiceTokens>,
}

impl RegistryPart {
    pub(super) fn build(
        config: &config::Registry,
        observers: &Observers,
    ) -> Result<Self, BoxError> {
        let allow = config.allow_list().ok_or("`allow` cannot be understood")?;
        let mut builder = Registry::builder()
            .allow(allow)
            .leases(config.leases)
            .checks(config.checks.clone())
            .limits(config.limits)
            .observers(observers.clone());
        if let Some(redis) = &config.redis {
            builder = builder.with_store(RedisStore::new(&redis.url, redis.prefix.as_str())?);
        }
        Ok(Self { registry: builder.build(), tokens: config.tokens.clone() })
    }

    /// Its API.
    pub(super) fn module(&self) -> RegistryModule {
        match &self.tokens {
            Some(tokens) => RegistryModule::new(&self.registry, tokens.clone()),
            None => RegistryModule::without_authentication(&self.registry),
        }
    }
}
