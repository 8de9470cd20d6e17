//! Every key is read.

use gateway_core::ResponseLimits;
use gateway_core::context::HttpsRedirect;
use gateway_core::forwarded::{OriginHeader, Via};
use gateway_core::route::Redirect;
use gateway_core::upstream::health::{HealthCheck, HttpProbe, OutlierDetectionConfig, Probe};
use gateway_core::upstream::{OnUnavailable, Sticky};
use gateway_layers::circuit_breaker::SlowCalls;
use gateway_layers::concurrency::{AdaptiveConfig, ShedConfig};
use gateway_layers::fallback::FailureKind;
use gateway_layers::registry::{CheckConfig, LeaseConfig, RegistryLimits};

use super::*;

pub(super) fn full() -> Document {
    let reading = read(include_str!("../../../../examples/config/full.toml"));
    assert_eq!(reading.warnings, []);
    reading.document
}

fn cluster(name: &str) -> Cluster {
    full().clusters.into_iter().find(|cluster| cluster.name == name).unwrap()
}

pub(super) fn route(id: &str) -> Route {
    full().routes.into_iter().find(|route| route.id == id).unwrap()
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn listeners() {
    let document = full();
    let [public, behind, to_https, local] = document.listeners.as_slice() else {
        panic!("{document:?}")
    };
    assert_eq!((public.name.as_str(), public.limits), ("public", Limits::default()));
    assert_eq!(public.timeouts, Timeouts::default());
    assert_eq!(behind.protocol, Protocol::Http1);
    assert_eq!(behind.proxy_protocol, ["10.0.0.0/8".parse().unwrap()]);
    assert!(behind.trusted.trusts("10.1.2.3".parse().ok()));
    assert_eq!((&behind.via, &behind.origin), (&Via::default(), &OriginHeader::default()));
    assert_eq!(to_https.redirect, Some(HttpsRedirect::default()));
    assert_eq!(local.unix_mode, Some(0o660));
}

#[test]
fn clusters() {
    let orders = cluster("orders");
    let [_, spec] = orders.endpoints.as_slice() else { panic!("{orders:?}") };
    assert_eq!((spec.weight, spec.zone.as_deref(), spec.priority), (3, Some("a"), 0));
    assert_eq!(orders.pool, PoolConfig::default());
    assert_eq!(orders.timeouts.attempt_timeout, Some(seconds(10)));
    assert_eq!(orders.limits, ResponseLimits::default());
    assert_eq!((orders.zone.as_deref(), orders.slow_start), (Some("a"), seconds(30)));
    assert_eq!((orders.panic_threshold, orders.endpoint_limit), (Some(0.0), Some(200)));
    let pictures = cluster("pictures");
    assert_eq!(pictures.balance, Balance::RoundRobin);
    assert_eq!(pictures.host, HostPolicy::Fixed("pictures.internal".parse().unwrap()));
}

#[test]
fn health_and_ejection() {
    let orders = cluster("orders");
    let mut ejection = orders.outlier_detection.unwrap();
    let rates = ejection.success_rate.take().unwrap();
    assert_eq!(ejection, OutlierDetectionConfig::default());
    assert_eq!((rates.min_requests, rates.min_endpoints, rates.deviations), (100, 3, 1.9));
    let check = orders.health.unwrap();
    let Probe::Http(probe) = &check.probe else { panic!("{check:?}") };
    assert_eq!(probe.status, HttpProbe::default().status);
    assert_eq!(probe.path, "/healthz");
    assert!(probe.host.is_some() && probe.body.is_some() && probe.headers.contains_key("x-a"));
    assert_eq!((check.interval, check.timeout, check.jitter), (seconds(10), seconds(2), 0.1));
    assert_eq!(check.unhealthy_interval, Some(seconds(1)));
    assert_eq!((check.rise, check.fall, check.concurrency), (2, 3, 64));
    let pictures = cluster("pictures");
    assert!(pictures.outlier_detection.is_none());
    assert!(matches!(pictures.health, Some(HealthCheck { probe: Probe::Grpc(_), .. })));
    assert!(matches!(cluster("carts").health, Some(HealthCheck { probe: Probe::Tcp, .. })));
}

#[test]
fn overload() {
    let orders = cluster("orders");
    let mut breaker = gateway_layers::circuit_breaker::CircuitBreakerConfig::default();
    breaker.consecutive_failures = Some(50);
    breaker.slow = Some(SlowCalls { threshold: seconds(2), ratio: 0.5 });
    assert_eq!(orders.circuit_breaker, Some(breaker));
    let mut concurrency = gateway_layers::concurrency::ConcurrencyConfig::default();
    concurrency.adaptive = Some(AdaptiveConfig::default());
    concurrency.shed = Some(ShedConfig::default());
    assert_eq!(orders.concurrency, Some(concurrency));
}

#[test]
fn affinity() {
    let carts = cluster("carts");
    let keys = ["header:x-user", "cookie:user", "param:id", "ip"];
    let keys = keys.map(|key| key.parse().unwrap()).to_vec();
    assert_eq!(carts.balance, Balance::ConsistentHash { keys, load: Some(1.25) });
    let sticky = Sticky::new("gw").unwrap().max_age(seconds(3600)).secure(false);
    let sticky =
        sticky.on_unavailable(OnUnavailable::Redistribute).secret("the same in every gateway");
    assert_eq!(carts.sticky, Some(sticky));
}

#[test]
fn sources() {
    let source = |name| cluster(name).discovery.unwrap();
    let Discover::File(file) = source("from-file") else { panic!() };
    assert_eq!(file.interval, seconds(1));
    let Discover::Dns(dns) = source("from-dns") else { panic!() };
    assert_eq!(dns.servers, ["10.0.0.2:53".parse().unwrap()]);
    assert!(matches!(source("from-srv"), Discover::Dns(_)));
    let Discover::Consul(consul) = source("from-consul") else { panic!() };
    assert_eq!((consul.tag.as_deref(), consul.datacenter.as_deref()), (Some("v2"), Some("one")));
    assert!(consul.token.is_some() && consul.zone_meta.is_some());
    let Discover::Etcd(etcd) = source("from-etcd") else { panic!() };
    assert!(etcd.user.is_some() && etcd.password.is_some());
    let Discover::Kubernetes(kubernetes) = source("from-kubernetes") else { panic!() };
    assert_eq!((kubernetes.timeout, kubernetes.watch), (seconds(10), seconds(300)));
    assert_eq!(kubernetes.token_file, Some("token".into()));
    let service = Registered::Service("orders".to_owned());
    assert_eq!(source("from-registry"), Discover::Registry(service));
}

#[test]
fn policies() {
    let policy = route("orders").policy;
    assert_eq!(policy.attempt_timeout, Some(seconds(10)));
    assert_eq!(policy.retry, Some(Retry::default()));
    assert_eq!(policy.hedge, Some(gateway_layers::hedge::HedgeConfig::default()));
    let [mirror] = policy.mirrors.as_slice() else { panic!("{policy:?}") };
    assert_eq!(mirror.to, Destination::Cluster("pictures".to_owned()));
    assert_eq!(mirror.settings.percent, 10.0);
    let compare = mirror.settings.compare.as_ref().unwrap();
    assert_eq!((compare.ignore.len(), compare.unordered.len()), (1, 1));
    let fallback = policy.fallback.unwrap();
    assert_eq!(fallback.to, FallbackTo::Destination(Destination::Cluster("carts".to_owned())));
    assert_eq!(fallback.config.on, FailureKind::ALL);
    assert_eq!(policy.request_headers.set.len(), 1);
    assert_eq!(policy.request_headers.add.len(), 1);
    assert_eq!(policy.response_headers.remove, ["server"]);
    let fallback = route("pictures").policy.fallback.unwrap();
    assert!(matches!(fallback.to, FallbackTo::Respond(Respond { .. })), "{fallback:?}");
}

#[test]
fn routes() {
    let orders = route("orders");
    assert_eq!(orders.metadata.value("team"), Some("shop"));
    assert_eq!(orders.listeners, ["public"]);
    assert_eq!((orders.matches[0].headers.len(), orders.matches[0].query.len()), (2, 1));
    assert_eq!(route("pictures").matches.len(), 2);
}

#[test]
fn targets() {
    let expected = Redirect::new().prefix("/orders").unwrap();
    assert_eq!(route("shop").target, Target::Redirect(expected));
    let Target::Respond(respond) = route("health").target else { panic!() };
    assert_eq!((respond.status, respond.body.as_str()), (StatusCode::OK, "ok\n"));
    let Target::Split(split) = route("discovered").target else { panic!() };
    assert_eq!(split.entries.len(), 8);
    let (first, last) = (&split.entries[0], &split.entries[7]);
    assert_eq!((first.name.as_str(), first.request_headers.set.len()), ("file", 1));
    assert_eq!((last.name.as_str(), last.weight), ("from-registry-by-type", 0));
    assert_eq!(split.by, ["cookie:session".parse().unwrap()]);
    assert_eq!(split.force_header, Some("x-variant".parse().unwrap()));
    assert_eq!(route("registry").target, Target::Registry);
    let Target::Capability(target) = route("resources").target else { panic!() };
    assert_eq!(target.metadata, ["resource_type"]);
    let pair = |value: &str| vec![("resource_type".to_owned(), value.to_owned())];
    assert_eq!((target.param, target.query), (pair("type"), pair("type")));
    assert_eq!((target.header.len(), target.first), (1, false));
}

#[test]
fn tables() {
    let document = full();
    assert_eq!(document.startup, Startup::default());
    assert_eq!(document.admin, Some(Admin::new("127.0.0.1:9901".parse().unwrap())));
    let registry = document.registry.unwrap();
    assert!(registry.tokens.is_some());
    assert_eq!(registry.allow, ["10.0.0.0/8", "orders.internal"]);
    assert_eq!(registry.ports, [8000..=8999, 9000..=9000]);
    assert_eq!(registry.leases, LeaseConfig::default());
    assert_eq!(registry.checks, CheckConfig::default());
    assert_eq!(registry.limits, RegistryLimits::default());
    let redis = registry.redis.unwrap();
    assert_eq!((redis.url.as_str(), redis.prefix.as_str()), ("redis://127.0.0.1:6379", "gateway"));
}

#[test]
fn audit() {
    use gateway_layers::audit::{AuditKind, AuditPrincipal, SinkConfig};

    let audit = full().audit.unwrap();
    let kinds = AuditKind::ALL.iter().filter(|kind| **kind != AuditKind::Audit).copied();
    assert_eq!(audit.events, kinds.collect::<Vec<_>>());
    let key = "16 letters or more that nobody guesses";
    assert_eq!(audit.principal, AuditPrincipal::Hashed(key.into()));
    assert_eq!((audit.log, audit.flush), (true, seconds(5)));
    assert_eq!(audit.file.as_deref(), Some("audit.jsonl".as_ref()));
    let http = audit.http.unwrap();
    assert_eq!(http.url.reveal(), "https://audit.example/events");
    assert_eq!(http.token, Some("a token that the receiver knows".into()));
    assert_eq!((http.ca, http.settings), (None, SinkConfig::default()));
}

#[test]
fn edge_policies() {
    use gateway_layers::{cors, csrf, security_headers};

    let policy = route("carts").policy;
    let cors = policy.cors.unwrap();
    let patterns = ["https://*.example.com", "http://localhost:*"];
    let expected = cors::CorsConfig::new(patterns.map(|pattern| pattern.parse().unwrap()))
        .allow_headers([http::header::CONTENT_TYPE])
        .expose_headers([http::header::ETAG])
        .max_age(seconds(300));
    assert_eq!(*cors.config(), expected);
    let security = policy.security_headers.unwrap();
    assert_eq!(*security.config(), security_headers::SecurityHeadersConfig::default());
    let ip = policy.ip.unwrap();
    assert_eq!((ip.allowed().unwrap().len(), ip.denied().len()), (2, 1));
    assert_eq!(policy.methods.unwrap().methods().len(), 3);
    assert_eq!(policy.content_types.unwrap().ranges().len(), 2);
    let expected = csrf::CsrfConfig::default()
        .trusted_origins(["https://app.example.com".parse().unwrap()])
        .cookies(["session"]);
    assert_eq!(*policy.csrf.unwrap().config(), expected);
    assert!(route("orders").policy.cors.is_none());
}
