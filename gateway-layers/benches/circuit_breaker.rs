//! What a closed breaker adds to a call, by the same call without it; and what a rejection costs.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::{
    Body, ConnectionInfo, Error, ListenerInfo, Outcome, Request, RequestContext, Response,
};
use gateway_layers::circuit_breaker::{
    CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer, SlowCalls,
};
use tokio::time::Instant;
use tower::{Layer, Service};

/// Answers at once.
#[derive(Clone)]
struct Answers;

impl Service<Request> for Answers {
    type Response = Response;
    type Error = Error;
    type Future = Ready<Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Ready<Outcome> {
        ready(Ok(Response::new(Body::empty())))
    }
}

fn request(connection: &Arc<ConnectionInfo>) -> Request {
    let mut request = Request::new(Body::empty());
    let context = RequestContext::new(Arc::clone(connection), Instant::now());
    request.extensions_mut().insert(context);
    request
}

fn breaker(slow: Option<SlowCalls>) -> CircuitBreaker {
    let mut config = CircuitBreakerConfig::default();
    config.slow = slow;
    CircuitBreaker::new("bench", config).expect("a configuration of the bench")
}

fn measure<S>(criterion: &mut Criterion, name: &str, mut service: S)
where
    S: Service<Request, Response = Response, Error = Error>,
{
    let connection = Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None));
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            || request(&connection),
            |request| drop(black_box(service.call(request).now_or_never())),
            BatchSize::SmallInput,
        );
    });
}

fn bench(criterion: &mut Criterion) {
    measure(criterion, "call/without", Answers);
    let layer = CircuitBreakerLayer::new(breaker(None));
    measure(criterion, "call/closed", layer.layer(Answers));
    // With two readings of the clock, and two windows.
    let slow = SlowCalls { threshold: Duration::from_secs(1), ratio: 0.5 };
    let layer = CircuitBreakerLayer::new(breaker(Some(slow)));
    measure(criterion, "call/closed_slow", layer.layer(Answers));
    let open = breaker(None);
    open.force_open();
    measure(criterion, "call/open", CircuitBreakerLayer::new(open).layer(Answers));
}

criterion_group!(benches, bench);
criterion_main!(benches);
