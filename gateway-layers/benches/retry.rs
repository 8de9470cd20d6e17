//! What retries and hedges cost a request that needs neither, beside the same service without
//! them; and what a budget costs.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::budget::{RetryBudget, RetryBudgetConfig};
use gateway_core::{
    Body, ConnectionInfo, Error, ListenerInfo, Outcome, Request, RequestContext, Response,
};
use gateway_layers::hedge::{Delay, HedgeLayer};
use gateway_layers::retry::RetryLayer;
use http::Method;
use tokio::time::Instant;
use tower::{Layer, Service};

/// Answers at once, and costs nothing of its own.
#[derive(Clone)]
struct Answers;

impl Service<Request> for Answers {
    type Response = Response;
    type Error = Error;
    type Future = Ready<Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Ready<Outcome> {
        ready(Ok(Response::new(request.into_body())))
    }
}

/// A request as a server of ours hands it over, with the fields that a browser sends.
fn request(method: &Method, connection: &Arc<ConnectionInfo>) -> Request {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method.clone();
    for name in ["host", "user-agent", "accept", "accept-language", "accept-encoding", "cookie"] {
        let value = "some value of a usual length".parse().expect("a value");
        request.headers_mut().insert(name, value);
    }
    let context = RequestContext::new(Arc::clone(connection), Instant::now());
    request.extensions_mut().insert(context);
    request
}

fn measure<S>(criterion: &mut Criterion, name: &str, method: &Method, mut service: S)
where
    S: Service<Request, Response = Response, Error = Error>,
{
    let connection = Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None));
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            || request(method, &connection),
            |request| service.call(black_box(request)).now_or_never(),
            BatchSize::SmallInput,
        );
    });
}

fn layers(criterion: &mut Criterion) {
    measure(criterion, "plain", &Method::GET, Answers);
    measure(criterion, "retry/GET", &Method::GET, RetryLayer::new().layer(Answers));
    measure(criterion, "retry/POST", &Method::POST, RetryLayer::new().layer(Answers));
    let off = RetryLayer::new().max_retries(0);
    measure(criterion, "retry/off", &Method::GET, off.layer(Answers));
    let hedge = HedgeLayer::new().delay(Delay::Fixed(Duration::from_millis(50)));
    measure(criterion, "hedge/fixed", &Method::GET, hedge.layer(Answers));
    measure(criterion, "hedge/percentile", &Method::GET, HedgeLayer::new().layer(Answers));
    measure(criterion, "hedge/POST", &Method::POST, HedgeLayer::new().layer(Answers));
}

fn budget(criterion: &mut Criterion) {
    let budget = RetryBudget::default();
    criterion.bench_function("budget/deposit", |bencher| bencher.iter(|| budget.deposit()));
    let mut config = RetryBudgetConfig::default();
    config.min_per_second = u32::MAX;
    let large = RetryBudget::new(&config);
    criterion.bench_function("budget/withdraw", |bencher| bencher.iter(|| large.withdraw()));
    config.min_per_second = 0;
    let empty = RetryBudget::new(&config);
    criterion.bench_function("budget/reject", |bencher| bencher.iter(|| empty.withdraw()));
}

criterion_group!(benches, layers, budget);
criterion_main!(benches);
