use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateway_core::{
    Body, ConnectionInfo, Error, Outcome, Reason, Request, RequestContext, RequestExt, Response,
};
use http::{Method, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use super::{Delay, HedgeLayer};
use gateway_core::budget::{self, RetryBudget};

const DELAY: Duration = Duration::from_millis(50);
const SLOW: Duration = Duration::from_secs(1);
const FAST: Duration = Duration::from_millis(10);

/// After a time, a status or a failure.
type Act = (Duration, Result<u16, Reason>);

/// Answers as scripted, and says which try an answer is of.
#[derive(Clone)]
struct Upstream {
    script: Arc<Mutex<VecDeque<Act>>>,
    calls: Arc<AtomicUsize>,
    running: Arc<()>,
}

impl Upstream {
    fn new(script: impl IntoIterator<Item = Act>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self { script, calls: Arc::default(), running: Arc::default() }
    }

    async fn call(self, request: Request) -> Outcome {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let (after, outcome) = self.script.lock().unwrap().pop_front().unwrap_or((FAST, Ok(200)));
        sleep(after).await;
        let body = request.into_body().collect().await?.to_bytes();
        let mut response = Response::new(Body::full(body));
        *response.status_mut() = StatusCode::from_u16(outcome?).unwrap();
        response.headers_mut().insert("x-try", number.into());
        Ok(response)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    fn running(&self) -> usize {
        Arc::strong_count(&self.running) - 1
    }

    /// "200 of 1" or the code of a reason, and how long it took.
    async fn through(&self, layer: &HedgeLayer, request: Request) -> (String, Duration) {
        let upstream = self.clone();
        let service = service_fn(move |request| upstream.clone().call(request));
        let began = Instant::now();
        let mut waiting = pin!(layer.layer(service).oneshot(request));
        let outcome = waiting.as_mut().await;
        assert_eq!(self.running(), 0, "a try goes on");
        let shown = match outcome {
            Ok(response) => {
                let number = response.headers()["x-try"].to_str().unwrap().to_owned();
                format!("{} of {number}", response.status().as_u16())
            }
            Err(error) => error.reason().code().to_owned(),
        };
        (shown, began.elapsed())
    }
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

fn fixed() -> HedgeLayer {
    HedgeLayer::new().delay(Delay::Fixed(DELAY))
}

#[tokio::test(start_paused = true)]
async fn the_first_good_answer_wins() {
    let closed = Err(Reason::UpstreamClosed);
    for (first, second, calls, shown, took) in [
        // In time: no second one.
        ((FAST, Ok(200)), (FAST, Ok(200)), 1, "200 of 1", FAST),
        // A failure in time is for somebody else to judge.
        ((FAST, closed), (FAST, Ok(200)), 1, "upstream_closed", FAST),
        ((FAST, Ok(503)), (FAST, Ok(200)), 1, "503 of 1", FAST),
        ((SLOW, Ok(200)), (FAST, Ok(200)), 2, "200 of 2", DELAY + FAST),
        // A fast error does not beat a slow success.
        ((SLOW, Ok(200)), (FAST, Ok(500)), 2, "200 of 1", SLOW),
        ((SLOW, Ok(200)), (FAST, Ok(401)), 2, "200 of 1", SLOW),
        ((SLOW, Ok(200)), (FAST, Ok(429)), 2, "200 of 1", SLOW),
        ((DELAY + FAST, Ok(500)), (SLOW, Ok(200)), 2, "200 of 2", DELAY + SLOW),
        ((SLOW, Ok(404)), (FAST, Ok(404)), 2, "404 of 1", SLOW),
        ((DELAY + FAST, Ok(200)), (SLOW, Ok(200)), 2, "200 of 1", DELAY + FAST),
        // Who fails is not waited for, the other one is.
        ((SLOW, Ok(200)), (FAST, closed), 2, "200 of 1", SLOW),
        ((SLOW, Ok(200)), (FAST, Ok(503)), 2, "200 of 1", SLOW),
        ((DELAY + FAST, closed), (SLOW, Ok(200)), 2, "200 of 2", DELAY + SLOW),
        // All fail: as if there had been one.
        ((DELAY + FAST, Ok(503)), (SLOW, closed), 2, "503 of 1", DELAY + SLOW),
        ((SLOW, closed), (FAST, Ok(503)), 2, "upstream_closed", SLOW),
    ] {
        let upstream = Upstream::new([first, second]);
        let request = get();
        let context = request.context().unwrap().clone();
        let outcome = upstream.through(&fixed(), request).await;
        assert_eq!(outcome, (shown.to_owned(), took), "{first:?} {second:?}");
        assert_eq!(upstream.calls(), calls);
        assert_eq!(context.record().hedges() as usize, calls - 1);
    }
}

#[tokio::test(start_paused = true)]
async fn several_follow_each_other() {
    let upstream = Upstream::new([(SLOW, Ok(200)), (SLOW, Ok(200)), (FAST, Ok(200))]);
    let outcome = upstream.through(&fixed().max_extra(3), get()).await;
    assert_eq!(outcome, ("200 of 3".to_owned(), 2 * DELAY + FAST));
    let upstream = Upstream::new([(SLOW, Ok(200)); 10]);
    upstream.through(&fixed().max_extra(u32::MAX), get()).await;
    assert_eq!(upstream.calls(), 5);
    let upstream = Upstream::new([(SLOW, Ok(200))]);
    upstream.through(&fixed().max_extra(0), get()).await;
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_sent_twice_and_is_in_memory() {
    let streamed = || {
        let frame = Ok::<_, Error>(Frame::data(Bytes::from("abc")));
        Body::new(StreamBody::new(futures_util::stream::iter([frame])))
    };
    let with = |name: &'static str| {
        let mut request = request(Method::POST, "abc");
        if name == "upgrade" {
            *request.method_mut() = Method::GET;
        }
        request.headers_mut().insert(name, "x".parse().unwrap());
        request
    };
    for (request, calls) in [
        (request(Method::PUT, "abc"), 2),
        (request(Method::POST, "abc"), 1),
        (request(Method::PATCH, "abc"), 2),
        (request(Method::PUT, streamed()), 1),
        (request(Method::CONNECT, Body::empty()), 1),
        // A key makes repeating safe, not two copies at the same time.
        (with("idempotency-key"), 1),
        (with("upgrade"), 1),
    ] {
        let shown = format!("{request:?}");
        let upstream = Upstream::new([(SLOW, Ok(200))]);
        upstream.through(&fixed().methods([Method::PATCH, Method::CONNECT]), request).await;
        assert_eq!(upstream.calls(), calls, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_have_the_same_body() {
    let upstream = Upstream::new([(SLOW, Ok(200))]);
    let service = service_fn({
        let upstream = upstream.clone();
        move |request| upstream.clone().call(request)
    });
    let outcome = fixed().layer(service).oneshot(request(Method::PUT, "abc")).await.unwrap();
    assert_eq!(outcome.headers()["x-try"], "2");
    assert_eq!(outcome.into_body().collect().await.unwrap().to_bytes(), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_used_up_ends_hedges() {
    let mut config = budget::RetryBudgetConfig::default();
    (config.ratio, config.min_per_second) = (0.5, 0);
    let layer = fixed().budget(RetryBudget::new(&config));
    let upstream = Upstream::new([(SLOW, Ok(200)); 100]);
    for _ in 0..20 {
        upstream.through(&layer, get()).await;
    }
    // A second passes with every slow one: time enough for a request to be forgotten, not for more.
    assert!((24..=30).contains(&upstream.calls()), "{}", upstream.calls());
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_after_the_deadline() {
    for (deadline, calls) in [(DELAY, 1), (2 * DELAY, 2)] {
        let request = get();
        request.context().unwrap().set_deadline(Instant::now() + deadline);
        let upstream = Upstream::new([(SLOW, Ok(200))]);
        upstream.through(&fixed(), request).await;
        assert_eq!(upstream.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_all() {
    let upstream = Upstream::new([(SLOW, Ok(200)); 2]);
    let layer = fixed();
    let waiting = upstream.through(&layer, get());
    assert!(tokio::time::timeout(2 * DELAY, waiting).await.is_err());
    assert_eq!((upstream.calls(), upstream.running()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn slow_is_what_most_are_not() {
    let layer = HedgeLayer::new().min_samples(20);
    let script = std::iter::repeat_n((FAST, Ok(200)), 20).chain([(SLOW, Ok(200)); 2]);
    let upstream = Upstream::new(script);
    let service = service_fn({
        let upstream = upstream.clone();
        move |request| upstream.clone().call(request)
    });
    let hedged = layer.layer(service);
    let timed = async || {
        let began = Instant::now();
        hedged.clone().oneshot(get()).await.unwrap();
        began.elapsed()
    };
    for _ in 0..20 {
        assert_eq!(timed().await, FAST);
    }
    assert_eq!(upstream.calls(), 20);
    // The second of the two slow ones answers the first request's second try.
    let took = timed().await;
    assert!(took >= SLOW && upstream.calls() == 22, "{took:?}");
    assert_eq!(timed().await, FAST);
}

#[tokio::test(start_paused = true)]
async fn before_there_is_a_percentile_nothing_is_hedged() {
    let upstream = Upstream::new([(SLOW, Ok(200))]);
    let outcome = upstream.through(&HedgeLayer::new(), get()).await;
    assert_eq!((outcome, upstream.calls()), (("200 of 1".to_owned(), SLOW), 1));
}

#[tokio::test(start_paused = true)]
async fn services_of_one_layer_share_latencies() {
    let layer = HedgeLayer::new().min_samples(10);
    // Each request goes through a service of its own.
    for _ in 0..10 {
        Upstream::new([]).through(&layer, get()).await;
    }
    let upstream = Upstream::new([(SLOW, Ok(200)), (FAST, Ok(200))]);
    let (shown, _) = upstream.through(&layer.clone(), get()).await;
    assert_eq!(shown, "200 of 2");
}
