//! `rate_limit`: how many requests may pass in a time.

use gateway_layers::rate_limit::{Algorithm, KeyPart, Limit, MOST_LIMITS, RateLimitConfig, Tier};

use crate::config::reader::{Field, Table};
use crate::config::units::some_duration;

const KEY: &str = "\"ip\", \"principal\", \"api_key\", \"route\" or \"header:NAME\"";

/// More than this is no number of requests: what a day can hold at ten million a second.
const MOST: i64 = 1_000_000_000_000;

/// How many requests may pass in a time, and where that is counted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RateLimit {
    /// The limits, one decision together. Each: `limit` (100), `per` (1 min), `burst` (`limit`),
    /// `key` (`["ip"]`), `algorithm` (`token_bucket`), `cost` (1), `tiers`, `name`, `shadow`
    /// (`false`). `headers` (`true`).
    pub settings: RateLimitConfig,
    /// `store`. Default: `memory`.
    pub store: LimitStore,
}

/// Where requests are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitStore {
    /// In the memory of this process.
    #[default]
    Memory,
    /// In Redis, by all gateways together: `[stores.redis]`.
    Redis,
}

impl RateLimit {
    /// `true` is the preset, a hundred requests in a minute for each address. Else one limit, a
    /// list of them, or a table with `limits`.
    pub(super) fn read(field: &Field<'_>) -> Option<Self> {
        if field.peek_boolean().is_some() {
            let preset = RateLimitConfig::from(Limit::per_minute(100).by_ip());
            let on = field.boolean()?;
            return on.then(|| Self { settings: preset, store: LimitStore::Memory });
        }
        let mut stores = Vec::new();
        let mut settings = RateLimitConfig::default();
        let limits = if field.has_key("limits") {
            let mut table = field.clone().table("{ limits = [{ limit = 100 }] }")?;
            table.set("headers", &mut settings.headers, |field| field.boolean());
            stores.extend(table.take("store").and_then(|field| store(&field)));
            let limits = table.take("limits");
            table.finish();
            limits?
        } else {
            field.clone()
        };
        if limits.is_empty_list() {
            limits.reject::<()>("at least one limit");
        }
        settings.limits = limits.one_or_list(|field| read_limit(field, &mut stores));
        stores.dedup();
        if stores.len() > 1 {
            field.note::<()>("limits of one route are one decision, expected one store".to_owned());
        }
        if settings.limits.len() > MOST_LIMITS {
            field.note::<()>(format!(
                "found {} limits, expected {MOST_LIMITS} at most",
                settings.limits.len()
            ));
            return None;
        }
        if let Err(error) = settings.validate()
            && !settings.limits.is_empty()
        {
            return field.note(error.to_string());
        }
        Some(Self { settings, store: stores.pop().unwrap_or_default() })
    }
}

fn read_limit(field: Field<'_>, stores: &mut Vec<LimitStore>) -> Option<Limit> {
    let mut table = field.table("{ limit = 100, per = \"1m\" }")?;
    let mut limit = Limit::default();
    table.set("limit", &mut limit.limit, |field| field.number(1, MOST));
    table.set("per", &mut limit.per, |field| some_duration(&field));
    table.set("burst", &mut limit.burst, |field| field.number(1, MOST).map(Some));
    table.set("key", &mut limit.key, |field| {
        Some(field.one_or_list(|field| {
            let found = field.peek_text().and_then(KeyPart::from_name);
            found.or_else(|| field.reject(KEY))
        }))
    });
    table.set("algorithm", &mut limit.algorithm, |field| algorithm(&field));
    table.set("cost", &mut limit.cost, |field| field.number(0, MOST));
    table.set("name", &mut limit.name, |field| field.name("a name"));
    table.set("shadow", &mut limit.shadow, |field| field.boolean());
    if let Some(field) = table.take("tiers") {
        for (name, field) in field.entries("a table such as { gold = 1000 }") {
            limit.tiers.extend(tier(field).map(|tier| (name.to_owned(), tier)));
        }
    }
    let found = table.take("store").and_then(|field| store(&field));
    stores.extend(found);
    dated(&mut table, &limit);
    table.finish();
    Some(limit)
}

/// Days and months have no length of their own.
fn dated(table: &mut Table<'_>, limit: &Limit) {
    if limit.algorithm.is_quota() {
        for key in ["per", "burst"] {
            if let Some(field) = table.take(key) {
                let name = limit.algorithm.name();
                field.note::<()>(format!("`{key}` means nothing with the algorithm \"{name}\""));
            }
        }
    }
}

fn algorithm(field: &Field<'_>) -> Option<Algorithm> {
    let all = [Algorithm::TokenBucket, Algorithm::SlidingWindow, Algorithm::Day, Algorithm::Month];
    field.choice(&all.map(|algorithm| (algorithm.name(), algorithm)))
}

/// Its limit, or a table.
fn tier(field: Field<'_>) -> Option<Tier> {
    if !field.is_table() {
        return field.number(1, MOST).map(Tier::new);
    }
    let mut table = field.table("{ limit = 1000, per = \"1m\" }")?;
    let limit = table.require("limit", "a number").and_then(|field| field.number(1, MOST));
    let mut tier = Tier::new(limit.unwrap_or(1));
    table.set("per", &mut tier.per, |field| some_duration(&field).map(Some));
    table.set("burst", &mut tier.burst, |field| field.number(1, MOST).map(Some));
    table.finish();
    limit.map(|_| tier)
}

fn store(field: &Field<'_>) -> Option<LimitStore> {
    field.choice(&[("memory", LimitStore::Memory), ("redis", LimitStore::Redis)])
}
