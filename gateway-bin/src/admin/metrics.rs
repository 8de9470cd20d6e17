//! What the running gateway looks like at the moment of a scrape, as series.

use std::fmt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use gateway_core::route::TableProblems;
use gateway_core::upstream::EndpointStatus;
use gateway_core::{Gateway, Health, Module, Route, RouteMatch};
use gateway_layers::metrics::prometheus_client::collector::Collector;
use gateway_layers::metrics::prometheus_client::encoding::DescriptorEncoder;
use gateway_layers::metrics::{Metrics, MetricsModule, counters, gauge, gauges};

use super::{access, certificates};
use crate::assemble::{Parts, Reloader};

/// What shows `metrics`, and beside it how what lasts is now.
pub(super) fn module(metrics: &Metrics, gateway: &Gateway, reloader: &Reloader) -> MetricsModule {
    let (gateway, reloader) = (gateway.clone(), reloader.clone());
    MetricsModule::new(metrics).with(move || {
        let now = Now {
            parts: reloader.parts(),
            generation: gateway.snapshot().generation(),
            rejected: reloader.failure().is_some(),
        };
        vec![Box::new(now)]
    })
}

/// The gateway of a listener that answers scrapes, and nothing else.
///
/// # Errors
///
/// Never: there is nothing to get wrong in one route.
pub(crate) fn scrapes(
    metrics: &Metrics,
    gateway: &Gateway,
    reloader: &Reloader,
) -> Result<Gateway, TableProblems> {
    let module = Module::new(module(metrics, gateway, reloader));
    let path = RouteMatch::path("/metrics").unwrap_or_else(|_| RouteMatch::any());
    Gateway::builder().route(Route::new("metrics", module).matching(path)).build()
}

/// What an endpoint can be.
const STATES: [&str; 4] = ["available", "unhealthy", "ejected", "left_out"];

fn state(endpoint: &EndpointStatus) -> &'static str {
    match endpoint {
        one if one.ejected.is_some() => "ejected",
        one if one.health == Health::Unhealthy => "unhealthy",
        one if one.pickable => "available",
        _ => "left_out",
    }
}

/// The gateway at one moment.
#[derive(Debug)]
struct Now {
    parts: Arc<Parts>,
    generation: u64,
    rejected: bool,
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1)];
        gauges(encoder, "gateway_info", "The version that runs", version)?;
        let help = "The number of the document that decides";
        gauge(encoder, "gateway_generation", help, self.generation)?;
        let help = "1: the latest document was rejected, and the one before it holds";
        gauge(encoder, "gateway_reload_failed", help, u64::from(self.rejected))?;
        self.clusters(encoder)?;
        self.guards_of_clusters(encoder)?;
        self.limits(encoder)?;
        self.keys(encoder)?;
        self.audit(encoder)
    }
}

impl Now {
    fn clusters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let clusters: Vec<_> = self.parts.clusters.iter().map(|one| one.cluster.status()).collect();
        let endpoints = clusters.iter().flat_map(|status| {
            let count = |wanted: &str| {
                let states = status.endpoints.iter().map(state);
                states.filter(|state| *state == wanted).count() as u64
            };
            STATES.map(|state| ([("cluster", &*status.name), ("state", state)], count(state)))
        });
        gauges(encoder, "gateway_endpoints", "Endpoints of a cluster", endpoints)?;
        let sum = |of: fn(&EndpointStatus) -> u64| {
            clusters.iter().map(move |status| {
                ([("cluster", &*status.name)], status.endpoints.iter().map(of).sum())
            })
        };
        let in_flight = sum(|endpoint| endpoint.in_flight as u64);
        let help = "Requests that endpoints are busy with";
        gauges(encoder, "gateway_upstream_requests_in_flight", help, in_flight)?;
        let connections = sum(|endpoint| endpoint.connections as u64);
        gauges(encoder, "gateway_upstream_connections", "Connections to endpoints", connections)?;
        let secured = self.parts.clusters.iter().filter(|part| part.config.speaks_tls());
        let unverified = secured
            .map(|part| ([("cluster", &*part.config.name)], u64::from(!part.config.verifies())));
        let help = "1: whoever answers is believed (dangerous_accept_any_certificate)";
        gauges(encoder, "gateway_upstream_tls_unverified", help, unverified)
    }

    fn guards_of_clusters(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let breakers = self.parts.clusters.iter().filter_map(|part| {
            let state = part.breaker.as_ref()?.status().state;
            Some(([("cluster", &*part.config.name), ("state", state.name())], 1))
        });
        let help = "1: the state that the circuit breaker of a cluster is in";
        gauges(encoder, "gateway_circuit_breaker_state", help, breakers)?;
        let limits: Vec<_> = self
            .parts
            .clusters
            .iter()
            .filter_map(|part| Some((&*part.config.name, part.limit.as_ref()?.status())))
            .collect();
        let used = limits.iter().map(|(name, status)| ([("cluster", *name)], status.in_use as u64));
        let help = "Requests under way to a cluster with a concurrency limit";
        gauges(encoder, "gateway_concurrency_in_use", help, used)?;
        let most = limits.iter().map(|(name, status)| ([("cluster", *name)], status.limit as u64));
        let help = "Requests that may be under way to a cluster";
        gauges(encoder, "gateway_concurrency_limit", help, most)?;
        let queued =
            limits.iter().map(|(name, status)| ([("cluster", *name)], status.queued as u64));
        gauges(encoder, "gateway_concurrency_queued", "Requests that wait for their turn", queued)
    }

    fn limits(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes: Vec<_> = self
            .parts
            .routes
            .iter()
            .filter_map(|part| Some((&*part.config.id, part.limiter.as_ref()?.status())))
            .collect();
        let outcomes = routes.iter().flat_map(|(route, status)| {
            let outcomes = [
                ("admitted", status.admitted),
                ("rejected", status.rejected),
                ("failed", status.failed),
            ];
            outcomes.map(|(outcome, count)| ([("route", *route), ("outcome", outcome)], count))
        });
        let help =
            "Requests that the rate limits of a route let pass, rejected, or could not count";
        counters(encoder, "gateway_rate_limit_requests", help, outcomes)?;
        let over = routes.iter().flat_map(|(route, status)| {
            status.limits.iter().map(move |limit| {
                let shadow = if limit.shadow { "true" } else { "false" };
                ([("route", *route), ("limit", &*limit.name), ("shadow", shadow)], limit.over)
            })
        });
        let help = "Requests that were over a limit; one in shadow lets them pass";
        counters(encoder, "gateway_rate_limit_over", help, over)?;
        let away = routes.iter().map(|(route, status)| {
            ([("route", *route), ("store", status.store)], u64::from(status.store_status.away))
        });
        let help = "1: where the limits of a route are counted cannot be reached";
        gauges(encoder, "gateway_rate_limit_store_unavailable", help, away)
    }

    fn keys(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let keys = self.parts.identity.keys();
        let keys = keys.iter().map(|(provider, status)| {
            let state = access::freshness(status.freshness);
            ([("provider", provider.as_str()), ("state", state)], 1)
        });
        let help = "1: how good the keys of an issuer of tokens are: fresh, stale or unavailable";
        gauges(encoder, "gateway_token_keys", help, keys)?;
        let unusable = certificates::unusable(&self.parts);
        let unusable = unusable
            .iter()
            .map(|(listener, problems)| ([("listener", listener.as_str())], problems.len() as u64));
        let help = "Certificate files of a listener that cannot be used";
        gauges(encoder, "gateway_certificate_files_unusable", help, unusable)?;
        let expiries = certificates::expiries(&self.parts);
        let expiries = expiries.iter().map(|(listener, name, expires)| {
            let expires = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
            ([("listener", listener.as_str()), ("name", name.as_str())], expires.as_secs())
        });
        let help = "When a certificate of a listener ends, in seconds since 1970";
        gauges(encoder, "gateway_certificate_expiry_timestamp_seconds", help, expiries)
    }

    fn audit(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sinks = self.parts.audit.as_ref().map(|part| part.audit.status()).unwrap_or_default();
        let outcomes = sinks.iter().flat_map(|sink| {
            let outcomes =
                [("sent", sink.sent), ("dropped", sink.dropped), ("failed", sink.failed)];
            outcomes.map(|(outcome, count)| ([("sink", &*sink.name), ("outcome", outcome)], count))
        });
        let help =
            "Audit events that a sink took, that there was no room for, or that it never took";
        counters(encoder, "gateway_audit_events", help, outcomes)?;
        let queued = sinks.iter().map(|sink| ([("sink", &*sink.name)], sink.queued as u64));
        gauges(encoder, "gateway_audit_queued", "Audit events that wait for their sink", queued)
    }
}
