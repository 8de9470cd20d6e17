//! What a concurrency limit costs a request when nobody has to wait, from the call until the body
//! of the answer has ended.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::{Body, Error, Outcome, Request, Response};
use gateway_layers::concurrency::{
    AdaptiveSettings, ConcurrencyLayer, ConcurrencyLimit, ConcurrencySettings, ShedSettings,
};
use tower_layer::Layer;
use tower_service::Service;

/// Answers at once, so that nothing else is measured.
#[derive(Clone)]
struct Answers;

impl Service<Request> for Answers {
    type Response = Response;
    type Error = Error;
    type Future = Ready<Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

fn measure<S>(criterion: &mut Criterion, name: &str, service: &S)
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
{
    let mut group = criterion.benchmark_group("concurrency");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        // A request has a service of its own, as behind a module.
        bencher.iter_batched(
            || (service.clone(), Request::new(Body::empty())),
            |(mut service, request)| {
                let outcome = service.call(black_box(request)).now_or_never();
                drop(black_box(outcome.expect("it answers at once").expect("it does not fail")));
                service
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn uncontended(criterion: &mut Criterion) {
    measure(criterion, "none", &Answers);
    let behind = |settings| ConcurrencyLayer::new(ConcurrencyLimit::new(settings)).layer(Answers);
    measure(criterion, "fixed", &behind(ConcurrencySettings::default()));
    let mut shedding = ConcurrencySettings::default();
    shedding.shed = Some(ShedSettings::default());
    measure(criterion, "shedding", &behind(shedding));
    let mut adaptive = ConcurrencySettings::default();
    adaptive.adaptive = Some(AdaptiveSettings::default());
    measure(criterion, "adaptive", &behind(adaptive));
}

criterion_group!(benches, uncontended);
criterion_main!(benches);
