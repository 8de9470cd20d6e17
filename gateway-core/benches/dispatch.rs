//! What the gateway costs between a request and a module in the same process, nobody observing, at
//! 1 and 1,000 routes.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::{
    Body, ConnectionInfo, FixedResponse, Gateway, ListenerInfo, Module, Request, RequestContext,
    Route, RouteMatch,
};
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::time::Instant;

const TABLE_SIZES: [usize; 2] = [1, 1_000];

fn gateway(size: usize) -> Gateway {
    let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    let routes = (0..size).map(|number| {
        let path = format!("/api/v1/orders-{number}/{{id}}");
        let matching = RouteMatch::path(&path).expect("a pattern of the bench");
        Route::new(format!("route-{number}"), module.clone()).matching(matching)
    });
    Gateway::builder().routes(routes).build().expect("a gateway without errors")
}

/// A request as a server of ours hands it over.
fn request(target: &http::Uri, connection: &Arc<ConnectionInfo>) -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = target.clone();
    let fields = [("host", "api.example.com"), ("user-agent", "bench"), ("accept", "*/*")];
    for (name, value) in fields {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    let context = RequestContext::new(Arc::clone(connection), Instant::now());
    request.extensions_mut().insert(context);
    request
}

fn dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(1));
    let connection = Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None));
    for size in TABLE_SIZES {
        let gateway = gateway(size);
        let target = format!("/api/v1/orders-{}/7", size / 2).parse().expect("a target");
        group.bench_function(BenchmarkId::new("module", size), |bencher| {
            bencher.iter_batched(
                || request(&target, &connection),
                |request| {
                    let answered = gateway.handle(black_box(request)).now_or_never();
                    answered.expect("the module answers at once")
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
