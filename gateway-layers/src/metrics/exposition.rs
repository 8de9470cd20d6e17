//! [`MetricsCollector`]: what was counted, as series.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::Metrics;
use super::calls;
use super::count::{Counts, Histogram};

/// Shows what [`Metrics`] have counted, in a registry of one's own.
#[derive(Debug)]
pub struct MetricsCollector {
    metrics: Metrics,
}

impl MetricsCollector {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl Collector for MetricsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.metrics.counts();
        requests(&counts, &mut encoder)?;
        of_grpc(&counts, &mut encoder)?;
        attempts(&counts, &mut encoder)?;
        rejections(&counts, &mut encoder)
    }
}

fn requests(counts: &Counts, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut routes: Vec<_> = counts.routes.iter().collect();
    routes.sort_unstable_by_key(|(name, _)| *name);
    let routes = || routes.iter().map(|(name, route)| (&***name, *route));
    let series = routes().flat_map(|(name, route)| {
        route.requests.iter().map(move |((method, status), count)| {
            (
                [
                    ("route", name.to_owned()),
                    ("method", method.to_owned()),
                    ("status", shown(status)),
                ],
                count,
            )
        })
    });
    counters(encoder, "http_requests", "Requests whose answers have ended", series)?;
    let series = routes().map(|(name, route)| ([("route", name)], &route.durations));
    let help = "Time from the head of a request to the end of its answer";
    histogram(encoder, ("http_request_duration_seconds", help), &counts.bounds, series)?;
    let series = routes().map(|(name, route)| ([("route", name)], route.bytes));
    counters(encoder, "http_response_bytes", "Bytes of answers that clients took", series)?;
    let series = routes().flat_map(|(name, route)| {
        let failures = route.failures.iter();
        failures.map(move |(reason, count)| ([("route", name), ("reason", reason.code())], count))
    });
    counters(encoder, "gateway_failures", "Answers that the gateway made itself", series)?;
    let series = routes().flat_map(|(name, route)| {
        let ends = [("broken", route.broken), ("dropped", route.dropped)];
        let ends = ends.into_iter().filter(|(_, count)| *count > 0);
        ends.map(move |(end, count)| ([("route", name), ("end", end)], count))
    });
    counters(encoder, "gateway_responses_aborted", "Answers that did not end whole", series)
}

/// In the names and labels of `go-grpc-prometheus`. A gateway does not know which kind of call a
/// method is.
fn of_grpc(counts: &Counts, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let shown = counts.calls.shown();
    if shown.is_empty() {
        return Ok(());
    }
    let labels = |call: &calls::Shown<'_>| {
        [
            ("grpc_type", "unknown".to_owned()),
            ("grpc_service", call.service.to_owned()),
            ("grpc_method", call.method.to_owned()),
            ("grpc_code", call.status.name().to_owned()),
        ]
    };
    let series = shown.iter().map(|call| (labels(call), call.durations.total()));
    counters(encoder, "grpc_server_handled", "Calls of gRPC that have ended", series)?;
    let series = shown.iter().map(|call| (labels(call), call.durations));
    let help = "Time from the head of a gRPC call to its end";
    histogram(encoder, ("grpc_server_handling_seconds", help), &counts.bounds, series)
}

fn attempts(counts: &Counts, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut clusters: Vec<_> = counts.clusters.iter().collect();
    clusters.sort_unstable_by_key(|(name, _)| *name);
    let series = clusters.iter().flat_map(|(name, cluster)| {
        let outcomes = cluster.attempts.iter();
        outcomes.map(move |(outcome, count)| ([("cluster", &***name), ("outcome", outcome)], count))
    });
    counters(encoder, "gateway_upstream_attempts", "Tries at endpoints", series)?;
    let series = clusters.iter().map(|(name, one)| ([("cluster", &***name)], &one.durations));
    let help = "Time from the pick of an endpoint to the head of its answer";
    histogram(encoder, ("gateway_upstream_attempt_duration_seconds", help), &counts.bounds, series)
}

fn rejections(counts: &Counts, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut rejected: Vec<_> = counts.rejected.iter().collect();
    rejected.sort_unstable_by_key(|((listener, reason), _)| (listener, reason.code()));
    let series = rejected.into_iter().map(|((listener, reason), count)| {
        ([("listener", &**listener), ("reason", reason.code())], *count)
    });
    let help = "What clients sent that was no request";
    counters(encoder, "gateway_requests_rejected", help, series)?;
    let mut handshakes: Vec<_> = counts.handshakes.iter().collect();
    handshakes.sort_unstable();
    let series = handshakes.into_iter().map(|(name, count)| ([("listener", &**name)], *count));
    let help = "TLS handshakes of clients that came to nothing";
    counters(encoder, "gateway_handshakes_failed", help, series)?;
    let mut states: Vec<_> = counts.states.iter().collect();
    states.sort_unstable();
    let series = states.into_iter();
    let series =
        series.map(|((subject, to), count)| ([("subject", *subject), ("to", *to)], *count));
    let help = "Changes of what lasts: endpoints, breakers, certificates, documents";
    counters(encoder, "gateway_state_changes", help, series)?;
    let help = "Events of routes and clusters that there was no room for";
    let mut metric =
        encoder.encode_descriptor("gateway_metrics_overflowed", help, None, MetricType::Counter)?;
    metric.encode_counter::<NoLabelSet, _, u64>(&counts.overflowed, None)
}

/// Writes counters of one name, for a [`Collector`] of one's own. `name` is without its `_total`.
///
/// # Errors
///
/// When the text cannot be written.
pub fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in series {
        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    Ok(())
}

/// Writes a gauge without labels, for a [`Collector`] of one's own.
///
/// # Errors
///
/// When the text cannot be written.
pub fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> fmt::Result {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

/// Writes gauges of one name, for a [`Collector`] of one's own.
///
/// # Errors
///
/// When the text cannot be written.
pub fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn histogram<'h, L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    bounds: &[Duration],
    series: impl Iterator<Item = (L, &'h Histogram)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    let bounds = bounds.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
    let bounds: Vec<f64> = bounds.collect();
    for (labels, histogram) in series {
        let buckets: Vec<_> =
            bounds.iter().copied().zip(histogram.buckets.iter().copied()).collect();
        let count = histogram.buckets.iter().sum();
        let sum = histogram.sum.as_secs_f64();
        let mut metric = metric.encode_family(&labels)?;
        metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}

/// A status; 0 stands for those there was no room for.
fn shown(status: u16) -> String {
    if status == 0 { "other".to_owned() } else { status.to_string() }
}
