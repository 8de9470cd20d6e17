use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use gateway_core::{
    Body, ConnectionInfo, Error, Module, Outcome, Reason, Request, RequestContext, Response, Tasks,
    module_fn,
};
use http::HeaderName;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn settings(limit: usize, queue: usize) -> ConcurrencyConfig {
    ConcurrencyConfig { limit, queue, ..ConcurrencyConfig::default() }
}

fn shedding(limit: usize) -> ConcurrencyConfig {
    ConcurrencyConfig { shed: Some(ShedConfig::default()), ..settings(limit, 10) }
}

fn request() -> Request {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

fn request_of(priority: &str) -> Request {
    let mut request = request();
    request.headers_mut().insert("x-priority", priority.parse().unwrap());
    request
}

fn answers_after(delay: Duration) -> Module {
    Module::new(module_fn(move |_: Request| async move {
        sleep(delay).await;
        Ok::<_, Error>(Response::new("done".into()))
    }))
}

fn never() -> Module {
    Module::new(module_fn(|_: Request| pending::<Outcome>()))
}

fn layer(limit: &ConcurrencyLimit) -> ConcurrencyLayer {
    ConcurrencyLayer::new(limit.clone()).priority_header(HeaderName::from_static("x-priority"))
}

/// Sends a request through `limit` to `module`.
fn send(
    limit: &ConcurrencyLimit,
    module: Module,
    request: Request,
) -> impl Future<Output = Outcome> + use<> {
    Box::pin(layer(limit).layer(module).oneshot(request))
}

fn begun<F: Future<Output = Outcome> + Unpin>(mut future: F) -> F {
    assert!((&mut future).now_or_never().is_none(), "it is under way or waits");
    future
}

fn reason(outcome: Outcome) -> Reason {
    outcome.unwrap_err().reason()
}

#[tokio::test(start_paused = true)]
async fn the_permit_is_held_until_the_body_ends() {
    let limit = ConcurrencyLimit::new(settings(1, 0));
    let response = send(&limit, answers_after(SECOND), request()).await.unwrap();
    assert_eq!(limit.status().in_use, 1);
    let rejected = send(&limit, never(), request()).await;
    assert_eq!(reason(rejected), Reason::ConcurrencyLimit);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
    let status = limit.status();
    assert_eq!((status.in_use, status.rejected), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_permit_comes_back_however_the_request_ends() {
    let limit = ConcurrencyLimit::new(settings(1, 0));
    let fails = Module::new(module_fn(async |_: Request| {
        Err::<Response, _>(Error::new(Reason::ModuleFailed))
    }));
    assert_eq!(reason(send(&limit, fails, request()).await), Reason::ModuleFailed);
    assert_eq!(limit.status().in_use, 0, "an error");
    let left = begun(send(&limit, never(), request()));
    assert_eq!(limit.status().in_use, 1);
    drop(left);
    assert_eq!(limit.status().in_use, 0, "a future given up");
    drop(send(&limit, answers_after(SECOND), request()).await.unwrap());
    assert_eq!(limit.status().in_use, 0, "a body given up");
    let empty =
        Module::new(module_fn(async |_: Request| Ok::<_, Error>(Response::new(Body::empty()))));
    let response = send(&limit, empty, request()).await.unwrap();
    assert_eq!(limit.status().in_use, 1, "an empty body is not yet sent");
    drop(response);
    assert_eq!(limit.status().in_use, 0, "an empty body");
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_begins_when_another_ends() {
    let limit = ConcurrencyLimit::new(settings(1, 1));
    let first = begun(send(&limit, never(), request()));
    let second = begun(send(&limit, answers_after(SECOND), request()));
    assert_eq!((limit.status().in_use, limit.status().queued), (1, 1));
    let third = send(&limit, never(), request()).await;
    assert_eq!(reason(third), Reason::ConcurrencyLimit);
    drop(first);
    assert!(second.await.is_ok());
    assert_eq!((limit.status().in_use, limit.status().queued), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_queue_timeout() {
    let limit = ConcurrencyLimit::new(settings(1, 1));
    let _first = begun(send(&limit, never(), request()));
    let began = Instant::now();
    let outcome = send(&limit, never(), request()).await;
    assert_eq!(reason(outcome), Reason::QueueTimeout);
    assert_eq!(began.elapsed(), 100 * MILLISECOND);
    let status = limit.status();
    assert_eq!((status.queued, status.timed_out, status.in_use), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_beyond_the_deadline_of_the_request() {
    let limit = ConcurrencyLimit::new(settings(1, 1));
    let _first = begun(send(&limit, never(), request()));
    let late = request();
    let context = late.extensions().get::<RequestContext>().unwrap().clone();
    context.set_deadline(Instant::now() + 30 * MILLISECOND);
    let began = Instant::now();
    let error = send(&limit, never(), late).await.unwrap_err();
    assert_eq!((error.reason(), error.is_unsent()), (Reason::RouteTimeout, true));
    assert_eq!(began.elapsed(), 30 * MILLISECOND);
    assert_eq!(limit.status().timed_out, 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_timeout_nobody_waits() {
    let mut settings = settings(1, 10);
    settings.queue_timeout = Duration::ZERO;
    let limit = ConcurrencyLimit::new(settings);
    let _first = begun(send(&limit, never(), request()));
    assert_eq!(reason(send(&limit, never(), request()).await), Reason::ConcurrencyLimit);
}

#[tokio::test(start_paused = true)]
async fn a_queue_timeout_beyond_all_time_is_a_long_one() {
    let mut settings = settings(1, 1);
    settings.queue_timeout = Duration::MAX;
    let limit = ConcurrencyLimit::new(settings);
    let first = begun(send(&limit, never(), request()));
    let second = begun(send(&limit, answers_after(SECOND), request()));
    sleep(3600 * SECOND).await;
    drop(first);
    assert!(second.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_more_important_go_first_and_equals_in_their_order() {
    let limit = ConcurrencyLimit::new(settings(1, 10));
    let first = begun(send(&limit, never(), request()));
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiting = ["low 1", "normal 1", "critical 1", "normal 2", "high 1", "low 2"].map(|name| {
        let order = Arc::clone(&order);
        let module = Module::new(module_fn(move |_: Request| {
            order.lock().unwrap().push(name);
            async { Ok::<_, Error>(Response::new(Body::empty())) }
        }));
        let priority = name.split(' ').next().unwrap();
        begun(send(&limit, module, request_of(priority)))
    });
    drop(first);
    join_all(waiting.map(|waiting| waiting.map(|outcome| drop(outcome.unwrap())))).await;
    let expected = ["critical 1", "high 1", "normal 1", "normal 2", "low 1", "low 2"];
    assert_eq!(*order.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_less_important_gives_its_place_in_a_full_queue() {
    let limit = ConcurrencyLimit::new(settings(1, 2));
    let first = begun(send(&limit, never(), request()));
    let older = begun(send(&limit, answers_after(MILLISECOND), request_of("low")));
    let younger = begun(send(&limit, never(), request_of("low")));
    let critical = begun(send(&limit, answers_after(MILLISECOND), request_of("critical")));
    let error = younger.await.unwrap_err();
    assert_eq!(error.reason(), Reason::LoadShed);
    assert!(error.retry_after().unwrap() >= SECOND);
    let equal = send(&limit, never(), request_of("low")).await;
    assert_eq!(reason(equal), Reason::ConcurrencyLimit);
    drop(first);
    assert!(critical.await.is_ok() && older.await.is_ok());
    let status = limit.status();
    assert_eq!((status.shed, status.rejected, status.queued, status.in_use), (1, 1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn classes_are_shed_one_after_the_other() {
    let limit = ConcurrencyLimit::new(shedding(10));
    let mut under_way = Vec::new();
    for (priority, admitted) in [("low", 7), ("normal", 2), ("high", 1)] {
        for _ in 0..admitted {
            under_way.push(begun(send(&limit, never(), request_of(priority))));
        }
        if priority != "high" {
            let error = send(&limit, never(), request_of(priority)).await.unwrap_err();
            assert_eq!(error.reason(), Reason::LoadShed, "{priority}");
        }
    }
    assert_eq!((limit.status().in_use, limit.status().shed), (10, 2));
    let _waits = begun(send(&limit, never(), request_of("critical")));
    assert_eq!(limit.status().queued, 1);
    assert_eq!(reason(send(&limit, never(), request_of("normal")).await), Reason::LoadShed);
}

#[tokio::test(start_paused = true)]
async fn a_share_of_a_small_limit_is_one_request() {
    let limit = ConcurrencyLimit::new(shedding(1));
    let _first = begun(send(&limit, never(), request_of("low")));
    assert_eq!(limit.status().in_use, 1);
}

#[tokio::test]
async fn clients_are_not_asked_how_important_they_are() {
    let limit = ConcurrencyLimit::new(shedding(10));
    let _others: Vec<_> = (0..9).map(|_| begun(send(&limit, never(), request()))).collect();
    let plain = ConcurrencyLayer::new(limit.clone()).layer(never());
    assert_eq!(reason(plain.oneshot(request_of("critical")).await), Reason::LoadShed);
    let told = ConcurrencyLayer::new(limit.clone()).priority_of(|_| Priority::Critical);
    let _admitted = begun(Box::pin(told.layer(never()).oneshot(request())));
    assert_eq!(limit.status().in_use, 10);
}

#[tokio::test(start_paused = true)]
async fn the_rejected_are_told_when_their_turn_would_come() {
    let limit = ConcurrencyLimit::new(settings(10, 0));
    let rejected = async |limit: &ConcurrencyLimit| {
        let error = send(limit, never(), request()).await.unwrap_err();
        error.retry_after().unwrap()
    };
    let held: Vec<_> = (0..10).map(|_| begun(send(&limit, never(), request()))).collect();
    assert_eq!(rejected(&limit).await, SECOND, "nothing is known yet");
    // One comes back every four seconds.
    let mut held = held.into_iter();
    sleep(4 * SECOND).await;
    drop(held.next());
    let _again = begun(send(&limit, never(), request()));
    assert_eq!(rejected(&limit).await, 4 * SECOND);
    sleep(SECOND / 2).await;
    assert_eq!(rejected(&limit).await, 4 * SECOND, "no interval has passed since");
    // Ten in a second: less than a second each, and no less than a second is ever said.
    sleep(SECOND).await;
    drop(held);
    let _held: Vec<_> = (0..9).map(|_| begun(send(&limit, never(), request()))).collect();
    assert_eq!(rejected(&limit).await, SECOND);
    sleep(3600 * SECOND).await;
    assert_eq!(rejected(&limit).await, SECOND, "what was long ago says nothing");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_largest_numbers_counts() {
    let limit = ConcurrencyLimit::new(settings(usize::MAX, usize::MAX));
    let _first = begun(send(&limit, never(), request()));
    assert_eq!((limit.status().limit, limit.status().in_use), (4_194_303, 1));
    let none = ConcurrencyLimit::new(settings(0, 0));
    assert_eq!(none.status().limit, 1);
}

#[tokio::test(start_paused = true)]
async fn one_limit_in_front_of_two_modules() {
    let limit = ConcurrencyLimit::new(settings(1, 0));
    let layer = ConcurrencyLayer::new(limit.clone());
    let (orders, users) = (layer.layer(never()), layer.layer(never()));
    let _first = begun(Box::pin(orders.oneshot(request())));
    assert_eq!(reason(users.oneshot(request()).await), Reason::ConcurrencyLimit);
}

#[test]
fn priorities_are_words() {
    for priority in Priority::ALL {
        assert_eq!(priority.as_str().parse(), Ok(priority));
    }
    assert_eq!("Critical".parse(), Ok(Priority::Critical));
    assert_eq!("urgent".parse::<Priority>(), Err(UnknownPriority));
}

/// A server that works on `capacity` requests at the same time, and lets the others wait inside.
fn server(capacity: &Arc<Semaphore>, latency: Duration) -> Module {
    let capacity = Arc::clone(capacity);
    Module::new(module_fn(move |_: Request| {
        let capacity = Arc::clone(&capacity);
        async move {
            let _working = capacity.acquire().await.map_err(|_| Reason::ModuleFailed)?;
            sleep(latency).await;
            Ok::<_, Error>(Response::new(Body::empty()))
        }
    }))
}

/// The usual limit of the next five seconds: one look may fall into a probe.
async fn usual(limit: &ConcurrencyLimit) -> usize {
    let mut limits = Vec::new();
    for _ in 0..51 {
        sleep(100 * MILLISECOND).await;
        limits.push(limit.status().limit);
    }
    limits.sort_unstable();
    limits[25]
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_converges_near_the_capacity_and_recovers() {
    let mut settings = settings(512, 200);
    settings.queue_timeout = SECOND;
    settings.adaptive = Some(AdaptiveConfig { min: 4, max: 400, ..AdaptiveConfig::default() });
    let limit = ConcurrencyLimit::new(settings);
    assert_eq!(limit.status().limit, 4);
    let capacity = Arc::new(Semaphore::new(20));
    let module = server(&capacity, 20 * MILLISECOND);
    let tasks = Tasks::new();
    for _ in 0..150 {
        let (limit, module) = (limit.clone(), module.clone());
        tasks.spawn("client", async move {
            loop {
                if send(&limit, module.clone(), request()).await.is_err() {
                    sleep(10 * MILLISECOND).await;
                }
            }
        });
    }
    sleep(60 * SECOND).await;
    let found = usual(&limit).await;
    assert!((20..=40).contains(&found), "{found} for 20");
    let taken = capacity.acquire_many(15).await.unwrap();
    sleep(60 * SECOND).await;
    let found = usual(&limit).await;
    assert!((4..=14).contains(&found), "{found} for 5");
    drop(taken);
    sleep(120 * SECOND).await;
    let found = usual(&limit).await;
    assert!((20..=40).contains(&found), "{found} for 20 again");
    tasks.abort();
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_shrinks_when_requests_fail_or_are_given_up_late() {
    for overdue in [false, true] {
        let mut settings = settings(512, 0);
        let window = 100 * MILLISECOND;
        settings.adaptive = Some(AdaptiveConfig { min: 2, window, ..AdaptiveConfig::default() });
        let limit = ConcurrencyLimit::new(settings);
        let failing = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&failing);
        let module = Module::new(module_fn(move |_: Request| {
            let fails = seen.load(Ordering::Relaxed);
            async move {
                sleep(10 * MILLISECOND).await;
                match (fails, overdue) {
                    (false, _) => Ok(Response::new(Body::empty())),
                    (true, false) => Err(Error::new(Reason::UpstreamClosed)),
                    (true, true) => pending().await,
                }
            }
        }));
        let round = async || {
            let sent = (0..100).map(|_| {
                let request = request();
                let context = request.extensions().get::<RequestContext>().unwrap().clone();
                let deadline = context.set_deadline(Instant::now() + 20 * MILLISECOND);
                tokio::time::timeout_at(deadline, send(&limit, module.clone(), request))
            });
            join_all(sent).await;
        };
        for _ in 0..100 {
            round().await;
        }
        let healthy = limit.status().limit;
        assert!(healthy >= 50, "{healthy}");
        failing.store(true, Ordering::Relaxed);
        for _ in 0..700 {
            round().await;
        }
        assert_eq!(limit.status().limit, 2, "overdue: {overdue}");
        assert_eq!(limit.status().in_use, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn tunnel_gives_its_permit_back() {
    let limit = ConcurrencyLimit::new(settings(1, 0));
    let switches = Module::new(module_fn(async |_: Request| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        Ok::<_, Error>(response)
    }));
    let response = send(&limit, switches, request()).await.unwrap();
    assert_eq!(limit.status().in_use, 0, "while the tunnel is open");
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_shrinks_when_calls_fail_in_their_trailers() {
    for (status, shrinks) in [("14", true), ("5", false)] {
        let mut settings = settings(512, 0);
        let window = 100 * MILLISECOND;
        settings.adaptive = Some(AdaptiveConfig { min: 2, window, ..AdaptiveConfig::default() });
        let limit = ConcurrencyLimit::new(settings);
        let failing = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&failing);
        let module = Module::new(module_fn(move |_: Request| {
            let status = if seen.load(Ordering::Relaxed) { status } else { "0" };
            async move {
                sleep(10 * MILLISECOND).await;
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static(status));
                let frames = [Ok::<_, Error>(Frame::trailers(trailers))];
                let body = StreamBody::new(futures_util::stream::iter(frames));
                Ok::<_, Error>(Response::new(Body::new(body)))
            }
        }));
        let round = async || {
            let calls = (0..100).map(|_| {
                let mut request = request();
                *request.method_mut() = http::Method::POST;
                let kind = http::HeaderValue::from_static("application/grpc");
                request.headers_mut().insert("content-type", kind);
                let answered = send(&limit, module.clone(), request);
                async move {
                    if let Ok(response) = answered.await {
                        response.into_body().collect().await.unwrap();
                    }
                }
            });
            join_all(calls).await;
        };
        for _ in 0..100 {
            round().await;
        }
        let healthy = limit.status().limit;
        assert!(healthy >= 50, "{healthy}");
        failing.store(true, Ordering::Relaxed);
        for _ in 0..700 {
            round().await;
        }
        let now = limit.status().limit;
        assert_eq!(now == 2, shrinks, "{status}: {now}");
        assert_eq!(limit.status().in_use, 0);
    }
}
