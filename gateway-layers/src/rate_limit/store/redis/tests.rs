//! Against a real server, which each test starts for itself.

use std::net::TcpListener;
use std::sync::Mutex;

use futures_util::future::join_all;
use gateway_core::{FixedResponse, Module, Observer, Outcome, Request, StateChanged};
use http::StatusCode;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service};

use super::super::super::tests::from;
use super::super::super::{Algorithm, Limit, RateLimitConfig, RateLimitLayer, RateLimiter};
use super::*;
use crate::testing::RedisServer;

/// What gateways share.
struct Server {
    redis: RedisServer,
}

impl Server {
    async fn start() -> Option<Self> {
        RedisServer::start().await.map(|redis| Self { redis })
    }

    fn settings(&self) -> RedisConfig {
        // The machine that runs the tests may be busy.
        let timeout = Duration::from_secs(5);
        let url = self.redis.url();
        RedisConfig { url, timeout, ..RedisConfig::default() }
    }

    /// The layer of one gateway; its requests fail when Redis is not asked.
    fn gateway(&self, limits: impl IntoIterator<Item = Limit>) -> RateLimitLayer {
        let settings = RedisConfig { on_unavailable: OnUnavailable::Closed, ..self.settings() };
        gateway(RedisStore::new(settings).unwrap(), limits)
    }
}

fn gateway(store: RedisStore, limits: impl IntoIterator<Item = Limit>) -> RateLimitLayer {
    let settings = RateLimitConfig::new("orders", limits);
    RateLimitLayer::from(RateLimiter::builder(settings).with_store(store).build().unwrap())
}

async fn call(layer: &RateLimitLayer, request: Request) -> Outcome {
    let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    layer.layer(module).call(request).await
}

async fn passed(layer: &RateLimitLayer, count: usize, ip: &str) -> usize {
    let mut passed = 0;
    for _ in 0..count {
        match call(layer, from(ip)).await {
            Ok(_) => passed += 1,
            Err(error) => assert_ne!(error.reason(), Reason::LimiterUnavailable),
        }
    }
    passed
}

/// The most of `times` that lie in one window, by when they were answered. What was decided within
/// a window was answered within one that is longer by the slowest answer.
fn most_within(mut times: Vec<(Instant, Instant)>, window: Duration) -> usize {
    times.sort();
    let ends = times.iter().map(|(_, answered)| *answered);
    let count = |end: Instant| {
        let inside =
            |(asked, answered): &&(Instant, Instant)| *answered <= end && *asked + window >= end;
        times.iter().filter(inside).count()
    };
    ends.map(count).max().unwrap_or(0)
}

async fn two_under_load(limit: Limit, promised: usize) {
    let Some(server) = Server::start().await else {
        return;
    };
    let window = limit.per;
    let gateways = [server.gateway([limit.clone()]), server.gateway([limit])];
    let until = Instant::now() + 4 * window;
    let client = |layer: RateLimitLayer| async move {
        let mut passed = Vec::new();
        while Instant::now() < until {
            let asked = Instant::now();
            match call(&layer, from("10.0.0.1")).await {
                Ok(_) => passed.push((asked, Instant::now())),
                Err(error) => assert_eq!(error.reason(), Reason::RateLimited),
            }
        }
        passed
    };
    let clients = gateways.iter().flat_map(|layer| (0..8).map(|_| client(layer.clone())));
    let passed: Vec<_> = join_all(clients).await.concat();
    for layer in &gateways {
        assert!(layer.limiter().status().admitted > 0);
    }
    // All limits were used up more than once, so this could have failed.
    assert!(passed.len() > promised, "{}", passed.len());
    let most = most_within(passed, window);
    assert!(most <= promised, "{most} of {promised}");
    assert!(most >= promised / 4, "{most} of {promised}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_together_admit_no_more_than_limit_and_burst() {
    two_under_load(Limit::per_second(40).by_ip().burst(20), 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_together_admit_no_more_than_a_sliding_window() {
    let limit = Limit::per_second(100).by_ip().algorithm(Algorithm::SlidingWindow);
    two_under_load(limit, 100).await;
}

#[tokio::test]
async fn limits_of_one_request_are_one_decision_in_redis_too() {
    let Some(server) = Server::start().await else {
        return;
    };
    let all = Limit::per_hour(10).by([]).name("all").algorithm(Algorithm::SlidingWindow);
    let each = Limit::per_hour(2).by_ip().name("each");
    let shadow = Limit::per_month(1).by([]).name("month").shadow();
    let layer = server.gateway([all, each, shadow]);
    assert_eq!(passed(&layer, 8, "10.0.0.1").await, 2);
    let outlook = layer.limiter().peek(&from("10.0.0.1")).await.unwrap();
    assert!(!outlook.admitted);
    let left: Vec<_> = outlook.limits.iter().map(|limit| limit.level.remaining).collect();
    assert_eq!(left, [8, 0, 0]);
    let wait = outlook.limits[1].level.retry_after.unwrap();
    assert!(wait > Duration::from_secs(1700) && wait <= Duration::from_secs(1800), "{wait:?}");
    let month = outlook.limits[2].level.retry_after.unwrap();
    assert!(month <= Duration::from_secs(31 * 24 * 3600), "{month:?}");
    for host in 2..7 {
        passed(&layer, 8, &format!("10.0.0.{host}")).await;
    }
    let status = layer.limiter().status();
    assert_eq!((status.admitted, status.store_status.away), (10, false));
    assert_eq!(status.limits[2].over, 1 + 38 + 8);
}

#[tokio::test]
async fn quotas_last_and_are_told_as_such() {
    let Some(server) = Server::start().await else {
        return;
    };
    let layer = server.gateway([Limit::per_day(3).by_ip()]);
    assert_eq!(passed(&layer, 3, "10.0.0.1").await, 3);
    // Another gateway, later.
    let later = server.gateway([Limit::per_day(3).by_ip()]);
    let error = call(&later, from("10.0.0.1")).await.map(drop).unwrap_err();
    assert_eq!(error.reason(), Reason::QuotaExceeded);
    assert!(error.retry_after().unwrap() <= Duration::from_secs(24 * 3600));
}

/// What observers heard.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Observer for Diary {
    fn state_changed(&self, event: &StateChanged<'_>) {
        self.0.lock().unwrap().push(format!("{} {}>{}", event.name, event.from, event.to));
    }
}

#[tokio::test]
async fn each_counts_its_share_while_redis_is_away_and_all_is_told() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let diary = Diary::default();
    let settings = RedisConfig { replicas: 2, ..server.settings() };
    let observers = Observers::new(vec![Arc::new(diary.clone())]);
    let store = RedisStore::observed(settings, observers).unwrap();
    let layer = gateway(store, [Limit::per_hour(10).by_ip()]);
    assert_eq!(passed(&layer, 4, "10.0.0.1").await, 4);
    server.redis.stop().await;
    assert_eq!(passed(&layer, 20, "10.0.0.1").await, 5);
    assert!(layer.limiter().status().store_status.away);
    assert!(server.redis.run().await);
    let back = async {
        while layer.limiter().status().store_status.away {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), back).await.unwrap();
    // It knows nothing any more, the script neither.
    assert_eq!(passed(&layer, 20, "10.0.0.1").await, 10);
    let told = diary.0.lock().unwrap().clone();
    assert_eq!(told, ["redis connecting>good", "redis good>away", "redis away>good"]);
}

async fn without_redis(on_unavailable: OnUnavailable) -> (usize, Option<Reason>) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", free.local_addr().unwrap());
    drop(free);
    let settings = RedisConfig { url, on_unavailable, ..RedisConfig::default() };
    let layer = gateway(RedisStore::new(settings).unwrap(), [Limit::per_hour(3).by_ip()]);
    let mut passed = 0;
    let mut reason = None;
    for _ in 0..10 {
        match call(&layer, from("10.0.0.1")).await {
            Ok(_) => passed += 1,
            Err(error) => reason = Some(error.reason()),
        }
    }
    (passed, reason)
}

#[tokio::test]
async fn without_redis_holds_what_is_configured() {
    assert_eq!(without_redis(OnUnavailable::Open).await, (10, None));
    let closed = (0, Some(Reason::LimiterUnavailable));
    assert_eq!(without_redis(OnUnavailable::Closed).await, closed);
    assert_eq!(without_redis(OnUnavailable::Share).await, (3, Some(Reason::RateLimited)));
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_the_deadline_once() {
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let settings = RedisConfig { url, ..RedisConfig::default() };
    let layer = gateway(RedisStore::new(settings).unwrap(), [Limit::per_hour(3).by_ip()]);
    assert!(!layer.limiter().status().store_status.away);
    assert!(call(&layer, from("10.0.0.1")).await.is_ok());
    assert!(layer.limiter().status().store_status.away);
    // Decided at once from now on.
    let next = call(&layer, from("10.0.0.1"));
    assert!(futures_util::FutureExt::now_or_never(next).unwrap().is_ok());
}

#[tokio::test]
async fn keys_expire_and_name_nobody() {
    let Some(server) = Server::start().await else {
        return;
    };
    let layer = server.gateway([Limit::per_second(10).by_ip().name("secret")]);
    assert_eq!(passed(&layer, 1, "203.0.113.77").await, 1);
    let client = Client::open(server.settings().url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let keys: Vec<_> = keys.into_iter().filter(|key| !key.ends_with(":probe")).collect();
    assert_eq!(keys.len(), 1);
    assert!(keys[0].starts_with("{gateway:"), "{keys:?}");
    assert!(!keys[0].contains("203.0.113") && !keys[0].contains("secret"), "{keys:?}");
    let left: i64 = cmd("PTTL").arg(&keys[0]).query_async(&mut connection).await.unwrap();
    assert!((1..=1100).contains(&left), "{left}");
}

#[test]
fn addresses_and_prefixes_are_checked_and_passwords_not_told() {
    let settings = |url: &str, prefix: &str| RedisConfig {
        url: url.to_owned(),
        prefix: prefix.to_owned(),
        ..RedisConfig::default()
    };
    assert!(RedisStore::new(settings("redis://127.0.0.1", "a{b}")).is_err());
    let wrong = settings("http://user:secret@127.0.0.1", "gateway");
    assert!(!format!("{wrong:?}").contains("secret"));
    let error = RedisStore::new(wrong).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
    let store = RedisStore::new(settings("redis://user:secret@127.0.0.1", "gateway")).unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}
