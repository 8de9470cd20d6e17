//! [`Metrics`]: what happens, counted, in the form that Prometheus reads.
//!
//! An observer: it sees each request when its answer has ended, each try at an endpoint, and what
//! was rejected before it was a request.
//!
//! ```
//! use gateway_core::{Gateway, Module, Route, RouteMatch};
//! use gateway_layers::metrics::{Metrics, MetricsModule};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let metrics = Metrics::new();
//! let shown = Module::new(MetricsModule::new(&metrics));
//! let gateway = Gateway::builder()
//!     .route(Route::new("metrics", shown).matching(RouteMatch::path("/metrics")?))
//!     .observer(metrics)
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! | series | labels | counts |
//! | --- | --- | --- |
//! | `http_requests_total` | `route`, `method`, `status` | requests whose answers have ended |
//! | `http_request_duration_seconds` | `route` | a histogram of the time from a request's head to its answer's end |
//! | `http_response_bytes_total` | `route` | bytes of answers' bodies that clients' connections took |
//! | `grpc_server_handled_total` | `grpc_type`, `grpc_service`, `grpc_method`, `grpc_code` | calls of gRPC that have ended, in the names of `go-grpc-prometheus` |
//! | `grpc_server_handling_seconds` | the same | a histogram of the time from a call's head to its end |
//! | `gateway_failures_total` | `route`, `reason` | answers that the gateway made itself, by [`Reason`] |
//! | `gateway_responses_aborted_total` | `route`, `end` | answers that did not end whole: `broken` (the source failed) or `dropped` (the client left) |
//! | `gateway_requests_rejected_total` | `listener`, `reason` | what clients sent that was no request; nowhere else counted |
//! | `gateway_handshakes_failed_total` | `listener` | TLS handshakes that came to nothing |
//! | `gateway_upstream_attempts_total` | `cluster`, `outcome` | tries at endpoints: `2xx` and so on, `grpc_unavailable` and so on for a gRPC call that failed, or a reason |
//! | `gateway_upstream_attempt_duration_seconds` | `cluster` | a histogram of the time from the pick to the answer's head |
//! | `gateway_state_changes_total` | `subject`, `to` | what lasts and changed its state: endpoints, breakers, certificates, documents |
//! | `gateway_metrics_overflowed_total` | | events of routes and clusters there was no room for; they are counted under `(others)` |
//!
//! A request that no route took has an empty `route`; a method that is not one of RFC 9110 or
//! RFC 5789 is `other`. So no client makes a series of its own. A method of gRPC has series once an
//! upstream has answered a call of it as one that it knows; the first 1,000 do, and the rest is
//! `(others)`. `grpc_type` is `unknown`: a gateway does not know whether a method streams.
//!
//! # What it costs
//!
//! Each thread counts in a part of its own, which nobody but a scrape looks at besides: no counter
//! goes from one processor to another. Nothing is allocated for what was counted before.

mod calls;
mod count;
mod exposition;
mod module;
mod shard;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{
    AttemptFinished, HandshakeFailed, Observer, Reason, RequestFinished, RequestRejected,
    StateChanged,
};
pub use prometheus_client;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use self::count::Counts;
pub use self::exposition::{MetricsCollector, counters, gauge, gauges};
pub use self::module::MetricsModule;
use self::shard::Shards;

/// The upper bounds of histograms, unless said otherwise: from half a millisecond to a minute, three
/// for each power of ten.
pub const DEFAULT_BUCKETS: [Duration; 16] = {
    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }
    [
        micros(500),
        micros(1_000),
        micros(2_500),
        micros(5_000),
        micros(10_000),
        micros(25_000),
        micros(50_000),
        micros(100_000),
        micros(250_000),
        micros(500_000),
        micros(1_000_000),
        micros(2_500_000),
        micros(5_000_000),
        micros(10_000_000),
        micros(30_000_000),
        micros(60_000_000),
    ]
};

/// Names of routes, and of clusters, that are counted each by itself, unless said otherwise.
pub const DEFAULT_NAMES: usize = 10_000;

/// The content type of [`Metrics::encode`]: that of `OpenMetrics` 1.0.0.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counts what happens; see the [module](self). Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    shards: Arc<Shards>,
}

/// Makes [`Metrics`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MetricsBuilder {
    buckets: Vec<Duration>,
    names: usize,
}

impl MetricsBuilder {
    /// The upper bounds of histograms, in any order. Default: [`DEFAULT_BUCKETS`].
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = Duration>) -> Self {
        self.buckets = bounds.into_iter().collect();
        self
    }

    /// The most names of routes, and of clusters, that are counted each by itself: whatever comes
    /// later is `(others)`. Default: [`DEFAULT_NAMES`].
    pub fn names(mut self, most: usize) -> Self {
        self.names = most;
        self
    }

    /// Counts from nothing.
    pub fn build(mut self) -> Metrics {
        self.buckets.sort_unstable();
        self.buckets.dedup();
        Metrics { shards: Arc::new(Shards::new(&self.buckets, self.names)) }
    }
}

impl Metrics {
    /// Counts from nothing, with every default.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Counts with other bounds.
    pub fn builder() -> MetricsBuilder {
        MetricsBuilder { buckets: DEFAULT_BUCKETS.into(), names: DEFAULT_NAMES }
    }

    /// Shows what was counted, for a registry of one's own.
    pub fn collector(&self) -> MetricsCollector {
        MetricsCollector::new(self.clone())
    }

    /// What was counted, as text of the type [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        self.encode_with(None)
    }

    /// The same, and what `others` show.
    pub fn encode_with(&self, others: impl IntoIterator<Item = Box<dyn Collector>>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.collector()));
        others.into_iter().for_each(|other| registry.register_collector(other));
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &registry);
        text
    }

    /// The sum of all threads.
    fn counts(&self) -> Counts {
        self.shards.sum()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Metrics {
    fn request_finished(&self, event: &RequestFinished<'_>) {
        self.shards.own(|counts| counts.request(event));
    }

    fn request_rejected(&self, event: &RequestRejected<'_>) {
        self.shards.own(|counts| counts.rejected(event));
    }

    fn handshake_failed(&self, event: &HandshakeFailed<'_>) {
        self.shards.own(|counts| counts.handshake(event));
    }

    fn attempt_finished(&self, event: &AttemptFinished<'_>) {
        self.shards.own(|counts| counts.attempt(event));
    }

    fn state_changed(&self, event: &StateChanged<'_>) {
        self.shards.own(|counts| counts.state(event));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}
