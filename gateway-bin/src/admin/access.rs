//! How callers are known, and how much they have used, as JSON.

use gateway_layers::auth::api_key::ApiKeysStatus;
use gateway_layers::auth::basic::BasicStatus;
use gateway_layers::auth::jwt::{Freshness, KeysStatus};
use gateway_layers::auth::remote::RemoteStatus;
use gateway_layers::rate_limit::{LimitStatus, RateLimitStatus};
use serde_json::{Value, json};

use crate::assemble::Parts;

/// How callers are known: the keys of issuers of tokens, servers that are asked about some, stores of
/// API keys, passwords.
pub(super) fn identity(parts: &Parts) -> Value {
    let keys = parts.identity.keys().into_iter();
    let jwt: serde_json::Map<_, _> = keys.map(|(name, status)| (name, shown(&status))).collect();
    let remotes = parts.identity.remotes().into_iter();
    let asked: serde_json::Map<_, _> = remotes.map(|(path, one)| (path, server(&one))).collect();
    let stores = parts.identity.api_keys().into_iter();
    let api_key: serde_json::Map<_, _> =
        stores.map(|status| (status.name.to_string(), store(&status))).collect();
    let passwords = parts.identity.passwords().into_iter();
    let basic: serde_json::Map<_, _> =
        passwords.map(|status| (status.name.to_string(), verified(&status))).collect();
    json!({ "jwt": jwt, "asked": asked, "api_key": api_key, "basic": basic })
}

/// How good the keys of each issuer of tokens are, by the name of the provider.
pub(super) fn keys(parts: &Parts) -> Value {
    let keys = parts.identity.keys().into_iter();
    let keys = keys.map(|(name, status)| (name, Value::from(freshness(status.freshness))));
    Value::Object(keys.collect())
}

fn server(status: &RemoteStatus) -> Value {
    json!({
        "server": status.server,
        "well": status.well,
        "failure": status.failure,
        "asked": status.asked,
        "failed": status.failed,
        "known": status.known,
        "rejected": status.rejected,
    })
}

fn store(status: &ApiKeysStatus) -> Value {
    json!({
        "store": status.store,
        "trouble": status.trouble,
        "cached": status.cached,
        "cached_unknown": status.cached_unknown,
        "hits": status.hits,
        "lookups": status.lookups,
        "failures": status.failures,
    })
}

fn verified(status: &BasicStatus) -> Value {
    json!({
        "users": status.users,
        "trouble": status.trouble,
        "cached": status.cached,
        "verified": status.verified,
        "rejected": status.rejected,
    })
}

fn shown(status: &KeysStatus) -> Value {
    json!({
        "source": status.source,
        "freshness": freshness(status.freshness),
        "keys": status.keys,
        "skipped": status.skipped,
        "seconds_old": status.age.map(|age| age.as_secs_f64()),
        "fetches": status.fetches,
        "failure": status.failure,
    })
}

pub(super) fn freshness(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Fresh => "fresh",
        Freshness::Stale => "stale",
        _ => "unavailable",
    }
}

/// The limits of every route that has some.
pub(super) fn limits(parts: &Parts) -> Value {
    let routes = parts.routes.iter().filter_map(|part| {
        Some((part.config.id.clone(), limiter(&part.limiter.as_ref()?.status())))
    });
    Value::Object(routes.collect())
}

fn limiter(status: &RateLimitStatus) -> Value {
    let limit = |limit: &LimitStatus| json!({ "name": &*limit.name, "over": limit.over, "shadow": limit.shadow });
    json!({
        "store": status.store,
        "away": status.store_status.away,
        "keys": status.store_status.keys,
        "evicted": status.store_status.evicted,
        "admitted": status.admitted,
        "rejected": status.rejected,
        "failed": status.failed,
        "limits": status.limits.iter().map(limit).collect::<Value>(),
    })
}
