//! What the running gateway looks like, as JSON and as text.

use gateway_core::Health;
use gateway_core::upstream::{ClusterStatus, EndpointStatus, PickMode};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::assemble::Parts;

/// Every cluster with its endpoints.
pub(super) fn clusters(parts: &Parts) -> Value {
    parts.clusters.iter().map(|part| cluster(&part.cluster.status())).collect()
}

/// The clusters that have nobody to send to.
pub(super) fn unready(parts: &Parts) -> Vec<String> {
    let clusters = parts.clusters.iter().map(|part| part.cluster.status());
    let unready = clusters.filter(|status| status.mode == PickMode::Nobody);
    unready.map(|status| status.name.to_string()).collect()
}

/// The candidates of the route `id`, for people.
pub(super) fn describe(parts: &Parts, id: &str) -> String {
    let Some(route) = parts.routes.iter().find(|route| route.config.id == id) else {
        return String::new();
    };
    let clusters = parts.clusters.iter();
    let used = clusters.filter(|part| route.config.clusters().any(|name| name == part.config.name));
    used.map(|part| format!("{}\n", part.cluster.status())).collect()
}

fn cluster(status: &ClusterStatus) -> Value {
    let discovery = status.discovery.as_ref().map(|discovery| {
        let published = discovery.published.map(|at| at.elapsed().as_secs_f64());
        json!({
            "source": discovery.source,
            "seconds_since_published": published,
            "failure": discovery.failure,
        })
    });
    json!({
        "name": &*status.name,
        "balance": status.balance,
        "picks_from": status.mode.name(),
        "discovery": discovery,
        "endpoints": status.endpoints.iter().map(endpoint).collect::<Value>(),
    })
}

fn endpoint(status: &EndpointStatus) -> Value {
    let now = Instant::now();
    let ejected = status.ejected.as_ref().map(|ejected| {
        json!({
            "seconds_left": ejected.until.saturating_duration_since(now).as_secs_f64(),
            "cause": ejected.cause,
        })
    });
    let probed = status.probed.as_ref().map(|probed| {
        json!({
            "seconds_ago": probed.at.elapsed().as_secs_f64(),
            "milliseconds": probed.took.as_secs_f64() * 1000.0,
            "problem": probed.problem,
        })
    });
    json!({
        "address": &*status.name,
        "weight": status.weight,
        "zone": status.zone.as_deref(),
        "priority": status.priority,
        "picked": status.pickable,
        "health": health(status.health),
        "probed": probed,
        "ejected": ejected,
        "failures_in_a_row": status.failures_in_a_row,
        "in_flight": status.in_flight,
        "connections": status.connections,
        "latency_milliseconds": status.latency.map(|latency| latency.as_secs_f64() * 1000.0),
    })
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
        _ => "unknown",
    }
}
