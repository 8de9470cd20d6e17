use std::sync::Mutex;
use std::time::Duration;

use gateway_core::{
    Body, Error, Gateway, Module, PeerAddr, Reason, Request, Response, Route, RouteMatch, context,
    module_fn,
};
use http_body_util::BodyExt;

use super::*;
use crate::testing::Logged;

/// What is logged with the access log's target.
fn logged() -> (Logged, tracing::subscriber::DefaultGuard) {
    Logged::of(|metadata| metadata.target() == TARGET)
}

fn gateway() -> Gateway {
    let ok = Module::new(module_fn(|request: Request| async move {
        let context = request.extensions().get::<gateway_core::RequestContext>();
        let attempt = context::Attempt::new("orders".into(), "http://10.0.0.1:80".into());
        let record = context.unwrap().record();
        record.attempt(attempt);
        record.set_variant("next".into());
        Ok::<_, Error>(Response::new("hello".into()))
    }));
    let fails = Module::new(module_fn(|_: Request| async {
        Err::<Response, _>(
            Error::new(Reason::ConnectFailed)
                .with_detail("a \"quoted\"\nline")
                .with_source(std::io::Error::other("rejected\n")),
        )
    }));
    Gateway::builder()
        .route(Route::new("ok", ok).matching(RouteMatch::prefix("/ok").unwrap()))
        .route(Route::new("fails", fails).matching(RouteMatch::path("/fails").unwrap()))
        .observer(AccessLog::new())
        .build()
        .unwrap()
}

fn request(target: &str) -> Request {
    let peer = PeerAddr(([127, 0, 0, 1], 1000).into());
    http::Request::get(target)
        .extension(peer)
        .header("host", "example.org")
        .body(Body::empty())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_line_says_what_happened() {
    let (lines, _guard) = logged();
    let response = gateway().handle(request("/ok/a?token=secret")).await;
    tokio::time::sleep(Duration::from_micros(1500)).await;
    assert!(lines.take().is_empty(), "before the body has ended");
    response.into_body().collect().await.unwrap();
    let line = lines.take().remove(0);
    for expected in [
        "message=request",
        "method=GET ",
        "path=/ok/a ",
        "status=200 ",
        "route=ok ",
        "variant=next ",
        "cluster=orders ",
        "endpoint=http://10.0.0.1:80 ",
        "attempts=1 ",
        "client=127.0.0.1 ",
        "duration_ms=2.0 ",
        "head_ms=0.0 ",
        "bytes=5 ",
        "end=complete ",
        "generation=1 ",
    ] {
        assert!(line.contains(expected), "{expected} in {line}");
    }
    for absent in ["secret", "reason=", "detail=", "cause=", "fallback"] {
        assert!(!line.contains(absent), "{absent} in {line}");
    }
}

#[tokio::test]
async fn a_failure_says_why_in_one_line() {
    let (lines, _guard) = logged();
    let response = gateway().handle(request("/fails")).await;
    drop(response);
    let line = lines.take().remove(0);
    for expected in [
        "status=502 ",
        "reason=connect_failed ",
        "detail=a \\\"quoted\\\"\\u{a}line ",
        "cause=rejected\\u{a} ",
        "bytes=0 ",
        "end=dropped ",
    ] {
        assert!(line.contains(expected), "{expected} in {line}");
    }
    assert!(!line.contains('\n'));
}

#[tokio::test]
async fn who_answered_in_the_place_of_another_is_said() {
    let (lines, _guard) = logged();
    let module = Module::new(module_fn(|request: Request| async move {
        let context = request.extensions().get::<gateway_core::RequestContext>();
        let fallback = Fallback::new("legacy".into(), Err(Reason::CircuitOpen));
        context.unwrap().record().fall_back(fallback.with_failure("connect_failed: \n"));
        Ok::<_, Error>(Response::new("hello".into()))
    }));
    let route = Route::new("ok", module).matching(RouteMatch::path("/").unwrap());
    let gateway = Gateway::builder().route(route).observer(AccessLog::new()).build().unwrap();
    drop(gateway.handle(request("/")).await);
    let line = lines.take().remove(0);
    for expected in [
        "fallback=legacy ",
        "fallback_for=circuit_open ",
        "fallback_failure=connect_failed: \\u{a} ",
    ] {
        assert!(line.contains(expected), "{expected} in {line}");
    }
}

#[tokio::test]
async fn what_no_route_takes_is_logged_too() {
    let (lines, _guard) = logged();
    drop(gateway().handle(request("/nowhere")).await);
    let line = lines.take().remove(0);
    assert!(line.contains("reason=route_not_found "), "{line}");
    assert!(!line.contains("route=ok"), "{line}");
    assert!(!line.contains("variant="), "{line}");
}

/// The names of the fields of a line, and what they say but for what is measured.
fn fields(line: &str) -> Vec<(String, String)> {
    let fields = line.split(' ').filter_map(|field| field.split_once('='));
    let told = |name: &str, value: &str| {
        let measured = name.ends_with("_ms");
        (name.to_owned(), if measured { String::new() } else { value.to_owned() })
    };
    fields.map(|(name, value)| told(name, value)).collect()
}

#[tokio::test]
async fn lines_say_what_events_say() {
    let (events, _guard) = logged();
    let module = Module::new(module_fn(|request: Request| async move {
        let context = request.extensions().get::<gateway_core::RequestContext>();
        let record = context.unwrap().record();
        record.attempt(context::Attempt::new("orders".into(), "http://[::1]:80".into()));
        record.set_variant("next".into());
        let fallback = Fallback::new("legacy".into(), Err(Reason::CircuitOpen));
        record.fall_back(fallback.with_failure("connect_failed:\n"));
        let error = Error::new(Reason::ConnectFailed).with_detail("\"quoted\"\n");
        Err::<Response, _>(error.with_source(std::io::Error::other("rejected\n")))
    }));
    let lines = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&lines);
    let gateway = Gateway::builder()
        .route(Route::new("all", module).matching(RouteMatch::prefix("/").unwrap()))
        .observer(AccessLog::new())
        .observer(AccessLog::lines(move |line| written.lock().unwrap().push(line.to_owned())))
        .build()
        .unwrap();
    for target in ["/a?token=secret", "/\u{fc}ber/b"] {
        drop(gateway.handle(request(target)).await);
        let event = events.take().remove(0).replace("message=request ", "");
        let line = lines.lock().unwrap().remove(0);
        assert_eq!(fields(line.strip_suffix('\n').unwrap()), fields(event.trim_end()));
        let (time, rest) = line.split_once("  ").unwrap();
        assert_eq!((time.len(), &time[19..20]), ("2026-11-26T09:01:09.000000Z".len(), "."));
        assert!(rest.starts_with("INFO gateway::access: request method=GET path=/"), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
}
