//! `[clusters.NAME]`: endpoints that answer the same requests.

mod balance;
mod discovery;
mod endpoints;
mod health;
mod overload;
mod service_token;
mod sign;

use std::time::Duration;

use gateway_core::route::Rewrite;
use gateway_core::upstream::health::{HealthCheck, OutlierDetectionConfig};
use gateway_core::upstream::{EndpointSpec, Sticky, Transport};
use gateway_core::{ClusterTimeouts, HostPolicy, PoolConfig, ResponseLimits};
use gateway_layers::circuit_breaker;
use gateway_layers::concurrency::ConcurrencyConfig;
use http::HeaderValue;

pub use self::balance::Balance;
pub(super) use self::balance::hash_keys;
pub use self::discovery::{Discover, Registered};
pub use self::service_token::OutboundToken;
pub use self::sign::Sign;
use super::reader::Field;
use super::tls::ClusterTls;
use super::units::{duration, some_duration, some_size, timeout};

const HOST: &str = "\"preserve\", \"endpoint\" or a host name with an optional port";
const MOST: i64 = 1_000_000;

/// Endpoints that answer the same requests, and how they are spoken to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Cluster {
    /// The key of the table: what targets call it.
    pub name: String,
    /// `endpoints`: at least one, none of them twice; each an address, or a table of `url`,
    /// `weight` (1), `zone` and `priority` (0). Required.
    pub endpoints: Vec<EndpointSpec>,
    /// `discovery`: where endpoints come from instead. Default: they are given.
    pub discovery: Option<Discover>,
    /// `balance`: a name, or `{ consistent_hash = { keys, load } }`. Default: `power_of_two`.
    pub balance: Balance,
    /// `sticky`: `cookie`, `path`, `max_age`, `secure`, `http_only`, `same_site`, `on_unavailable`,
    /// `secret`. Default: none.
    pub sticky: Option<Sticky>,
    /// `host`: `preserve`, `endpoint` or a fixed name. Default: `preserve`.
    pub host: HostPolicy,
    /// `pool`, for each endpoint: `idle` (64), `total` (256), `pending` (1024), `pending_timeout`
    /// (1 s), `idle_timeout` (60 s), `max_age` (10 min).
    pub pool: PoolConfig,
    /// `timeouts`: `connect` (3 s), `attempt` (as long as the request has), `response_head` (30 s),
    /// `idle` (5 min); `"0s"` is off, which is a year for `connect` and `idle`.
    pub timeouts: ClusterTimeouts,
    /// `limits` of the heads of responses: `headers` (64 KiB), `header_count` (200).
    pub limits: ResponseLimits,
    /// `tls`, for `https` endpoints. Default: verified by what the system trusts.
    pub tls: Option<ClusterTls>,
    /// `zone`: where requests are kept as far as its endpoints are well. Default: none.
    pub zone: Option<String>,
    /// `slow_start`: for how long an endpoint that came or recovered takes less than its share.
    /// Default: `"0s"`, off.
    pub slow_start: Duration,
    /// `panic_threshold`: with no larger share of well endpoints, all are picked; `"off"`: never.
    /// Default: 0, when none is well.
    pub panic_threshold: Option<f64>,
    /// `endpoint_limit`: requests that an endpoint may have at the same time. Default: as many as
    /// its connections carry.
    pub endpoint_limit: Option<usize>,
    /// `health_check`: one of `http`, `grpc` and `tcp`, and `interval` (10 s), `unhealthy_interval`,
    /// `timeout` (2 s), `jitter` (0.1), `rise` (2), `fall` (3), `concurrency` (64). Default: none.
    pub health: Option<HealthCheck>,
    /// `circuit_breaker`. Default: none.
    pub circuit_breaker: Option<circuit_breaker::CircuitBreakerConfig>,
    /// `concurrency`. Default: no limit but that of its connections.
    pub concurrency: Option<ConcurrencyConfig>,
    /// `sign`: what requests are signed with on their way out. Default: they are not.
    pub sign: Option<Sign>,
    /// `outlier_detection`: `consecutive_failures` (5), `interval` (10 s), `base_ejection_time` (30 s), `max_ejection_time` (300 s), `max_ejected_ratio`
    /// (0.5), `success_rate`; `"off"`: none is left out. Default: on.
    pub outlier_detection: Option<OutlierDetectionConfig>,
    /// `service_token`: what is shown to its endpoints. Default: nothing.
    pub service_token: Option<OutboundToken>,
}

impl Cluster {
    /// False where whoever answers is believed.
    pub(crate) fn verifies(&self) -> bool {
        !self.tls.as_ref().is_some_and(|tls| tls.dangerous_accept_any_certificate)
    }

    /// True where endpoints may be spoken to over TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        let is_https = |endpoint: &EndpointSpec| endpoint.address.transport() == Transport::Https;
        let found = self.discovery.as_ref().is_some_and(Discover::needs_tls);
        found || self.endpoints.iter().any(is_https)
    }

    /// A cluster with every default, as documents have them.
    pub fn new(name: impl Into<String>, endpoints: Vec<EndpointSpec>) -> Self {
        Self {
            name: name.into(),
            endpoints,
            discovery: None,
            balance: Balance::default(),
            sticky: None,
            host: HostPolicy::default(),
            pool: PoolConfig::default(),
            timeouts: ClusterTimeouts::default(),
            limits: ResponseLimits::default(),
            tls: None,
            zone: None,
            slow_start: Duration::ZERO,
            panic_threshold: Some(0.0),
            endpoint_limit: None,
            outlier_detection: Some(OutlierDetectionConfig::default()),
            health: None,
            circuit_breaker: None,
            concurrency: None,
            service_token: None,
            sign: None,
        }
    }

    pub(super) fn read(name: &str, field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ endpoints = [\"http://127.0.0.1:9000\"] }")?;
        let (endpoints, discovery) = match table.only_one(&["endpoints", "discovery"]) {
            Some(("endpoints", field)) => (endpoints::read(&field), None),
            Some((_, field)) => (Vec::new(), Discover::read(field)),
            None => {
                let path = table.path().to_owned();
                table.field().note::<()>(format!(
                    "no endpoints, expected `{path}.endpoints` or `{path}.discovery`"
                ));
                (Vec::new(), None)
            }
        };
        let mut cluster = Self::new(name, endpoints);
        cluster.discovery = discovery;
        table.set("balance", &mut cluster.balance, Balance::read);
        table.set("sticky", &mut cluster.sticky, |field| balance::sticky(field).map(Some));
        table.set("host", &mut cluster.host, |field| host(&field));
        table.set("pool", &mut cluster.pool, pool);
        table.set("timeouts", &mut cluster.timeouts, timeouts);
        table.set("limits", &mut cluster.limits, limits);
        table.set("tls", &mut cluster.tls, |field| ClusterTls::read(field).map(Some));
        table.set("zone", &mut cluster.zone, |field| field.name("the name of a zone").map(Some));
        table.set("slow_start", &mut cluster.slow_start, |field| duration(&field));
        table.set("panic_threshold", &mut cluster.panic_threshold, |field| {
            field.fraction_or_off(0.0, 1.0)
        });
        table.set("endpoint_limit", &mut cluster.endpoint_limit, |field| {
            field.number(1, MOST).map(Some)
        });
        table.set("health_check", &mut cluster.health, |field| health::check(field).map(Some));
        table.set("circuit_breaker", &mut cluster.circuit_breaker, |field| {
            overload::circuit_breaker(&field).map(Some)
        });
        table.set("concurrency", &mut cluster.concurrency, |field| {
            overload::concurrency(field).map(Some)
        });
        table.set("sign", &mut cluster.sign, |field| Sign::read(field).map(Some));
        table.set("outlier_detection", &mut cluster.outlier_detection, health::ejection);
        table.set("service_token", &mut cluster.service_token, |field| {
            OutboundToken::read(field).map(Some)
        });
        table.finish();
        Some(cluster)
    }
}

fn host(field: &Field<'_>) -> Option<HostPolicy> {
    match field.text(HOST)? {
        "preserve" => Some(HostPolicy::Preserve),
        "endpoint" => Some(HostPolicy::Endpoint),
        name => {
            let fixed = Rewrite::new().host(name).ok().and_then(|rewrite| rewrite.host);
            let fixed = fixed.and_then(|name| HeaderValue::from_str(name.as_str()).ok());
            fixed.map(HostPolicy::Fixed).or_else(|| field.reject(HOST))
        }
    }
}

fn pool(field: Field<'_>) -> Option<PoolConfig> {
    let mut table = field.table("{ idle = 64, total = 1024 }")?;
    let mut pool = PoolConfig::default();
    table.set("total", &mut pool.total, |field| field.number(1, MOST));
    pool.idle = pool.total;
    table.set("idle", &mut pool.idle, |field| field.number(0, MOST));
    table.set("pending", &mut pool.pending, |field| field.number(0, MOST));
    table.set("pending_timeout", &mut pool.pending_timeout, |field| some_duration(&field));
    table.set("idle_timeout", &mut pool.idle_timeout, |field| timeout(&field));
    table.set("max_age", &mut pool.max_age, |field| timeout(&field));
    if pool.idle > pool.total
        && let Some(field) = table.take("idle").or_else(|| table.take("total"))
    {
        field.note::<()>(format!(
            "`idle` ({}) is more than `total` ({}), expected at most as many",
            pool.idle, pool.total
        ));
    }
    table.finish();
    Some(pool)
}

fn limits(field: Field<'_>) -> Option<ResponseLimits> {
    let mut table = field.table("{ headers = \"64KiB\", header_count = 200 }")?;
    let mut limits = ResponseLimits::default();
    table.set("headers", &mut limits.headers, |field| some_size(&field));
    table.set("header_count", &mut limits.header_count, |field| field.number(1, 10_000));
    table.finish();
    Some(limits)
}

fn timeouts(field: Field<'_>) -> Option<ClusterTimeouts> {
    let mut table = field.table("{ connect = \"3s\", attempt = \"10s\", idle = \"5m\" }")?;
    let mut timeouts = ClusterTimeouts::default();
    table.set("connect", &mut timeouts.connect, |field| timeout(&field));
    table.set("attempt", &mut timeouts.attempt_timeout, |field| {
        Some(Some(duration(&field)?).filter(|duration| !duration.is_zero()))
    });
    table.set("response_head", &mut timeouts.response_head, |field| {
        Some(Some(duration(&field)?).filter(|duration| !duration.is_zero()))
    });
    table.set("idle", &mut timeouts.idle, |field| timeout(&field));
    table.finish();
    Some(timeouts)
}
