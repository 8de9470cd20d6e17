//! Where requests are counted, and the limits of routes.

use gateway_core::{BoxError, Observers};
use gateway_layers::rate_limit::{MemoryStore, RateLimiter, RedisConfig, RedisStore};

use crate::config::{LimitStore, RateLimit, Redis, Stores};

/// Where requests are counted. What was counted outlives reloads that do not change it.
#[derive(Clone, Debug)]
pub(crate) struct LimitStores {
    config: Stores,
    memory: MemoryStore,
    redis: Option<RedisStore>,
}

impl Default for LimitStores {
    fn default() -> Self {
        let config = Stores::default();
        Self { memory: MemoryStore::with_keys(config.memory_keys), config, redis: None }
    }
}

impl LimitStores {
    pub(super) fn build(
        config: &Stores,
        observers: &Observers,
        before: &Self,
    ) -> Result<Self, BoxError> {
        let memory = if config.memory_keys == before.config.memory_keys {
            before.memory.clone()
        } else {
            MemoryStore::with_keys(config.memory_keys)
        };
        let redis = match &config.redis {
            same if *same == before.config.redis => before.redis.clone(),
            None => None,
            Some(redis) => Some(connected(redis, config.memory_keys, observers)?),
        };
        Ok(Self { config: config.clone(), memory, redis })
    }

    /// True where limits that were built with `before` count elsewhere than now.
    pub(super) fn differ(&self, before: &Self) -> bool {
        self.config != before.config
    }

    /// The limits of the route `id`.
    pub(super) fn limiter(&self, id: &str, limit: &RateLimit) -> Result<RateLimiter, BoxError> {
        let mut settings = limit.settings.clone();
        settings.name = store_name(id);
        let builder = RateLimiter::builder(settings);
        let builder = match (limit.store, &self.redis) {
            (LimitStore::Redis, Some(redis)) => builder.with_store(redis.clone()),
            (LimitStore::Redis, None) => return Err("there is no [stores.redis]".into()),
            (LimitStore::Memory, _) => builder.with_store(self.memory.clone()),
        };
        Ok(builder.build()?)
    }
}

fn connected(redis: &Redis, keys: usize, observers: &Observers) -> Result<RedisStore, BoxError> {
    let mut settings = RedisConfig::default();
    redis.url.reveal().clone_into(&mut settings.url);
    settings.prefix.clone_from(&redis.prefix);
    settings.timeout = redis.timeout;
    settings.on_unavailable = redis.on_unavailable;
    settings.replicas = redis.replicas;
    settings.keys = keys;
    Ok(RedisStore::observed(settings, observers.clone())?)
}

/// The most letters of a name that stores take.
const MOST_NAME: usize = 64;

/// The id of a route as a name that stores take. Ids that are none already differ by what their
/// letters are replaced with, so that no two become one.
fn store_name(id: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if !id.is_empty() && id.len() <= MOST_NAME && id.chars().all(plain) {
        return id.to_owned();
    }
    let start: String = id.chars().filter(|letter| plain(*letter)).take(MOST_NAME - 17).collect();
    // FNV-1a, 64 bits: the same in every gateway that counts together.
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{start}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_name_of_its_own_that_stores_take() {
        assert_eq!(store_name("orders.v2_a-b"), "orders.v2_a-b");
        let long = "a".repeat(100);
        for id in ["a/b", "a:b", "routes[0]", "", "ä", &long] {
            let name = store_name(id);
            assert!(name.len() <= MOST_NAME && name != id, "{name}");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            );
        }
        assert_ne!(store_name("a/b"), store_name("a:b"));
    }
}
