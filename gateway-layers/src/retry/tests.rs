use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use gateway_core::{
    Body, ConnectionInfo, Error, Outcome, Reason, Request, RequestContext, RequestExt, Response,
};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use super::{Backoff, Condition, RetryLayer};
use gateway_core::budget::{self, RetryBudget};

const SECOND: Duration = Duration::from_secs(1);

/// What an upstream does with one call.
#[derive(Clone, Debug)]
enum Act {
    Answer(u16),
    /// With `Retry-After`, in seconds.
    Wait(u16, &'static str),
    Fail(Reason),
    /// The same, and nothing of the request was looked at.
    Unsent(Reason),
    Grpc(&'static str),
    /// Takes the time before it answers 200.
    Slow(Duration),
    Never,
}

/// An upstream that follows a script, and then answers 200.
#[derive(Clone, Default)]
struct Upstream {
    script: Arc<Mutex<VecDeque<Act>>>,
    calls: Arc<Mutex<Vec<Instant>>>,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    fn new(script: impl IntoIterator<Item = Act>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self { script, ..Self::default() }
    }

    async fn call(self, request: Request) -> Outcome {
        self.calls.lock().unwrap().push(Instant::now());
        let act = self.script.lock().unwrap().pop_front().unwrap_or(Act::Answer(200));
        if let Act::Unsent(reason) = act {
            return Err(Error::new(reason).with_unsent());
        }
        let body = request.into_body().collect().await?.to_bytes();
        self.bodies.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
        match act {
            Act::Answer(status) => Ok(answer(status)),
            Act::Wait(status, after) => {
                let mut response = answer(status);
                response.headers_mut().insert("retry-after", after.parse().unwrap());
                Ok(response)
            }
            Act::Fail(reason) | Act::Unsent(reason) => Err(reason.into()),
            Act::Grpc(status) => {
                let mut response = answer(200);
                response.headers_mut().insert("grpc-status", status.parse().unwrap());
                Ok(response)
            }
            Act::Slow(time) => {
                sleep(time).await;
                Ok(answer(200))
            }
            Act::Never => pending().await,
        }
    }

    fn calls(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }

    async fn through(&self, layer: &RetryLayer, request: Request) -> Outcome {
        let upstream = self.clone();
        let service = service_fn(move |request| upstream.clone().call(request));
        layer.layer(service).oneshot(request).await
    }
}

fn answer(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn request(method: Method, body: impl Into<Body>) -> Request {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let mut request = Request::new(body.into());
    *request.method_mut() = method;
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

fn get() -> Request {
    request(Method::GET, Body::empty())
}

/// A body that comes in pieces.
fn streamed(pieces: &[&'static str]) -> Body {
    let frames: Vec<_> = pieces
        .iter()
        .map(|piece| Ok::<_, Error>(Frame::data(Bytes::from_static(piece.as_bytes()))))
        .collect();
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

/// "200", or the code of the reason.
fn shown(outcome: &Outcome) -> String {
    match outcome {
        Ok(response) => response.status().as_u16().to_string(),
        Err(error) => error.reason().code().to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_retried_once() {
    for (act, calls, expected) in [
        (Act::Answer(200), 1, "200"),
        (Act::Answer(503), 2, "200"),
        (Act::Answer(500), 1, "500"),
        (Act::Answer(429), 1, "429"),
        (Act::Grpc("14"), 1, "200"),
        (Act::Fail(Reason::ConnectFailed), 2, "200"),
        (Act::Fail(Reason::ConnectTimeout), 2, "200"),
        (Act::Fail(Reason::TlsFailed), 2, "200"),
        (Act::Fail(Reason::UpstreamClosed), 2, "200"),
        (Act::Fail(Reason::UpstreamProtocol), 2, "200"),
        (Act::Fail(Reason::AttemptTimeout), 1, "attempt_timeout"),
        (Act::Fail(Reason::ClientGone), 1, "client_gone"),
        (Act::Fail(Reason::RequestIncomplete), 1, "request_incomplete"),
        (Act::Fail(Reason::CircuitOpen), 1, "circuit_open"),
        (Act::Fail(Reason::RouteTimeout), 1, "route_timeout"),
    ] {
        let upstream = Upstream::new([act.clone()]);
        let outcome = upstream.through(&RetryLayer::new(), get()).await;
        assert_eq!((upstream.calls(), &*shown(&outcome)), (calls, expected), "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_outcome_passes_as_it_is() {
    let failed = || Act::Fail(Reason::UpstreamClosed);
    for (script, expected) in [
        ([Act::Answer(503), Act::Answer(503)], "503"),
        ([failed(), Act::Answer(503)], "503"),
        ([Act::Answer(503), failed()], "upstream_closed"),
    ] {
        let upstream = Upstream::new(script);
        let request = get();
        let context = request.context().unwrap().clone();
        let outcome = upstream.through(&RetryLayer::new(), request).await;
        assert_eq!((upstream.calls(), &*shown(&outcome)), (2, expected));
        assert_eq!(context.record().retries(), 1);
        assert_eq!(context.record().gave_up(), Some("max_retries"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_sent_twice_is_retried_only_if_it_was_not_sent() {
    let reset = || Act::Fail(Reason::UpstreamClosed);
    for (act, calls, read) in [
        (reset(), 1, 1),
        (Act::Answer(503), 1, 1),
        (Act::Unsent(Reason::UpstreamClosed), 2, 1),
        (Act::Unsent(Reason::ConnectFailed), 2, 1),
        (Act::Unsent(Reason::CircuitOpen), 1, 0),
    ] {
        for body in [Body::full("abc"), streamed(&["ab", "c"])] {
            let upstream = Upstream::new([act.clone()]);
            let _ = upstream.through(&RetryLayer::new(), request(Method::POST, body)).await;
            assert_eq!(upstream.calls(), calls, "{act:?}");
            assert_eq!(upstream.bodies(), ["abc"; 1][..read]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_or_a_name_makes_a_method_repeatable() {
    let layer = RetryLayer::new();
    let mut keyed = request(Method::POST, "abc");
    keyed.headers_mut().insert("idempotency-key", "7".parse().unwrap());
    let upstream = Upstream::new([Act::Answer(503)]);
    assert_eq!(shown(&upstream.through(&layer, keyed).await), "200");
    assert_eq!(upstream.bodies(), ["abc", "abc"]);

    let layer = layer.methods([Method::PATCH]);
    for (method, calls) in [(Method::PATCH, 2), (Method::POST, 1)] {
        let upstream = Upstream::new([Act::Answer(503)]);
        let _ = upstream.through(&layer, request(method, "abc")).await;
        assert_eq!(upstream.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn every_try_has_the_same_body() {
    let upstream = Upstream::new([Act::Answer(503), Act::Fail(Reason::UpstreamClosed)]);
    let layer = RetryLayer::new().max_retries(2);
    let outcome = upstream.through(&layer, request(Method::PUT, streamed(&["ab", "cd"]))).await;
    assert_eq!(shown(&outcome), "200");
    assert_eq!(upstream.bodies(), ["abcd", "abcd", "abcd"]);
}

#[tokio::test(start_paused = true)]
async fn a_large_body_streams_through_and_is_not_sent_again() {
    let layer = RetryLayer::new().replay_limit(4);
    for (body, calls, why) in [
        (streamed(&["ab", "cd"]), 2, None),
        (streamed(&["ab", "cde"]), 1, Some("body")),
        // Said beforehand: not even looked at.
        (Body::full("abcde"), 1, None),
    ] {
        let upstream = Upstream::new([Act::Answer(503)]);
        let request = request(Method::PUT, body);
        let context = request.context().unwrap().clone();
        let outcome = upstream.through(&layer, request).await;
        assert_eq!(upstream.calls(), calls);
        assert_eq!(outcome.unwrap().status() == 503, calls == 1);
        assert_eq!(context.record().gave_up(), why);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_not_sent_again() {
    let broken = futures_util::stream::iter([
        Ok(Frame::data(Bytes::from("ab"))),
        Err(Error::new(Reason::RequestIncomplete)),
    ]);
    let upstream = Upstream::new([Act::Answer(503)]);
    let body = Body::new(StreamBody::new(broken));
    let outcome = upstream.through(&RetryLayer::new(), request(Method::PUT, body)).await;
    assert_eq!((upstream.calls(), &*shown(&outcome)), (1, "request_incomplete"));
}

#[tokio::test(start_paused = true)]
async fn upgrades_are_left_alone() {
    let mut upgrade = get();
    upgrade.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    for request in [upgrade, request(Method::CONNECT, Body::empty())] {
        let upstream = Upstream::new([Act::Fail(Reason::ConnectFailed)]);
        let outcome = upstream.through(&RetryLayer::new(), request).await;
        assert_eq!((upstream.calls(), &*shown(&outcome)), (1, "connect_failed"));
    }
}

#[tokio::test(start_paused = true)]
async fn tries_are_apart_by_a_random_time_that_grows() {
    let script = || vec![Act::Answer(503); 5];
    let waits = async |seed| {
        let upstream = Upstream::new(script());
        let layer = RetryLayer::new().max_retries(5).with_seed(seed);
        upstream.through(&layer, get()).await.unwrap();
        let calls = upstream.calls.lock().unwrap().clone();
        calls.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    let (first, second) = (waits(1).await, waits(2).await);
    assert_eq!(first, waits(1).await);
    assert_ne!(first, second);
    for waits in [first, second] {
        for (wait, most) in waits.iter().zip([25, 50, 100, 200, 250]) {
            // A timer's step more.
            assert!(*wait <= Duration::from_millis(most + 1), "{waits:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_asks_for_time_gets_it() {
    let none = Backoff::new(Duration::ZERO, Duration::ZERO);
    let layer = RetryLayer::new().statuses([StatusCode::TOO_MANY_REQUESTS]).backoff(none);
    for (after, most, calls, took) in [
        ("1", SECOND, 2, SECOND),
        ("0", SECOND, 2, Duration::ZERO),
        ("2", SECOND, 1, Duration::ZERO),
        ("2", 3 * SECOND, 2, 2 * SECOND),
        ("soon", SECOND, 2, Duration::ZERO),
    ] {
        let upstream = Upstream::new([Act::Wait(429, after)]);
        let began = Instant::now();
        let outcome = upstream.through(&layer.clone().max_wait(most), get()).await;
        assert_eq!((upstream.calls(), began.elapsed()), (calls, took), "{after} {most:?}");
        assert_eq!(shown(&outcome), if calls == 1 { "429" } else { "200" });
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_asks_for_time_gets_it_too() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let service = service_fn(move |_: Request| {
        seen.lock().unwrap().push(Instant::now());
        let error = Error::new(Reason::ConnectFailed).with_retry_after(SECOND);
        async { Outcome::Err(error) }
    });
    assert!(RetryLayer::new().layer(service).oneshot(get()).await.is_err());
    let calls = calls.lock().unwrap();
    assert!(calls.len() == 2 && calls[1] - calls[0] == SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_try_begins_that_has_no_time() {
    for (deadline, calls) in [(SECOND, 1), (SECOND * 3 / 2, 2)] {
        let upstream = Upstream::new([Act::Wait(503, "1")]);
        let request = get();
        let context = request.context().unwrap().clone();
        context.set_deadline(Instant::now() + deadline);
        let began = Instant::now();
        let outcome = upstream.through(&RetryLayer::new(), request).await;
        assert_eq!(upstream.calls(), calls);
        if calls == 1 {
            assert_eq!((&*shown(&outcome), began.elapsed()), ("503", Duration::ZERO));
            assert_eq!(context.record().gave_up(), Some("deadline"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_used_up_ends_retries() {
    let mut config = budget::RetryBudgetConfig::default();
    (config.ratio, config.min_per_second) = (0.5, 0);
    let layer = RetryLayer::new().budget(RetryBudget::new(&config));
    let upstream = Upstream::new(vec![Act::Answer(503); 100]);
    let mut contexts = Vec::new();
    for _ in 0..20 {
        let request = get();
        contexts.push(request.context().unwrap().clone());
        assert_eq!(shown(&upstream.through(&layer, request).await), "503");
    }
    assert_eq!(upstream.calls(), 30);
    assert_eq!(contexts[0].record().gave_up(), Some("budget"));
    assert_eq!(contexts[1].record().retries(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_answer_that_is_unavailable_is_retried_where_that_is_asked_for() {
    let layer = RetryLayer::new().on([Condition::Unavailable]).methods([Method::POST]);
    for (status, calls) in [("14", 2), ("0", 1), ("5", 1)] {
        let upstream = Upstream::new([Act::Grpc(status)]);
        upstream.through(&layer, request(Method::POST, "abc")).await.unwrap();
        assert_eq!(upstream.calls(), calls, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn tries_that_may_time_out_share_the_time() {
    let layer = RetryLayer::new().max_retries(2).on([Condition::Timeout]);
    for (method, own, expected) in [
        (Method::GET, None, Some(10 * SECOND)),
        (Method::GET, Some(SECOND), Some(SECOND)),
        (Method::POST, None, None),
    ] {
        let request = request(method, Body::empty());
        let context = request.context().unwrap().clone();
        context.set_deadline(Instant::now() + 30 * SECOND);
        own.inspect(|limit| {
            context.set_attempt_timeout(*limit);
        });
        let upstream = Upstream::new([]);
        upstream.through(&layer, request).await.unwrap();
        assert_eq!(context.attempt_timeout(), expected);
    }
    let upstream = Upstream::new([Act::Fail(Reason::AttemptTimeout)]);
    assert!(upstream.through(&layer, get()).await.is_ok());
    assert_eq!(upstream.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_it() {
    for act in [Act::Never, Act::Wait(503, "1"), Act::Slow(SECOND)] {
        let upstream = Upstream::new([act]);
        let layer = RetryLayer::new();
        let waiting = upstream.through(&layer, get());
        assert!(tokio::time::timeout(SECOND / 2, waiting).await.is_err());
        sleep(5 * SECOND).await;
        assert_eq!(upstream.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_during_the_wait() {
    let held = Arc::new(());
    let seen = Arc::downgrade(&held);
    let mut first = Some(answer(503).map(|_| streamed(&["x"]).on_end(move |_| drop(held))));
    let service = service_fn({
        let calls = Arc::new(Mutex::new(first.take()));
        move |_: Request| {
            let response = calls.lock().unwrap().take().unwrap_or_else(|| answer(200));
            async { Outcome::Ok(response) }
        }
    });
    let wait = Backoff::new(SECOND, SECOND);
    let layer = RetryLayer::new().backoff(wait).with_seed(1);
    let mut waiting = Box::pin(layer.layer(service).oneshot(get()));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(seen.upgrade().is_none());
    assert_eq!(shown(&waiting.await), "200");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_context_is_retried_too() {
    let upstream = Upstream::new([Act::Answer(503)]);
    let outcome = upstream.through(&RetryLayer::new(), Request::new(Body::empty())).await;
    assert_eq!((upstream.calls(), &*shown(&outcome)), (2, "200"));
}

fn act() -> impl Strategy<Value = Act> {
    let reason = || proptest::sample::select(Reason::ALL);
    prop_oneof![
        proptest::sample::select(&[200, 404, 429, 500, 502, 503][..]).prop_map(Act::Answer),
        reason().prop_map(Act::Fail),
        reason().prop_map(Act::Unsent),
        Just(Act::Wait(503, "0")),
        Just(Act::Grpc("14")),
    ]
}

proptest! {
    #[test]
    fn no_request_is_sent_more_often_than_it_may_be(
        script in proptest::collection::vec(act(), 1..12),
        max_retries in 0u32..12,
        conditions in proptest::sample::subsequence(Condition::ALL, 0..=Condition::ALL.len()),
        post: bool,
        in_pieces: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let method = if post { Method::POST } else { Method::PUT };
        let body = if in_pieces { streamed(&["ab", "c"]) } else { Body::full("abc") };
        let upstream = Upstream::new(script.clone());
        let layer = RetryLayer::new().max_retries(max_retries).on(conditions);
        let outcome = runtime.block_on(upstream.through(&layer, request(method, body)));
        let calls = upstream.calls();
        prop_assert!(calls <= 1 + max_retries as usize);
        // Every body that was read is the whole one.
        prop_assert!(upstream.bodies().iter().all(|body| body == "abc"));
        if post {
            let sent = |act: &Act| match act {
                Act::Unsent(_) => false,
                Act::Fail(reason) => !Error::new(*reason).is_unsent(),
                _ => true,
            };
            // The first one that got through is the last one.
            let first = script.iter().position(sent).unwrap_or(usize::MAX);
            prop_assert!(calls <= first.saturating_add(1));
        }
        let last = script.get(calls - 1).cloned().unwrap_or(Act::Answer(200));
        let expected = match last {
            Act::Answer(status) | Act::Wait(status, _) => status.to_string(),
            Act::Fail(reason) | Act::Unsent(reason) => reason.code().to_owned(),
            _ => "200".to_owned(),
        };
        prop_assert_eq!(shown(&outcome), expected);
    }
}
