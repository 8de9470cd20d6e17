use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use gateway_core::{
    Body, ConnectionInfo, ListenerInfo, Module, Observer, Observers, Outcome, Reason, Request,
    RequestContext, Response, StateChanged, module_fn,
};
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, advance};
use tower::{Layer, Service};

use super::service::ResponseFuture;
use super::{
    Cause, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, CircuitBreakerService,
    RecoveryObserver, SlowCalls, State,
};

const SECOND: Duration = Duration::from_secs(1);

type Answer = Arc<dyn Fn() -> Outcome + Send + Sync>;

/// A breaker that opens with the fourth call if two of four failed, in front of a server that does
/// as it is told.
struct Server {
    breaker: CircuitBreaker,
    service: CircuitBreakerService<Module>,
    answer: Arc<Mutex<Option<Answer>>>,
    calls: Arc<AtomicUsize>,
}

fn config() -> CircuitBreakerConfig {
    CircuitBreakerConfig { min_requests: 4, ..CircuitBreakerConfig::default() }
}

fn status(code: u16) -> Outcome {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    Ok(response)
}

fn request() -> Request {
    Request::new(Body::empty())
}

fn request_with_context() -> (Request, RequestContext) {
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let context = RequestContext::new(Arc::new(connection), Instant::now());
    let mut request = request();
    request.extensions_mut().insert(context.clone());
    (request, context)
}

impl Server {
    fn new(config: CircuitBreakerConfig) -> Self {
        Self::observed(config, Observers::default())
    }

    fn observed(config: CircuitBreakerConfig, observers: Observers) -> Self {
        let breaker = CircuitBreaker::observed("orders", config, observers).unwrap();
        let answer: Arc<Mutex<Option<Answer>>> = Arc::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let (says, counted) = (Arc::clone(&answer), Arc::clone(&calls));
        let module = module_fn(move |_: Request| {
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = says.lock().unwrap().clone();
            async move {
                match answer {
                    Some(answer) => answer(),
                    None => pending().await,
                }
            }
        });
        let service = CircuitBreakerLayer::new(breaker.clone()).layer(Module::new(module));
        Self { breaker, service, answer, calls }
    }

    fn answers(&self, answer: impl Fn() -> Outcome + Send + Sync + 'static) {
        *self.answer.lock().unwrap() = Some(Arc::new(answer));
    }

    fn hangs(&self) {
        *self.answer.lock().unwrap() = None;
    }

    fn begin(&mut self, request: Request) -> ResponseFuture<<Module as Service<Request>>::Future> {
        self.service.call(request)
    }

    async fn call(&mut self) -> Outcome {
        self.begin(request()).await
    }

    async fn calls(&mut self, count: usize, code: u16) {
        self.answers(move || status(code));
        for _ in 0..count {
            let _ = self.call().await;
        }
    }

    async fn open(&mut self) {
        self.calls(4, 503).await;
        assert_eq!(self.breaker.state(), State::Open);
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_answers_itself_and_says_when_to_come_back() {
    let mut server = Server::new(config());
    server.open().await;
    advance(SECOND).await;
    let error = server.call().await.unwrap_err();
    assert_eq!(error.reason(), Reason::CircuitOpen);
    assert_eq!(error.retry_after(), Some(4 * SECOND));
    assert!(!error.detail().is_empty());
    assert_eq!(server.calls.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn recovered_endpoint_ends_the_open_time() {
    let mut server = Server::new(config());
    let observer = RecoveryObserver::new(server.breaker.clone());
    let changed = |cluster: &'static str, from: &'static str, to: &'static str| {
        let event = StateChanged::new("endpoint", "http://10.0.0.1", from, to, "").within(cluster);
        observer.state_changed(&event);
    };
    server.open().await;
    changed("users", "unhealthy", "healthy");
    changed("orders", "healthy", "unhealthy");
    changed("orders", "ejected", "in");
    server.answers(|| status(200));
    assert!(server.call().await.is_err());
    changed("orders", "unhealthy", "healthy");
    for _ in 0..3 {
        server.call().await.unwrap();
    }
    assert_eq!(server.breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_counts_is_what_says_something_about_the_server() {
    for (code, state) in [
        (200, State::Closed),
        (404, State::Closed),
        (429, State::Closed),
        (500, State::Closed),
        (501, State::Closed),
        (502, State::Open),
        (503, State::Open),
        (504, State::Open),
    ] {
        let mut server = Server::new(config());
        server.calls(100, code).await;
        assert_eq!(server.breaker.state(), state, "{code}");
    }
    for (reason, state, counted) in [
        (Reason::ConnectFailed, State::Open, true),
        (Reason::AttemptTimeout, State::Open, true),
        (Reason::UpstreamClosed, State::Open, true),
        (Reason::RequestIncomplete, State::Closed, false),
        (Reason::BodyTooLarge, State::Closed, false),
        (Reason::ClientGone, State::Closed, false),
        (Reason::RouteTimeout, State::Closed, false),
        (Reason::NoEndpoint, State::Closed, false),
    ] {
        let mut server = Server::new(config());
        server.answers(move || Err(reason.into()));
        for _ in 0..10 {
            let _ = server.call().await;
        }
        assert_eq!(server.breaker.state(), state, "{reason}");
        assert!(counted || server.breaker.status().requests == 0, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn below_the_volume_and_below_the_ratio_it_stays_closed() {
    let mut server = Server::new(config());
    server.calls(3, 503).await;
    assert_eq!(server.breaker.state(), State::Closed);
    server.calls(10, 200).await;
    server.calls(6, 503).await;
    assert_eq!(server.breaker.state(), State::Closed, "9 of 19");
    server.calls(1, 503).await;
    assert_eq!(server.breaker.state(), State::Open, "10 of 20");
    let cause = server.breaker.status().cause.unwrap();
    assert_eq!(cause.to_string(), "10 of 20 requests failed");
}

#[tokio::test(start_paused = true)]
async fn it_closes_when_all_probes_succeed() {
    let mut server = Server::new(config());
    server.open().await;
    advance(5 * SECOND).await;
    assert_eq!(server.breaker.state(), State::Open, "nobody asked");
    server.calls(1, 200).await;
    assert_eq!(server.breaker.state(), State::HalfOpen);
    server.calls(2, 404).await;
    assert_eq!(server.breaker.state(), State::Closed);
    assert_eq!(server.breaker.status().requests, 0, "it begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_opens_it_for_longer() {
    let mut server = Server::new(config());
    server.open().await;
    advance(5 * SECOND).await;
    server.calls(1, 503).await;
    let status = server.breaker.status();
    assert_eq!((status.state, status.opened), (State::Open, 2));
    assert_eq!(status.open_until, Some(Instant::now() + 10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn beside_the_probes_calls_are_rejected() {
    let mut server = Server::new(config());
    server.open().await;
    advance(5 * SECOND).await;
    server.hangs();
    let mut probes: Vec<_> = (0..3).map(|_| server.begin(request())).collect();
    assert!(probes.iter_mut().all(|probe| probe.now_or_never().is_none()));
    let error = server.call().await.unwrap_err();
    assert_eq!((error.reason(), error.retry_after()), (Reason::CircuitOpen, Some(SECOND)));
    assert_eq!(server.calls.load(Ordering::Relaxed), 4 + 3);
}

#[tokio::test(start_paused = true)]
async fn probes_that_are_given_up_make_room() {
    let mut server = Server::new(config());
    server.open().await;
    advance(5 * SECOND).await;
    server.hangs();
    for _ in 0..10 {
        let probes: Vec<_> = (0..3).map(|_| server.begin(request())).collect();
        drop(probes);
    }
    assert_eq!(server.breaker.state(), State::HalfOpen);
    server.calls(3, 200).await;
    assert_eq!(server.breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn probes_that_hang_do_not_hold_it_for_ever() {
    let mut server = Server::new(config());
    server.open().await;
    advance(5 * SECOND).await;
    server.hangs();
    let hung: Vec<_> = (0..3).map(|_| server.begin(request())).collect();
    advance(30 * SECOND).await;
    assert_eq!(server.call().await.unwrap_err().retry_after(), Some(10 * SECOND));
    assert_eq!(server.breaker.status().cause, Some(Cause::ProbeHung));
    advance(10 * SECOND).await;
    server.calls(3, 200).await;
    assert_eq!(server.breaker.state(), State::Closed);
    drop(hung);
    assert_eq!(server.breaker.state(), State::Closed);
}

/// Gives up four calls after two seconds each, which have a deadline set so.
async fn give_up<T>(server: &mut Server, set: impl Fn(&RequestContext, Instant) -> T, after: u32) {
    for _ in 0..4 {
        let (request, context) = request_with_context();
        set(&context, context.started() + after * SECOND);
        let call = server.begin(request);
        advance(2 * SECOND).await;
        drop(call);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_counts_only_when_the_gateways_own_time_was_over() {
    let mut server = Server::new(config());
    give_up(&mut server, |_, _| {}, 1).await;
    give_up(&mut server, RequestContext::set_stated_deadline, 1).await;
    give_up(&mut server, RequestContext::set_deadline, 3).await;
    assert_eq!(server.breaker.status().requests, 0);
    give_up(&mut server, RequestContext::set_deadline, 1).await;
    assert_eq!(server.breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_below_counts_by_whose_time_it_was() {
    for (own, failures) in [(true, 1), (false, 0)] {
        let mut server = Server::new(config());
        server.answers(|| Err(Reason::RouteTimeout.into()));
        let (request, context) = request_with_context();
        if own {
            context.set_deadline(context.started() + SECOND);
        } else {
            context.set_stated_deadline(context.started() + SECOND);
        }
        advance(SECOND).await;
        assert!(server.begin(request).await.is_err());
        assert_eq!(server.breaker.status().failures, failures);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure() {
    let mut server = Server::new(config());
    server.answers(|| panic!("a module of the test"));
    for _ in 0..4 {
        let call = std::panic::AssertUnwindSafe(server.begin(request()));
        assert!(call.catch_unwind().await.is_err());
    }
    assert_eq!(server.breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_does_not_count_after() {
    let mut server = Server::new(config());
    let late: Vec<_> = (0..8).map(|_| server.begin(request())).collect();
    server.open().await;
    advance(5 * SECOND).await;
    server.calls(3, 200).await;
    server.answers(|| Err(Reason::UpstreamClosed.into()));
    for call in late {
        assert!(call.await.is_err());
    }
    let status = server.breaker.status();
    assert_eq!((status.state, status.requests), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn slow_answers_open_it_where_they_are_looked_at() {
    for (slow, state) in [(None, State::Closed), (Some(0.5), State::Open)] {
        let slow = slow.map(|ratio| SlowCalls { threshold: SECOND, ratio });
        let mut server = Server::new(CircuitBreakerConfig { slow, ..config() });
        server.answers(|| status(200));
        for _ in 0..4 {
            let call = server.begin(request());
            advance(SECOND).await;
            assert!(call.await.is_ok());
        }
        assert_eq!(server.breaker.state(), state);
        let cause = slow.map(|_| Cause::Slow { slow: 4, requests: 4 });
        assert_eq!(server.breaker.status().cause, cause);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_need_no_volume() {
    let mut server = Server::new(CircuitBreakerConfig {
        consecutive_failures: Some(3),
        ..CircuitBreakerConfig::default()
    });
    server.calls(2, 503).await;
    server.calls(1, 200).await;
    server.calls(2, 503).await;
    assert_eq!(server.breaker.state(), State::Closed);
    assert_eq!(server.breaker.status().consecutive, 2);
    server.calls(1, 503).await;
    assert_eq!(server.breaker.status().cause, Some(Cause::Consecutive(3)));
}

#[tokio::test(start_paused = true)]
async fn an_operator_outvotes_the_calls() {
    let mut server = Server::new(config());
    server.breaker.force_closed();
    server.calls(50, 503).await;
    let status = server.breaker.status();
    assert_eq!((status.state, status.forced, status.failures), (State::Closed, true, 50));
    server.breaker.force_open();
    advance(3600 * SECOND).await;
    assert_eq!(server.call().await.unwrap_err().reason(), Reason::CircuitOpen);
    assert_eq!(server.breaker.status().open_until, None);
    server.breaker.reset();
    assert!(!server.breaker.status().forced);
    server.open().await;
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Observer for Seen {
    fn state_changed(&self, event: &StateChanged<'_>) {
        let StateChanged { subject, name, from, to, cause, .. } = event;
        self.0.lock().unwrap().push(format!("{subject} {name}: {from} -> {to}: {cause}"));
    }
}

#[tokio::test(start_paused = true)]
async fn observers_see_every_change() {
    let seen = Arc::new(Seen::default());
    let list: Vec<Arc<dyn Observer>> = vec![seen.clone()];
    let mut server = Server::observed(config(), Observers::new(list));
    server.open().await;
    advance(5 * SECOND).await;
    server.calls(3, 200).await;
    assert_eq!(
        *seen.0.lock().unwrap(),
        [
            "breaker orders: closed -> open: 4 of 4 requests failed",
            "breaker orders: open -> half_open: the time to be open is over",
            "breaker orders: half_open -> closed: 3 probes succeeded",
        ]
    );
}

#[tokio::test]
async fn a_call_that_ended_is_counted_once() {
    let mut server = Server::new(config());
    server.answers(|| status(200));
    let mut call = server.begin(request());
    assert!((&mut call).await.is_ok());
    drop(call);
    assert_eq!(server.breaker.status().requests, 1);
}

/// A gRPC call.
fn call() -> Request {
    let mut request = request();
    *request.method_mut() = http::Method::POST;
    let kind = http::HeaderValue::from_static("Application/grpc+proto");
    request.headers_mut().insert("content-type", kind);
    request
}

/// A response of these frames, which does not end where there are no trailers.
fn stream(message: &'static str, status: Option<&'static str>) -> Outcome {
    let mut frames = Vec::new();
    if !message.is_empty() {
        frames.push(Ok::<_, gateway_core::Error>(Frame::data(bytes::Bytes::from(message))));
    }
    let Some(status) = status else {
        let body = futures_util::stream::iter(frames).chain(futures_util::stream::pending());
        return Ok(Response::new(Body::new(StreamBody::new(body))));
    };
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(status));
    frames.push(Ok(Frame::trailers(trailers)));
    Ok(Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames)))))
}

#[tokio::test(start_paused = true)]
async fn trailers_of_a_call_count_when_they_come() {
    for (status, state) in [("14", State::Open), ("5", State::Closed), ("0", State::Closed)] {
        let mut server = Server::new(config());
        server.answers(move || stream("message", Some(status)));
        for _ in 0..4 {
            let response = server.begin(call()).await.unwrap();
            assert_eq!(server.breaker.state(), State::Closed, "{status}");
            response.into_body().collect().await.unwrap();
        }
        assert_eq!(server.breaker.state(), state, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn call_given_up_counts_for_nothing() {
    let mut server = Server::new(config());
    server.answers(|| stream("message", None));
    for _ in 0..8 {
        drop(server.begin(call()).await.unwrap());
    }
    assert_eq!(server.breaker.status().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn probe_is_over_with_its_first_message_or_status() {
    for (message, status, state) in [
        ("", Some("14"), State::Open),
        ("", Some("0"), State::Closed),
        ("message", None, State::Closed),
        ("", None, State::Closed),
    ] {
        let mut server = Server::new(CircuitBreakerConfig { half_open: 1, ..config() });
        server.open().await;
        advance(6 * SECOND).await;
        server.answers(move || stream(message, status));
        let mut body = server.begin(call()).await.unwrap().into_body();
        assert_eq!(server.breaker.state(), State::HalfOpen);
        // A stream without a message is over after a second, long before it is called hung.
        let _ = tokio::time::timeout(2 * SECOND, body.frame()).await;
        assert_eq!(server.breaker.state(), state, "{message:?} {status:?}");
    }
}
