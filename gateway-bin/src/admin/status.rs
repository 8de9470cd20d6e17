//! What the running gateway looks like, as JSON and as text.

use gateway_core::Health;
use gateway_layers::audit::SinkStatus;
use gateway_layers::circuit_breaker;
use gateway_layers::concurrency::ConcurrencyStatus;
use gateway_layers::mirror::MirrorReport;
use std::time::Duration;

use gateway_core::upstream::{ClusterStatus, EndpointStatus, PickMode};
use serde_json::{Value, json};
use tokio::time::Instant;

#[cfg(feature = "tls")]
use crate::assemble::SecureListener;
use crate::assemble::{ClusterPart, Parts};

/// Every cluster with its endpoints.
pub(super) fn clusters(parts: &Parts) -> Value {
    let cluster = |part: &ClusterPart| {
        let mut shown = cluster(&part.cluster.status());
        let speaks_tls = part.config.speaks_tls();
        shown["tls"] = json!(speaks_tls.then(|| json!({ "verified": part.config.verifies() })));
        shown["circuit_breaker"] = json!(part.breaker.as_ref().map(|one| breaker(&one.status())));
        shown["concurrency"] = json!(part.limit.as_ref().map(|one| concurrency(&one.status())));
        shown
    };
    parts.clusters.iter().map(cluster).collect()
}

/// Every listener that speaks TLS, with its certificates.
pub(super) fn listeners(parts: &Parts) -> Value {
    #[cfg(feature = "tls")]
    let shown = parts.listeners.iter().map(secure_listener).collect();
    #[cfg(not(feature = "tls"))]
    let shown = json!([]);
    let _ = parts;
    shown
}

#[cfg(feature = "tls")]
fn secure_listener(listener: &SecureListener) -> Value {
    let certificates = listener.tls().certificates().certificates();
    let certificates = certificates.iter().map(
        |certificate| json!({ "names": certificate.names(), "expires": certificate.expires() }),
    );
    json!({
        "name": listener.name,
        "client_auth": listener.tls().client_auth(),
        "min_version": listener.tls().min_version().as_str(),
        "certificates": certificates.collect::<Value>(),
        "files_rejected": listener.failure(),
        "files_unusable": listener.problems().iter().map(ToString::to_string).collect::<Value>(),
    })
}

/// Every split by its route, with what each entry took.
pub(super) fn splits(parts: &Parts) -> Value {
    let splits = parts.routes.iter().filter_map(|part| {
        let entries = part.split.as_ref()?.status().entries.into_iter().map(
            |entry| json!({ "name": &*entry.name, "weight": entry.weight, "taken": entry.taken }),
        );
        Some((part.config.id.clone(), entries.collect()))
    });
    Value::Object(splits.collect())
}

/// Every mirror by its route, with what differed.
pub(super) fn mirrors(parts: &Parts) -> Value {
    let routes = parts.routes.iter().filter(|part| !part.mirrors.is_empty());
    let mirrors = routes.map(|part| {
        let reports = part.mirrors.iter().map(|mirror| report(&mirror.report())).collect();
        (part.config.id.clone(), reports)
    });
    Value::Object(mirrors.collect())
}

fn report(report: &MirrorReport) -> Value {
    let differences = report.differences.iter().map(|difference| {
        json!({
            "method": difference.method.as_str(),
            "path": difference.path,
            "place": difference.place,
            "primary": difference.primary,
            "mirror": difference.mirror,
        })
    });
    json!({
        "mirrored": report.mirrored,
        "skipped": report.skipped(),
        "failed": report.failed,
        "matched": report.matched,
        "differed_status": report.differed_status,
        "differed_body": report.differed_body,
        "uncompared": report.uncompared,
        "primary_milliseconds": milliseconds(report.primary_latency),
        "mirror_milliseconds": milliseconds(report.mirror_latency),
        "differences": differences.collect::<Value>(),
    })
}

/// How the sinks of the audit keep up; nothing where there is none.
pub(super) fn audit(parts: &Parts) -> Value {
    let sink = |sink: SinkStatus| {
        json!({
            "sink": sink.name,
            "taken": sink.taken,
            "sent": sink.sent,
            "queued": sink.queued,
            "dropped": sink.dropped,
            "failed": sink.failed,
            "failure": sink.failure,
        })
    };
    let sinks = parts.audit.as_ref().map(|part| part.audit.status());
    json!(sinks.map(|sinks| sinks.into_iter().map(sink).collect::<Value>()))
}

fn breaker(status: &circuit_breaker::Status) -> Value {
    json!({
        "state": status.state.name(),
        "forced": status.forced,
        "seconds_in_state": status.since.elapsed().as_secs_f64(),
        "seconds_left_open": status.open_until.map(seconds_left),
        "requests": status.requests,
        "failures": status.failures,
        "slow": status.slow,
        "opened": status.opened,
        "cause": status.cause.as_ref().map(ToString::to_string),
    })
}

fn concurrency(status: &ConcurrencyStatus) -> Value {
    json!({
        "limit": status.limit,
        "in_use": status.in_use,
        "queued": status.queued,
        "rejected": status.rejected,
        "timed_out": status.timed_out,
        "shed": status.shed,
    })
}

fn seconds_left(until: Instant) -> f64 {
    until.saturating_duration_since(Instant::now()).as_secs_f64()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The clusters that have nobody to send to.
pub(super) fn unready(parts: &Parts) -> Vec<String> {
    let clusters = parts.clusters.iter().map(|part| part.cluster.status());
    let unready = clusters.filter(|status| status.mode == PickMode::Nobody);
    unready.map(|status| status.name.to_string()).collect()
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
    let ejected = status.ejected.as_ref().map(|ejected| {
        json!({
            "seconds_left": seconds_left(ejected.until),
            "cause": ejected.cause,
        })
    });
    let probed = status.probed.as_ref().map(|probed| {
        json!({
            "seconds_ago": probed.at.elapsed().as_secs_f64(),
            "milliseconds": milliseconds(probed.took),
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
        "latency_milliseconds": status.latency.map(milliseconds),
    })
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
        _ => "unknown",
    }
}
