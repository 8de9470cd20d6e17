use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use gateway_core::context::Attempt;
use gateway_core::{
    Body, ConnectionInfo, Error, Module, Outcome, Reason, Request, RequestContext, RequestExt,
    Response, Tasks, module_fn,
};
use http::{Method, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn request(method: Method, body: impl Into<Body>) -> Request {
    let connection = ConnectionInfo::new(Arc::default(), None, None);
    let mut request = Request::new(body.into());
    *request.method_mut() = method;
    *request.uri_mut() = "/orders/7?secret=1".parse().unwrap();
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

fn get() -> Request {
    request(Method::GET, Body::empty())
}

/// A body of these pieces, one a second.
fn slow(pieces: &[&'static str]) -> Body {
    let pieces = stream::iter(pieces.to_vec()).then(async |piece| {
        sleep(SECOND).await;
        Ok::<_, Error>(Frame::data(Bytes::from_static(piece.as_bytes())))
    });
    Body::new(StreamBody::new(Box::pin(pieces)))
}

/// Reads the request and answers with `status` and `body`.
fn answers(status: u16, body: &'static str) -> Module {
    Module::new(module_fn(move |request: Request| async move {
        request.into_body().collect().await?;
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        Ok::<_, Error>(response)
    }))
}

fn never() -> Module {
    Module::new(module_fn(|_: Request| pending::<Outcome>()))
}

/// Hands on what it is asked.
fn records() -> (Module, mpsc::UnboundedReceiver<(http::request::Parts, Bytes)>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let module = Module::new(module_fn(move |request: Request| {
        let sender = sender.clone();
        async move {
            let (head, body) = request.into_parts();
            sender.send((head, body.collect().await?.to_bytes())).unwrap();
            Ok::<_, Error>(Response::new(Body::empty()))
        }
    }));
    (module, receiver)
}

fn all() -> MirrorConfig {
    MirrorConfig { methods: Methods::All, ..MirrorConfig::default() }
}

fn comparing(compare: CompareConfig) -> MirrorConfig {
    MirrorConfig { compare: Some(compare), ..all() }
}

async fn text(outcome: Outcome) -> Bytes {
    outcome.unwrap().into_body().collect().await.unwrap().to_bytes()
}

/// Sends `request` to `primary` beside `layer`, reads the answer, and waits until the copy has
/// ended.
async fn exchange(layer: &MirrorLayer, primary: Module, request: Request) -> Bytes {
    let answer = text(layer.layer(primary).oneshot(request).await).await;
    sleep(60 * SECOND).await;
    answer
}

/// What is reported when `primary` and `mirror` answer the same request.
async fn compared(compare: CompareConfig, primary: Module, mirror: Module) -> MirrorReport {
    let layer = MirrorLayer::new(mirror).settings(comparing(compare));
    layer.layer(primary).oneshot(get()).await.unwrap().into_body().collect().await.unwrap();
    sleep(60 * SECOND).await;
    layer.handle().report()
}

#[tokio::test(start_paused = true)]
async fn the_copy_is_what_was_asked_and_says_that_it_is_one() {
    let (mirror, mut copies) = records();
    let layer = MirrorLayer::new(mirror).settings(all());
    let mut request = request(Method::POST, slow(&["ab", "cd"]));
    request.headers_mut().insert("x-tenant", "a".parse().unwrap());
    request.headers_mut().insert(header::EXPECT, "100-continue".parse().unwrap());
    assert_eq!(exchange(&layer, answers(200, "done"), request).await, "done");
    let (head, body) = copies.recv().await.unwrap();
    assert_eq!((head.method, body), (Method::POST, "abcd".into()));
    assert_eq!(head.uri, "/orders/7?secret=1");
    assert_eq!(head.headers.get("x-tenant").unwrap(), "a");
    assert_eq!(head.headers.get("x-gateway-mirror").unwrap(), "1");
    assert!(!head.headers.contains_key(header::EXPECT));
    assert_eq!((layer.handle().report().mirrored, layer.handle().report().failed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_copy_writes_nothing_into_its_request() {
    let mirror = Module::new(module_fn(async |request: Request| {
        let context = request.context().unwrap();
        context.record().attempt(Attempt::new("next".into(), "http://10.0.0.1".into()));
        assert!(context.interim().is_none());
        assert_eq!(context.deadline(), Some(Instant::now() + 10 * SECOND));
        Ok::<_, Error>(Response::new(Body::empty()))
    }));
    let layer = MirrorLayer::new(mirror);
    let request = get();
    let context = request.context().unwrap().clone();
    context.set_deadline(Instant::now() + SECOND);
    exchange(&layer, answers(200, ""), request).await;
    assert_eq!((layer.handle().report().mirrored, layer.handle().report().failed), (1, 0));
    assert_eq!(context.record().attempts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_mirror_in_trouble_is_no_trouble() {
    let fails = Module::new(module_fn(async |_: Request| {
        Err::<Response, _>(Error::new(Reason::ModuleFailed))
    }));
    let panics = Module::new(module_fn(async |_: Request| -> Outcome { panic!("a mirror") }));
    for mirror in [never(), fails, panics] {
        let layer = MirrorLayer::new(mirror).settings(comparing(CompareConfig::default()));
        let began = Instant::now();
        let answer = layer.layer(answers(200, "done")).oneshot(get()).await;
        assert_eq!(text(answer).await, "done");
        assert_eq!(began.elapsed(), Duration::ZERO);
        sleep(10 * SECOND + SECOND).await;
        let report = layer.handle().report();
        assert_eq!((report.mirrored, report.failed, report.uncompared), (1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_the_first_module_passes_and_is_not_compared() {
    let layer = MirrorLayer::new(answers(200, "")).settings(comparing(CompareConfig::default()));
    let fails = Module::new(module_fn(async |_: Request| {
        Err::<Response, _>(Error::new(Reason::UpstreamClosed))
    }));
    let error = layer.layer(fails).oneshot(get()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::UpstreamClosed);
    sleep(SECOND).await;
    let report = layer.handle().report();
    assert_eq!((report.mirrored, report.uncompared, report.failed), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn large_bodies_are_not_mirrored_and_pass() {
    let mut settings = all();
    settings.body_limit = 3;
    let layer = MirrorLayer::new(never()).settings(settings);
    let echo = Module::new(module_fn(async |request: Request| {
        Ok::<_, Error>(Response::new(request.into_body()))
    }));
    let known = request(Method::PUT, "abcd");
    assert_eq!(exchange(&layer, echo.clone(), known).await, "abcd");
    let streamed = request(Method::PUT, slow(&["ab", "cd", "ef"]));
    assert_eq!(exchange(&layer, echo.clone(), streamed).await, "abcdef");
    let report = layer.handle().report();
    assert_eq!((report.skipped_large, report.skipped(), report.mirrored), (2, 2, 0));
    let small = request(Method::PUT, slow(&["ab", "c"]));
    assert_eq!(exchange(&layer, echo, small).await, "abc");
    assert_eq!(layer.handle().report().mirrored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_not_read_is_not_mirrored() {
    let layer = MirrorLayer::new(never()).settings(all());
    let rejects =
        Module::new(module_fn(async |_: Request| Ok::<_, Error>(Response::new("no".into()))));
    let unread = request(Method::POST, slow(&["ab"]));
    assert_eq!(exchange(&layer, rejects, unread).await, "no");
    let report = layer.handle().report();
    assert_eq!((report.skipped_unread, report.mirrored), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn as_many_copies_as_may_be_are_under_way() {
    let mut settings = all();
    settings.in_flight = 2;
    let layer = MirrorLayer::new(never()).settings(settings);
    let stack = layer.layer(answers(200, ""));
    for _ in 0..5 {
        stack.clone().oneshot(get()).await.unwrap();
    }
    let report = layer.handle().report();
    assert_eq!((report.mirrored, report.skipped_busy), (2, 3));
    sleep(11 * SECOND).await;
    assert_eq!(layer.handle().report().failed, 2);
    stack.oneshot(get()).await.unwrap();
    assert_eq!(layer.handle().report().mirrored, 3, "a place is free again");
}

#[tokio::test(start_paused = true)]
async fn only_safe_methods_are_mirrored_unless_said_otherwise() {
    let only = Methods::Only(vec![Method::POST]);
    for (methods, expected) in [(Methods::Safe, 2), (Methods::All, 4), (only, 1)] {
        let settings = MirrorConfig { methods, ..MirrorConfig::default() };
        let layer = MirrorLayer::new(answers(200, "")).settings(settings);
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::CONNECT] {
            exchange(&layer, answers(200, ""), request(method, Body::empty())).await;
        }
        let report = layer.handle().report();
        assert_eq!((report.mirrored, report.skipped()), (expected, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn upgrades_and_copies_are_not_mirrored() {
    let layer = MirrorLayer::new(answers(200, ""));
    for (name, value) in [("upgrade", "websocket"), ("x-gateway-mirror", "1")] {
        let mut request = get();
        request.headers_mut().insert(name, value.parse().unwrap());
        exchange(&layer, answers(200, ""), request).await;
    }
    assert_eq!(layer.handle().report().mirrored, 0);
}

#[tokio::test(start_paused = true)]
async fn who_owns_the_copies_ends_them() {
    let layer = MirrorLayer::new(never());
    let mirror = layer.handle();
    let stack = layer.layer(answers(200, ""));
    stack.oneshot(get()).await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!((mirror.report().mirrored, mirror.report().failed), (1, 0));
    drop(layer);
    tokio::task::yield_now().await;
    assert_eq!(mirror.report().failed, 1);

    let tasks = Tasks::new();
    let layer = MirrorLayer::new(never()).tasks(tasks.clone());
    layer.layer(answers(200, "")).oneshot(get()).await.unwrap();
    assert_eq!(tasks.names(), ["mirror"]);
}

#[tokio::test(start_paused = true)]
async fn the_answer_passes_piece_by_piece_while_it_is_compared() {
    let streams = || {
        Module::new(module_fn(async |_: Request| {
            Ok::<_, Error>(Response::new(slow(&["[1,", "2]"])))
        }))
    };
    let settings = comparing(CompareConfig::default());
    let layer = MirrorLayer::new(streams()).settings(settings);
    let began = Instant::now();
    let mut body = layer.layer(streams()).oneshot(get()).await.unwrap().into_body();
    assert_eq!(began.elapsed(), Duration::ZERO);
    for (seconds, expected) in [(1, "[1,"), (2, "2]")] {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), expected);
        assert_eq!(began.elapsed(), seconds * SECOND);
    }
    assert!(body.frame().await.is_none());
    sleep(SECOND).await;
    assert_eq!(layer.handle().report().matched, 1);
}

#[tokio::test(start_paused = true)]
async fn answers_are_compared() {
    let how = CompareConfig {
        ignore: vec!["/id".parse().unwrap()],
        unordered: vec!["/items".parse().unwrap()],
        ..CompareConfig::default()
    };
    let ours = answers(200, r#"{"id": 1, "items": [1, 2]}"#);
    for (theirs, expected) in [
        (answers(200, r#"{"id":2,"items":[2,1]}"#), (1, 0, 0, 0)),
        (answers(200, r#"{"id": 1, "items": [1, 3]}"#), (0, 0, 1, 0)),
        (answers(200, "no JSON"), (0, 0, 1, 0)),
        (answers(404, r#"{"id": 1, "items": [1, 2]}"#), (0, 1, 0, 0)),
    ] {
        let report = compared(how.clone(), ours.clone(), theirs).await;
        let MirrorReport { matched, differed_status, differed_body, uncompared, .. } = report;
        assert_eq!((matched, differed_status, differed_body, uncompared), expected);
        assert_eq!(report.differences.len(), usize::from(matched == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_broken_or_encoded_is_not_compared() {
    let small = CompareConfig { compare_limit: 3, ..CompareConfig::default() };
    let report = compared(small.clone(), answers(200, "[10]"), answers(200, "[1]")).await;
    assert_eq!((report.uncompared, report.differed_body), (1, 0));
    let report = compared(small, answers(200, "[1]"), answers(200, "[10]")).await;
    assert_eq!((report.uncompared, report.differed_body), (1, 0));

    let encoded = |body: &'static str| {
        Module::new(module_fn(move |_: Request| async move {
            let mut response = Response::new(body.into());
            response.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
            Ok::<_, Error>(response)
        }))
    };
    let how = CompareConfig::default();
    let report = compared(how.clone(), encoded("a"), encoded("b")).await;
    assert_eq!((report.uncompared, report.matched), (1, 0));
    let report = compared(how.clone(), encoded("a"), encoded("a")).await;
    assert_eq!((report.uncompared, report.matched), (0, 1));

    let layer = MirrorLayer::new(answers(200, "[1]")).settings(comparing(how));
    let streams = Module::new(module_fn(async |_: Request| {
        Ok::<_, Error>(Response::new(slow(&["[", "1", "]"])))
    }));
    let mut body = layer.layer(streams).oneshot(get()).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    sleep(SECOND).await;
    assert_eq!(layer.handle().report().uncompared, 1, "the client left");
}

#[tokio::test(start_paused = true)]
async fn documents_that_nest_without_end_are_bytes() {
    let deep = || {
        Module::new(module_fn(|_: Request| async {
            let mut response = Response::new(Body::full("[".repeat(100_000)));
            let json = "application/json".parse().unwrap();
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            Ok::<_, Error>(response)
        }))
    };
    let report = compared(CompareConfig::default(), deep(), deep()).await;
    assert_eq!(report.matched, 1);
    let report = compared(CompareConfig::default(), deep(), answers(200, "[]")).await;
    assert_eq!(report.differed_body, 1);
}

#[tokio::test(start_paused = true)]
async fn differences_show_no_values_unless_they_are_to() {
    let ours = answers(200, r#"{"token": "hunter2", "n": 1, "only": [1], "same": "hunter2"}"#);
    let theirs = answers(200, r#"{"token": "hunter3", "n": true, "same": "hunter2"}"#);
    let how = CompareConfig::default();
    let report = compared(how.clone(), ours.clone(), theirs.clone()).await;
    let shown = format!("{:?}", report.differences);
    assert!(!shown.contains("hunter") && !shown.contains("secret"), "{shown}");
    let places: Vec<_> = report.differences.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(places, ["body/n", "body/only", "body/token"]);
    let token = &report.differences[2];
    assert!(token.primary.starts_with("string of 7 bytes, #"), "{token:?}");
    assert_ne!(token.primary, token.mirror, "the hashes differ");
    assert_eq!(report.differences[1].mirror, "nothing");
    assert_eq!((token.path.as_str(), &token.method), ("/orders/7", &Method::GET));

    let report = compared(CompareConfig { show_values: true, ..how }, ours, theirs).await;
    assert_eq!(report.differences[2].primary, r#""hunter2""#);
}

#[tokio::test(start_paused = true)]
async fn the_first_differences_are_kept() {
    let settings = comparing(CompareConfig { differences: 3, ..CompareConfig::default() });
    let layer = MirrorLayer::new(answers(404, "")).settings(settings);
    for _ in 0..5 {
        exchange(&layer, answers(200, ""), get()).await;
    }
    let report = layer.handle().report();
    assert_eq!((report.differed_status, report.differences.len()), (5, 3));
    let first = &report.differences[0];
    let shown = (first.place.as_str(), first.primary.as_str(), first.mirror.as_str());
    assert_eq!(shown, ("status", "200", "404"));
}

#[tokio::test(start_paused = true)]
async fn latencies_stand_side_by_side() {
    let after = |delay| {
        Module::new(module_fn(move |_: Request| async move {
            sleep(delay).await;
            Ok::<_, Error>(Response::new(Body::empty()))
        }))
    };
    let report = compared(CompareConfig::default(), after(SECOND), after(3 * SECOND)).await;
    assert_eq!((report.primary_latency, report.mirror_latency), (SECOND, 3 * SECOND));
}

proptest! {
    #[test]
    fn the_percent_is_exact_and_evenly_spread(percent in 0..=100_u32, count in 0..500_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut settings = all();
            settings.percent = f64::from(percent);
            settings.in_flight = usize::MAX;
            let chosen = Arc::new(Mutex::new(Vec::new()));
            let number = AtomicUsize::new(0);
            let layer = MirrorLayer::new(answers(200, "")).settings(settings);
            let stack = layer.layer(answers(200, ""));
            for _ in 0..count {
                let before = layer.handle().report().mirrored;
                stack.clone().oneshot(get()).await.unwrap();
                let number = number.fetch_add(1, Ordering::Relaxed);
                if layer.handle().report().mirrored > before {
                    chosen.lock().unwrap().push(number);
                }
            }
            let chosen = chosen.lock().unwrap();
            prop_assert_eq!(chosen.len(), count * percent as usize / 100);
            let apart = chosen.windows(2).map(|pair| pair[1] - pair[0]);
            let (least, most) = (apart.clone().min(), apart.max());
            prop_assert!(most.unwrap_or(0) - least.unwrap_or(0) <= 1);
            Ok(())
        })?;
    }
}
