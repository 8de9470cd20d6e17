use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gateway_core::context::Principal;
use gateway_core::{
    Body, Clock, ConnectionInfo, Error, FixedResponse, Gateway, ListenerInfo, Module,
    ModuleService, Outcome, Reason, Request, RequestContext, Response, Route, RouteMatch,
};
use http::{HeaderName, StatusCode};
use tokio::time::{Instant, advance};
use tower::{Layer, Service, ServiceBuilder};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A request of the client with this address.
pub(super) fn from(ip: &str) -> Request {
    let peer = SocketAddr::new(ip.parse::<IpAddr>().unwrap(), 1000);
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), Some(peer), None);
    let context = RequestContext::new(Arc::new(connection), Instant::now());
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(context);
    request
}

/// The same of somebody who is known.
fn by(ip: &str, subject: &str, method: &'static str, tier: Option<&str>) -> Request {
    let request = from(ip);
    let mut principal = Principal::new(subject, method);
    principal.tier = tier.map(Into::into);
    let context = request.extensions().get::<RequestContext>().unwrap();
    assert!(context.set_principal(Arc::new(principal)));
    request
}

fn layer(limits: impl Into<RateLimitConfig>) -> RateLimitLayer {
    RateLimitLayer::new(limits).unwrap()
}

async fn call(layer: &RateLimitLayer, request: Request) -> Outcome {
    let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    layer.layer(module).call(request).await
}

/// How many of `count` requests pass.
async fn passed(layer: &RateLimitLayer, count: usize, request: impl Fn() -> Request) -> usize {
    let mut passed = 0;
    for _ in 0..count {
        passed += usize::from(call(layer, request()).await.is_ok());
    }
    passed
}

fn rejected(outcome: Outcome) -> Error {
    outcome.map(|_| ()).unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn the_burst_passes_then_the_rate() {
    let layer = layer(Limit::per_minute(100).by_ip());
    assert_eq!(passed(&layer, 150, || from("10.0.0.1")).await, 100);
    advance(6 * SECOND).await;
    assert_eq!(passed(&layer, 50, || from("10.0.0.1")).await, 10);
    // Somebody else has his own.
    assert_eq!(passed(&layer, 150, || from("10.0.0.2")).await, 100);
    let status = layer.limiter().status();
    assert_eq!((status.admitted, status.rejected, status.store_status.keys), (210, 140, 2));
    assert_eq!(status.limits[0].over, 140);
}

#[tokio::test(start_paused = true)]
async fn who_is_rejected_is_told_when_one_passes_and_is_not_charged() {
    let layer = layer(Limit::per_minute(6).by_ip().burst(2));
    assert_eq!(passed(&layer, 2, || from("10.0.0.1")).await, 2);
    for _ in 0..50 {
        let error = rejected(call(&layer, from("10.0.0.1")).await);
        assert_eq!(error.reason(), Reason::RateLimited);
        assert_eq!(error.retry_after(), Some(10 * SECOND));
        assert!(error.detail().contains("`limit`"), "{}", error.detail());
    }
    advance(10 * SECOND - Duration::from_nanos(1)).await;
    assert!(call(&layer, from("10.0.0.1")).await.is_err());
    advance(Duration::from_nanos(1)).await;
    assert!(call(&layer, from("10.0.0.1")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_sliding_window_lets_its_limit_pass_in_any_window() {
    let layer = layer(Limit::per_minute(10).algorithm(Algorithm::SlidingWindow));
    assert_eq!(passed(&layer, 4, || from("10.0.0.1")).await, 4);
    advance(30 * SECOND).await;
    assert_eq!(passed(&layer, 20, || from("10.0.0.1")).await, 6);
    advance(30 * SECOND).await;
    assert_eq!(passed(&layer, 20, || from("10.0.0.1")).await, 4);
    let error = rejected(call(&layer, from("10.0.0.1")).await);
    assert_eq!(error.retry_after(), Some(30 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn addresses_of_one_client_are_one() {
    let layer = layer(Limit::per_minute(1).by_ip());
    assert!(call(&layer, from("2001:db8:1:2::1")).await.is_ok());
    assert!(call(&layer, from("2001:db8:1:2:ffff::9")).await.is_err());
    assert!(call(&layer, from("2001:db8:1:3::1")).await.is_ok());
    assert!(call(&layer, from("192.0.2.1")).await.is_ok());
    assert!(call(&layer, from("::ffff:192.0.2.1")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_an_untrusted_peer_forwards_changes_nothing() {
    let layer = layer(Limit::per_minute(1).by_ip());
    let gateway = gateway(&layer);
    for (index, status) in [(1, 204), (2, 429), (3, 429)] {
        let mut request = from("192.0.2.1");
        let said = format!("198.51.100.{index}").parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", said);
        assert_eq!(answer(&gateway, request).await.status().as_u16(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn principals_are_counted_wherever_they_come_from() {
    let layer = layer(Limit::per_minute(1).by_principal());
    assert!(call(&layer, by("10.0.0.1", "ada", "jwt", None)).await.is_ok());
    assert!(call(&layer, by("10.0.0.2", "ada", "jwt", None)).await.is_err());
    assert!(call(&layer, by("10.0.0.1", "bob", "jwt", None)).await.is_ok());
    // The same name by another way is somebody else.
    assert!(call(&layer, by("10.0.0.1", "ada", "basic", None)).await.is_ok());
    // Nobody is known: by address.
    assert!(call(&layer, from("10.0.0.1")).await.is_ok());
    assert!(call(&layer, from("10.0.0.1")).await.is_err());
    assert!(call(&layer, from("10.0.0.2")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn api_keys_are_counted_and_other_principals_by_address() {
    let layer = layer(Limit::per_minute(1).by_api_key());
    assert!(call(&layer, by("10.0.0.1", "k1", "api_key", None)).await.is_ok());
    assert!(call(&layer, by("10.0.0.2", "k1", "api_key", None)).await.is_err());
    assert!(call(&layer, by("10.0.0.1", "ada", "jwt", None)).await.is_ok());
    assert!(call(&layer, by("10.0.0.1", "bob", "jwt", None)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_key_do_not_run_into_one_another() {
    let (a, b) = (HeaderName::from_static("x-a"), HeaderName::from_static("x-b"));
    let both = [KeyPart::Header(a.clone()), KeyPart::Header(b.clone())];
    let layer = layer(Limit::per_minute(1).by(both));
    let request = |one: &str, two: &str| {
        let mut request = from("10.0.0.1");
        request.headers_mut().insert(a.clone(), one.parse().unwrap());
        request.headers_mut().insert(b.clone(), two.parse().unwrap());
        request
    };
    assert!(call(&layer, request("ab", "c")).await.is_ok());
    assert!(call(&layer, request("a", "bc")).await.is_ok());
    assert!(call(&layer, request("a", "bc")).await.is_err());
    // Who leaves the field out is counted by address.
    assert!(call(&layer, from("10.0.0.1")).await.is_ok());
    assert!(call(&layer, from("10.0.0.1")).await.is_err());
    assert!(call(&layer, from("10.0.0.2")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_tier_has_its_own_numbers() {
    let layer = layer(Limit::per_minute(2).by_principal().tier("gold", 5));
    let count = |tier| passed(&layer, 9, move || by("10.0.0.1", "ada", "jwt", tier));
    assert_eq!(count(Some("gold")).await, 5);
    assert_eq!(count(None).await, 2);
    // A tier that nobody knows is everybody's, and shares with it.
    assert_eq!(count(Some("lead")).await, 0);
}

#[tokio::test(start_paused = true)]
async fn several_limits_are_charged_together_or_not_at_all() {
    let wide = Limit::per_minute(10).by([]).name("all");
    let narrow = Limit::per_minute(2).by_ip().name("each");
    let layer = layer([wide, narrow]);
    assert_eq!(passed(&layer, 8, || from("10.0.0.1")).await, 2);
    let outlook = layer.limiter().peek(&from("10.0.0.1")).await.unwrap();
    assert!(!outlook.admitted);
    // The six that `each` rejected took nothing from `all`.
    assert_eq!(outlook.limits[0].level.remaining, 8);
    assert_eq!(outlook.limits[1].level.remaining, 0);
    for host in 2..6 {
        assert_eq!(passed(&layer, 8, || from(&format!("10.0.0.{host}"))).await, 2);
    }
    let error = rejected(call(&layer, from("10.0.0.9")).await);
    assert!(error.detail().contains("`all`"), "{}", error.detail());
    let each = layer.limiter().peek(&from("10.0.0.9")).await.unwrap().limits[1].level;
    assert_eq!(each.remaining, 2);
}

#[tokio::test(start_paused = true)]
async fn to_look_spends_nothing() {
    let layer = layer(Limit::per_minute(3).by_ip());
    for _ in 0..10 {
        let outlook = layer.limiter().peek(&from("10.0.0.1")).await.unwrap();
        assert!(outlook.admitted);
        assert_eq!(outlook.limits[0].level.remaining, 3);
    }
    assert_eq!(layer.limiter().status().admitted, 0);
    assert_eq!(passed(&layer, 5, || from("10.0.0.1")).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_limit_in_shadow_counts_and_rejects_nobody() {
    let shadow = Limit::per_minute(2).by_ip().name("new").shadow();
    let layer = layer([shadow, Limit::per_minute(5).by_ip().name("old")]);
    assert_eq!(passed(&layer, 8, || from("10.0.0.1")).await, 5);
    let status = layer.limiter().status();
    assert!(status.limits[0].shadow);
    assert_eq!((status.limits[0].over, status.limits[1].over), (6, 3));
}

#[tokio::test(start_paused = true)]
async fn requests_cost_what_is_said() {
    let heavy = |request: &Request| if request.uri().path() == "/heavy" { 4 } else { 0 };
    let limit = Limit::per_minute(60).by_ip().burst(10);
    let limiter = RateLimiter::builder(limit).cost_of(heavy).build().unwrap();
    let layer = RateLimitLayer::from(limiter);
    let request = || {
        let mut request = from("10.0.0.1");
        *request.uri_mut() = "/heavy".parse().unwrap();
        request
    };
    assert_eq!(passed(&layer, 5, request).await, 2);
    assert_eq!(rejected(call(&layer, request()).await).retry_after(), Some(2 * SECOND));
    // What costs nothing passes.
    assert_eq!(passed(&layer, 5, || from("10.0.0.1")).await, 5);
    let dear = RateLimitLayer::new(Limit::per_minute(3).cost(4)).unwrap();
    let error = rejected(call(&dear, from("10.0.0.1")).await);
    assert_eq!((error.reason(), error.retry_after()), (Reason::RateLimited, None));
}

/// A calendar's clock that is set by hand.
#[derive(Clone)]
struct Watch(Arc<Mutex<SystemTime>>);

impl Watch {
    fn at(date: &str) -> Self {
        Self(Arc::new(Mutex::new(httpdate::parse_http_date(date).unwrap())))
    }

    fn set(&self, date: &str) {
        *self.0.lock().unwrap() = httpdate::parse_http_date(date).unwrap();
    }
}

impl Clock for Watch {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_lasts_until_the_day_or_month_is_over() {
    let watch = Watch::at("Mon, 30 Nov 2026 23:00:00 GMT");
    let store = MemoryStore::with_clock(1000, watch.clone());
    let day = Limit::per_day(3).name("day");
    let month = Limit::per_month(5).name("month");
    let limiter = RateLimiter::builder([day, month]).with_store(store).build().unwrap();
    let layer = RateLimitLayer::from(limiter);
    let client = || from("10.0.0.1");
    assert_eq!(passed(&layer, 5, client).await, 3);
    let error = rejected(call(&layer, client()).await);
    assert_eq!(error.reason(), Reason::QuotaExceeded);
    assert_eq!(error.retry_after(), Some(3600 * SECOND));
    watch.set("Tue, 01 Dec 2026 00:00:00 GMT");
    assert_eq!(passed(&layer, 5, client).await, 3);
    watch.set("Wed, 02 Dec 2026 00:00:00 GMT");
    assert_eq!(passed(&layer, 5, client).await, 2);
    let error = rejected(call(&layer, client()).await);
    assert_eq!(error.retry_after(), Some(30 * 24 * 3600 * SECOND));
    // A clock that is set back gives nothing back.
    watch.set("Mon, 30 Nov 2026 12:00:00 GMT");
    assert_eq!(passed(&layer, 5, client).await, 0);
}

fn gateway(layer: &RateLimitLayer) -> Gateway {
    let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    let service = ServiceBuilder::new().layer(layer.clone()).service(module);
    let route = Route::new("all", Module::from_service(service));
    Gateway::builder().route(route.matching(RouteMatch::prefix("/").unwrap())).build().unwrap()
}

async fn answer(gateway: &Gateway, mut request: Request) -> Response {
    request.headers_mut().insert("host", "example.com".parse().unwrap());
    ModuleService::call(gateway, request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn answers_say_what_is_left() {
    let minute = Limit::per_minute(2).by_ip().name("minute").tier("gold", 4);
    let hidden = Limit::per_minute(1).by_ip().name("hidden").shadow();
    let day = Limit::per_hour(50).by_ip().name("hour").algorithm(Algorithm::SlidingWindow);
    let gateway = gateway(&layer([minute, hidden, day]));
    let field = |response: &Response, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let first = answer(&gateway, from("10.0.0.1")).await;
    assert_eq!(first.status(), StatusCode::NO_CONTENT);
    let policy = "\"minute\";q=2;w=60, \"hour\";q=50;w=3600";
    assert_eq!(field(&first, "ratelimit-policy").as_deref(), Some(policy));
    let left = "\"minute\";r=1;t=30, \"hour\";r=49;t=3600";
    assert_eq!(field(&first, "ratelimit").as_deref(), Some(left));
    answer(&gateway, from("10.0.0.1")).await;
    let third = answer(&gateway, from("10.0.0.1")).await;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(field(&third, "retry-after").as_deref(), Some("30"));
    let left = "\"minute\";r=0;t=30, \"hour\";r=48;t=3600";
    assert_eq!(field(&third, "ratelimit").as_deref(), Some(left));
    let gold = answer(&gateway, by("10.0.0.2", "ada", "jwt", Some("gold"))).await;
    let policy = field(&gold, "ratelimit-policy").unwrap();
    assert!(policy.starts_with("\"minute\";q=4;w=60"), "{policy}");
}

#[tokio::test(start_paused = true)]
async fn without_a_context_a_rejection_has_its_fields_all_the_same() {
    let layer = layer(Limit::per_minute(1).by_route());
    let request = || Request::new(Body::empty());
    assert!(call(&layer, request()).await.is_ok());
    let error = rejected(call(&layer, request()).await);
    assert_eq!(error.fields().len(), 2);
    let mut silent = RateLimitConfig::from(Limit::per_minute(1).by_route().cost(2));
    silent.headers = false;
    let error = rejected(call(&RateLimitLayer::new(silent).unwrap(), request()).await);
    assert!(error.fields().is_empty());
}

async fn flooded(limit: Limit) {
    let store = MemoryStore::with_keys(6400);
    let limiter = RateLimiter::builder(limit);
    let layer = RateLimitLayer::from(limiter.with_store(store).build().unwrap());
    assert_eq!(passed(&layer, 60, || from("192.0.2.1")).await, 50);
    advance(SECOND).await;
    for host in 0..30_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0A00_0000 + host).to_string();
        assert!(call(&layer, from(&address)).await.is_ok());
    }
    assert_eq!(passed(&layer, 5, || from("192.0.2.1")).await, 0);
    let status = layer.limiter().status().store_status;
    assert!(status.keys <= 6400 && status.evicted > 20_000, "{status:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_addresses_does_not_forget_who_is_used_up() {
    let limit = Limit::per_hour(50).by_ip();
    flooded(limit.clone()).await;
    flooded(limit.algorithm(Algorithm::SlidingWindow)).await;
    flooded(Limit::per_day(50).by_ip()).await;
}

#[tokio::test(start_paused = true)]
async fn stores_are_shared_by_name() {
    let store = MemoryStore::new();
    let limited = |name: &str| {
        let settings = RateLimitConfig::new(name, [Limit::per_minute(1).by_ip()]);
        let limiter = RateLimiter::builder(settings).with_store(store.clone());
        RateLimitLayer::from(limiter.build().unwrap())
    };
    let (orders, again, users) = (limited("orders"), limited("orders"), limited("users"));
    assert!(call(&orders, from("10.0.0.1")).await.is_ok());
    assert!(call(&again, from("10.0.0.1")).await.is_err());
    assert!(call(&users, from("10.0.0.1")).await.is_ok());
}

#[test]
fn threads_that_share_limits_admit_no_more_than_there_is() {
    let all = Limit::new(500, 1000 * SECOND).by([]).name("all");
    let each = Limit::new(200, 1000 * SECOND).by_ip().name("each");
    let layer = layer([all, each]);
    let passed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for host in 1..5 {
            let (layer, passed) = (&layer, &passed);
            scope.spawn(move || {
                for _ in 0..1000 {
                    let request = from(&format!("10.0.0.{host}"));
                    let outlook = futures_util::FutureExt::now_or_never(call(layer, request));
                    passed.fetch_add(u64::from(outlook.unwrap().is_ok()), Ordering::Relaxed);
                }
            });
        }
    });
    let passed = passed.into_inner();
    // Some tokens come back while the threads run.
    assert!((500..=510).contains(&passed), "{passed}");
    assert_eq!(layer.limiter().status().admitted, passed);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut zero = Limit::new(0, SECOND);
    zero.name = "a b".to_owned();
    let fast = Limit::per_second(100_000_000).name("fast");
    let settings = RateLimitConfig::new(
        "",
        [zero, fast.clone(), fast.burst(0), Limit::new(1, Duration::ZERO), Limit::default()],
    );
    let error = RateLimiter::new(settings).unwrap_err();
    let found: Vec<_> = error.problems().iter().map(|problem| problem.problem).collect();
    let expected = [
        Problem::Name,
        Problem::Name,
        Problem::Limit,
        Problem::TooFast,
        Problem::SameName,
        Problem::Burst,
        Problem::Per,
    ];
    assert_eq!(found, expected, "{error}");
    assert!(RateLimiter::new(Vec::new()).is_err());
    assert!(RateLimiter::new(vec![Limit::default(); 8]).is_ok());
    assert!(RateLimiter::new(vec![Limit::default(); 9]).is_err());
}

#[test]
fn names_of_documents_are_known() {
    assert_eq!(KeyPart::from_name("ip"), Some(KeyPart::Ip));
    let name = HeaderName::from_static("x-team");
    assert_eq!(KeyPart::from_name("header:X-Team"), Some(KeyPart::Header(name)));
    assert_eq!(KeyPart::from_name("header:"), None);
    assert_eq!(Algorithm::from_name("sliding_window"), Some(Algorithm::SlidingWindow));
    assert_eq!(Algorithm::from_name("leaky"), None);
}

#[tokio::test]
async fn rejects_clients_of_unknown_address() {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let connection = Arc::new(connection);
    let unknown = |principal: Option<&str>| {
        let context = RequestContext::new(Arc::clone(&connection), Instant::now());
        if let Some(subject) = principal {
            context.set_principal(Arc::new(Principal::new(subject, "jwt")));
        }
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(context);
        request
    };
    let by_ip = layer(Limit::per_minute(100).by_ip());
    let error = call(&by_ip, unknown(None)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ClientAddressUnknown);
    let error = by_ip.limiter().peek(&unknown(None)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ClientAddressUnknown);
    let by_principal = layer(Limit::per_minute(100).by([KeyPart::Principal]));
    assert!(call(&by_principal, unknown(None)).await.is_err());
    assert!(call(&by_principal, unknown(Some("a"))).await.is_ok());
    let by_route = layer(Limit::per_minute(100).by([KeyPart::Route]));
    assert!(call(&by_route, unknown(None)).await.is_ok());
}
