//! What a concurrency limit costs a request when nobody has to wait, from the call until the body
//! of the answer has ended.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::{Body, Error, Module, Request, Response, module_fn};
use gateway_layers::concurrency::{
    AdaptiveConfig, ConcurrencyConfig, ConcurrencyLayer, ConcurrencyLimit, ShedConfig,
};
use tower_layer::Layer;
use tower_service::Service;

/// Answers at once. A module, because that is what stands behind a limit: its future is one word.
fn answers() -> Module {
    Module::new(module_fn(async |request: Request| {
        Ok::<_, Error>(Response::new(request.into_body()))
    }))
}

fn measure<S>(criterion: &mut Criterion, name: &str, service: &S)
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
{
    let mut group = criterion.benchmark_group("concurrency");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            // A request has a service of its own, as behind a module.
            let mut service = service.clone();
            let outcome = service.call(black_box(Request::new(Body::empty()))).now_or_never();
            outcome.expect("it answers at once").is_ok()
        });
    });
    group.finish();
}

fn uncontended(criterion: &mut Criterion) {
    measure(criterion, "none", &answers());
    let behind = |settings| ConcurrencyLayer::new(ConcurrencyLimit::new(settings)).layer(answers());
    measure(criterion, "fixed", &behind(ConcurrencyConfig::default()));
    let mut shedding = ConcurrencyConfig::default();
    shedding.shed = Some(ShedConfig::default());
    measure(criterion, "shedding", &behind(shedding));
    let mut adaptive = ConcurrencyConfig::default();
    adaptive.adaptive = Some(AdaptiveConfig::default());
    measure(criterion, "adaptive", &behind(adaptive));
}

criterion_group!(benches, uncontended);
criterion_main!(benches);
