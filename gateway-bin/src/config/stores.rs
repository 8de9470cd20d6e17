//! `[stores]`: where state is kept that several routes, or several gateways, share.

use std::time::Duration;

use gateway_layers::rate_limit::{DEFAULT_KEYS, OnUnavailable, RedisConfig};

use super::reader::Field;
use super::units::some_duration;
use gateway_layers::secret::Secret;

/// Where state is kept that several routes, or several gateways, share.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stores {
    /// `memory.keys`: how many keys of limits are known at the same time. Default: 100,000.
    pub memory_keys: usize,
    /// `redis`. Default: none.
    pub redis: Option<Redis>,
}

/// `[stores.redis]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Redis {
    /// `url`, such as `redis://127.0.0.1:6379`; a secret, since it may hold a password. Required.
    pub url: Secret,
    /// `prefix` of every key. Default: `gateway`.
    pub prefix: String,
    /// `timeout` of one exchange. Default: 50 ms.
    pub timeout: Duration,
    /// `on_unavailable`: `share`, `open` or `closed`. Default: `share`.
    pub on_unavailable: OnUnavailable,
    /// `replicas`: gateways that count together. Default: 1.
    pub replicas: u32,
}

impl Default for Stores {
    fn default() -> Self {
        Self { memory_keys: DEFAULT_KEYS, redis: None }
    }
}

impl Stores {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("[stores.redis]")?;
        let mut stores = Self::default();
        table.set("memory", &mut stores.memory_keys, |field| {
            let mut table = field.table("{ keys = 100000 }")?;
            let mut keys = DEFAULT_KEYS;
            table.set("keys", &mut keys, |field| field.number(1, 1_000_000_000));
            table.finish();
            Some(keys)
        });
        table.set("redis", &mut stores.redis, |field| Redis::read(field).map(Some));
        table.finish();
        Some(stores)
    }
}

impl Redis {
    /// The server at `url` with every default.
    pub fn new(url: Secret) -> Self {
        let RedisConfig { prefix, timeout, on_unavailable, replicas, .. } = RedisConfig::default();
        Self { url, prefix, timeout, on_unavailable, replicas }
    }

    fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ url = \"redis://127.0.0.1:6379\" }")?;
        let url = table.require("url", "a URL such as \"redis://127.0.0.1:6379\"");
        let url = url.and_then(|field| field.secret());
        let mut redis = Self::new(Secret::new(""));
        table.set("prefix", &mut redis.prefix, |field| field.name("the beginning of keys"));
        table.set("timeout", &mut redis.timeout, |field| some_duration(&field));
        table.set("on_unavailable", &mut redis.on_unavailable, |field| {
            let (share, open, closed) =
                (OnUnavailable::Share, OnUnavailable::Open, OnUnavailable::Closed);
            field.choice(&[("share", share), ("open", open), ("closed", closed)])
        });
        table.set("replicas", &mut redis.replicas, |field| field.number(1, 10_000));
        table.finish();
        redis.url = url?;
        Some(redis)
    }
}
