//! How callers are known, and how much they have used, as JSON.

use gateway_layers::auth::jwt::{Freshness, KeysStatus};
use gateway_layers::rate_limit::{LimitStatus, RateLimitStatus};
use serde_json::{Value, json};

use crate::assemble::Parts;

/// The keys of every issuer that a route takes tokens of.
pub(super) fn identity(parts: &Parts) -> Value {
    let keys = parts.identity.keys().into_iter();
    let jwt: serde_json::Map<_, _> = keys.map(|(name, status)| (name, shown(&status))).collect();
    json!({ "jwt": jwt })
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

fn freshness(freshness: Freshness) -> &'static str {
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
        "refused": status.refused,
        "failed": status.failed,
        "limits": status.limits.iter().map(limit).collect::<Value>(),
    })
}
