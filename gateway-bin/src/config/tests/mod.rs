//! Every key with its default, every kind of error with its exact words.

mod audit;
#[cfg(feature = "cel")]
mod authorize;
mod clusters;
mod discovery;
mod effects;
mod environment;
mod errors;
#[cfg(all(feature = "cel", feature = "postgres", feature = "tls"))]
mod full;
#[cfg(all(feature = "cel", feature = "postgres", feature = "tls"))]
mod full_identity;
#[cfg(all(feature = "cel", feature = "postgres", feature = "tls"))]
mod keys;
mod metrics;
mod policies;
mod registry;
mod signature;
mod targets;
mod tls;
mod validation;

use std::time::Duration;

use gateway_core::forwarded::{ForwardedPolicy, TrustedProxies};
use gateway_core::path::PathOptions;
use gateway_core::upstream::HashKey;
use gateway_core::upstream::health::OutlierDetectionConfig;
use gateway_core::{ClusterTimeouts, FixedResponse, HostPolicy, Modules, PoolConfig, Protocol};
use gateway_core::{DrainConfig, Limits, Timeouts};
use gateway_layers::body_limit::BodyLimitLayer;
use http::StatusCode;

use super::*;

/// A listener, so that only the rest of a document can be wrong.
const LISTENER: &str = "[[listeners]]\naddress = \"127.0.0.1:80\"\n";

fn modules() -> Modules {
    Modules::new().with("users", FixedResponse::new(StatusCode::OK))
}

fn read(text: &str) -> Reading {
    Source::text("g.toml", text).read(&modules()).unwrap()
}

fn errors_of(source: &Source) -> Vec<String> {
    let problems = source.read(&modules()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn errors(text: &str) -> Vec<String> {
    errors_of(&Source::text("g.toml", text))
}

fn warnings(text: &str) -> Vec<String> {
    read(text).warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults() {
    let text = format!(
        "{LISTENER}[clusters.a]\nendpoints = [\"http://b:1\"]\n[[routes]]\nid = \"r\"\n\
         match = {{}}\ntarget = {{ cluster = \"a\" }}\n"
    );
    let reading = read(&text);
    assert_eq!(reading.warnings, []);
    let document = reading.document;
    assert_eq!(document.workers, 0);
    assert_eq!(document.drain, DrainConfig::new(Duration::from_secs(5), Duration::from_secs(30)));
    let listener = &document.listeners[0];
    assert_eq!(listener.name, "127.0.0.1:80");
    assert_eq!(listener.protocol, Protocol::Auto);
    assert_eq!(listener.proxy_protocol, []);
    assert_eq!(listener.path, PathOptions::default());
    assert_eq!(listener.trusted, TrustedProxies::default());
    assert_eq!(listener.forwarded, ForwardedPolicy::default());
    assert_eq!(listener.limits, Limits::default());
    assert_eq!(listener.timeouts, Timeouts::default());
    let cluster = &document.clusters[0];
    assert_eq!(cluster.balance, Balance::PowerOfTwo);
    assert_eq!(cluster.host, HostPolicy::Preserve);
    assert_eq!(cluster.pool, PoolConfig::default());
    assert_eq!(cluster.timeouts, ClusterTimeouts::default());
    assert!(cluster.discovery.is_none() && cluster.sticky.is_none() && cluster.health.is_none());
    assert!(cluster.zone.is_none() && cluster.endpoint_limit.is_none());
    assert_eq!((cluster.slow_start, cluster.panic_threshold), (Duration::ZERO, Some(0.0)));
    assert_eq!(cluster.outlier_detection, Some(OutlierDetectionConfig::default()));
    assert!(cluster.circuit_breaker.is_none() && cluster.concurrency.is_none());
    assert_eq!(document.startup.wait, Duration::from_secs(5));
    assert!(document.admin.is_none() && document.registry.is_none() && document.audit.is_none());
    assert!(document.metrics.is_none());
    let route = &document.routes[0];
    assert_eq!((route.priority, route.enabled), (0, true));
    assert!(route.metadata.is_empty() && route.listeners.is_empty() && route.rewrite.is_none());
    assert_eq!(route.policy, Policy::default());
    assert_eq!((route.policy.timeout, route.policy.honor_client_deadline), (None, true));
    assert_eq!(route.policy.body_limit, Some(BodyLimitLayer::default()));
}

#[test]
fn the_examples_load_without_warnings() {
    for text in [
        include_str!("../../../../examples/config/minimal.toml"),
        include_str!("../../../../examples/config/browser-api.toml"),
        include_str!("../../../../examples/config/embed.toml"),
        include_str!("../../../../examples/config/canary.toml"),
        include_str!("../../../../examples/config/failover.toml"),
        include_str!("../../../../examples/config/hedging.toml"),
        include_str!("../../../../examples/config/self-registration.toml"),
        include_str!("../../../../examples/config/signing.toml"),
    ] {
        assert_eq!(read(text).warnings, [], "{text}");
    }
}

#[test]
fn what_is_off_is_off() {
    let text = format!(
        "{LISTENER}timeouts = {{ max_age = \"0s\" }}\n[clusters.a]\nendpoints = [\"unix:/a\"]\n\
         timeouts = {{ attempt = \"0s\" }}\n[[routes]]\nid = \"r\"\nmatch = {{}}\n\
         target = {{ cluster = \"a\" }}\npolicy = {{ timeout = \"0s\", body_limit = \"off\" }}\n"
    );
    let document = read(&text).document;
    assert_eq!(document.listeners[0].timeouts.max_age, Duration::from_secs(31_536_000));
    assert_eq!(document.clusters[0].timeouts.attempt_timeout, None);
    assert_eq!(document.routes[0].policy.timeout, None);
    assert_eq!(document.routes[0].policy.body_limit, None);
}
