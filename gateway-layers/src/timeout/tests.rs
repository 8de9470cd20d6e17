use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_core::{
    Body, ConnectionInfo, Error, ListenerInfo, Module, Outcome, Reason, Request, RequestContext,
    RequestExt, Response, module_fn,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};

use super::{AttemptTimeoutLayer, TimeoutLayer};

fn request() -> Request {
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let mut request = Request::new(Body::empty());
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

fn request_with(name: &'static str, value: &str) -> Request {
    let mut request = request();
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn answers_after(delay: Duration) -> Module {
    Module::new(module_fn(move |_: Request| async move {
        sleep(delay).await;
        Ok::<_, Error>(Response::new("late".into()))
    }))
}

fn never() -> Module {
    Module::new(module_fn(|_: Request| pending::<Outcome>()))
}

async fn timed(layer: TimeoutLayer, module: Module, request: Request) -> (Outcome, Duration) {
    let began = Instant::now();
    let outcome = layer.layer(module).oneshot(request).await;
    (outcome, began.elapsed())
}

fn reason(outcome: Outcome) -> Reason {
    outcome.unwrap_err().reason()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes() {
    let layer = TimeoutLayer::new(SECOND);
    let (outcome, took) = timed(layer, answers_after(SECOND / 2), request()).await;
    assert!(outcome.is_ok());
    assert_eq!(took, SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_a_timeout() {
    let (outcome, took) = timed(TimeoutLayer::new(SECOND), never(), request()).await;
    assert_eq!(reason(outcome), Reason::RouteTimeout);
    assert_eq!(took, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_context_has_its_time_too() {
    let bare = Request::new(Body::empty());
    let (outcome, took) = timed(TimeoutLayer::new(SECOND), never(), bare).await;
    assert_eq!(reason(outcome), Reason::RouteTimeout);
    assert_eq!(took, SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_time_runs_from_the_head_not_from_the_layer() {
    let request = request();
    sleep(SECOND).await;
    let (outcome, took) = timed(TimeoutLayer::new(3 * SECOND), never(), request).await;
    assert_eq!(reason(outcome), Reason::RouteTimeout);
    assert_eq!(took, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn everyone_behind_sees_the_deadline() {
    let request = request();
    let context = request.context().unwrap().clone();
    let (outcome, _) = timed(TimeoutLayer::new(SECOND), answers_after(SECOND / 2), request).await;
    assert!(outcome.is_ok());
    assert_eq!(context.deadline(), Some(context.started() + SECOND));
}

#[tokio::test(start_paused = true)]
async fn clients_may_shorten_and_not_lengthen() {
    for (name, value, expected) in [
        ("grpc-timeout", "200m", SECOND / 5),
        ("grpc-timeout", "2S", SECOND),
        ("grpc-timeout", "99999999H", SECOND),
        ("grpc-timeout", "nonsense", SECOND),
        ("x-request-deadline-ms", "500", SECOND / 2),
        ("x-request-deadline-ms", "18446744073709551615", SECOND),
    ] {
        let request = request_with(name, value);
        let (outcome, took) = timed(TimeoutLayer::new(SECOND), never(), request).await;
        assert_eq!(reason(outcome), Reason::RouteTimeout);
        assert_eq!(took, expected, "{name}: {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn clients_are_not_heard_where_they_are_not_to_be() {
    let layer = TimeoutLayer::new(SECOND).honor_client_deadline(false);
    let (_, took) = timed(layer, never(), request_with("grpc-timeout", "1m")).await;
    assert_eq!(took, SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_is_late_already_is_not_begun() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let module = Module::new(module_fn(move |_: Request| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Error>(Response::new(Body::empty())) }
    }));
    let request = request_with("grpc-timeout", "0S");
    let (outcome, _) = timed(TimeoutLayer::new(SECOND), module, request).await;
    assert_eq!(reason(outcome), Reason::RouteTimeout);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn of_two_layers_the_nearer_deadline_ends_the_wait() {
    for (outer, inner) in [(SECOND, 3 * SECOND), (3 * SECOND, SECOND)] {
        let request = request();
        let context = request.context().unwrap().clone();
        let stack = TimeoutLayer::new(outer).layer(TimeoutLayer::new(inner).layer(never()));
        let began = Instant::now();
        assert_eq!(reason(stack.oneshot(request).await), Reason::RouteTimeout);
        assert_eq!(began.elapsed(), SECOND);
        assert_eq!(context.deadline(), Some(context.started() + outer));
    }
}

#[tokio::test]
async fn whoever_tries_sees_the_limit_of_a_try() {
    let request = request();
    let context = request.context().unwrap().clone();
    let stack =
        AttemptTimeoutLayer::new(SECOND).layer(AttemptTimeoutLayer::new(2 * SECOND).layer(
            Module::new(module_fn(|_: Request| async { Ok::<_, Error>(Response::default()) })),
        ));
    assert!(stack.oneshot(request).await.is_ok());
    assert_eq!(context.attempt_timeout(), Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_beyond_all_time_is_none() {
    let layer = TimeoutLayer::new(Duration::MAX);
    let request = request();
    let context = request.context().unwrap().clone();
    let (outcome, _) = timed(layer, answers_after(SECOND), request).await;
    assert!(outcome.is_ok());
    assert_eq!(context.deadline(), None);
}
