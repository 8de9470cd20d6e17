//! What it takes to count a request, and a try at an endpoint.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::{
    AttemptFinished, Body, FixedResponse, Gateway, Module, Observer, Request, Response, Route,
    RouteMatch,
};
use gateway_layers::metrics::Metrics;
use http::StatusCode;

/// Sees, and does nothing.
struct Nothing;

impl Observer for Nothing {}

fn gateway(observer: impl Observer) -> Gateway {
    let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    let route = Route::new("orders", module).matching(RouteMatch::any());
    Gateway::builder().observer(observer).route(route).build().expect("a gateway")
}

fn request() -> Request {
    let mut request = Request::new(Body::empty());
    request.headers_mut().insert("host", http::HeaderValue::from_static("gateway.test"));
    request
}

fn answered(gateway: &Gateway) -> impl Fn(Request) -> Response {
    |request| gateway.handle(request).now_or_never().expect("an answer at once")
}

fn bench(criterion: &mut Criterion) {
    let metrics = Metrics::new();
    criterion.bench_function("attempt", |bencher| {
        let took = Duration::from_millis(3);
        let event = AttemptFinished::new("orders", "http://a:1", Ok(StatusCode::OK), took);
        bencher.iter(|| metrics.attempt_finished(black_box(&event)));
    });
    for (name, gateway) in
        [("dispatch/seen", gateway(Nothing)), ("dispatch/counted", gateway(metrics.clone()))]
    {
        criterion.bench_function(name, |bencher| {
            // An answer that is dropped has ended.
            let answer = answered(&gateway);
            bencher.iter_batched(request, |request| drop(answer(request)), BatchSize::SmallInput);
        });
    }
    criterion.bench_function("scrape", |bencher| bencher.iter(|| metrics.encode()));
}

criterion_group!(benches, bench);
criterion_main!(benches);
