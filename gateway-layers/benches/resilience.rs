//! What the policies that keep a cluster up cost a request that goes well: each alone and all of
//! them, around a module in the same process, from the call until the answer's body has ended.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::budget::RetryBudget;
use gateway_core::module::ModuleFuture;
use gateway_core::upstream::balance::{Balance, Candidate, Pick, PickContext, PowerOfTwo};
use gateway_core::{
    Body, ConnectionInfo, Endpoint, Error, ListenerInfo, Module, PoolConfig, Request,
    RequestContext, Response, module_fn,
};
use gateway_layers::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use gateway_layers::concurrency::{ConcurrencyConfig, ConcurrencyLayer, ConcurrencyLimit};
use gateway_layers::retry::RetryLayer;
use gateway_layers::timeout::{AttemptTimeoutLayer, TimeoutLayer};
use http::HeaderValue;
use tokio::time::Instant;
use tower::{Service, ServiceBuilder};

fn answers() -> Module {
    Module::new(module_fn(async |request: Request| {
        Ok::<_, Error>(Response::new(request.into_body()))
    }))
}

/// A module behind a balancer: what is picked is as good as any other. Requests are counted for
/// the budget of extra tries, as a cluster does.
#[derive(Clone)]
struct Balanced {
    pick: Arc<dyn Pick>,
    budget: Option<RetryBudget>,
    inner: Module,
}

impl Balanced {
    fn new(inner: Module) -> Self {
        let endpoint = |number| {
            let address = format!("http://10.0.0.{number}:9000").parse().expect("an address");
            Candidate::new(Arc::new(Endpoint::new(address, PoolConfig::default())), 100)
        };
        let pick = PowerOfTwo::with_seed(7).over((0..3).map(endpoint).collect());
        Self { pick: pick.into(), budget: None, inner }
    }

    fn budgeted(inner: Module) -> Self {
        Self { budget: Some(RetryBudget::default()), ..Self::new(inner) }
    }
}

impl Service<Request> for Balanced {
    type Response = Response;
    type Error = Error;
    type Future = ModuleFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> ModuleFuture {
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        black_box(self.pick.pick(black_box(&PickContext::default())).map(Arc::clone));
        self.inner.call(request)
    }
}

fn breaker() -> CircuitBreakerLayer {
    let breaker = CircuitBreaker::new("bench", CircuitBreakerConfig::default());
    CircuitBreakerLayer::new(breaker.expect("a configuration of the bench"))
}

fn bulkhead() -> ConcurrencyLayer {
    ConcurrencyLayer::new(ConcurrencyLimit::new(ConcurrencyConfig::default()))
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::new(Duration::from_secs(30))
}

/// A request as a server of ours hands it over.
fn request(connection: &Arc<ConnectionInfo>) -> Request {
    let mut request = Request::new(Body::empty());
    for name in ["host", "user-agent", "accept"] {
        let value = HeaderValue::from_static("some value of a usual length");
        request.headers_mut().insert(name, value);
    }
    let context = RequestContext::new(Arc::clone(connection), Instant::now());
    request.extensions_mut().insert(context);
    request
}

fn connection() -> Arc<ConnectionInfo> {
    Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None))
}

/// A request has a service of its own, as behind a module, and its answer ends with it.
fn send<S>(service: &S, request: Request) -> bool
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
{
    let outcome = service.clone().call(request).now_or_never();
    outcome.expect("it answers at once").is_ok()
}

fn measure<S>(criterion: &mut Criterion, name: &str, service: &S)
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
{
    let connection = connection();
    let mut group = criterion.benchmark_group("resilience");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter_batched(
            || request(&connection),
            |request| send(service, black_box(request)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn policies(criterion: &mut Criterion) {
    let around = ServiceBuilder::new;
    measure(criterion, "none", &answers());
    measure(criterion, "balancer", &Balanced::new(answers()));
    measure(criterion, "breaker", &around().layer(breaker()).service(answers()));
    measure(criterion, "bulkhead", &around().layer(bulkhead()).service(answers()));
    measure(criterion, "retry", &around().layer(RetryLayer::new()).service(answers()));
    let times = around().layer(timeout()).layer(AttemptTimeoutLayer::new(Duration::from_secs(5)));
    measure(criterion, "timeouts", &times.service(answers()));
    measure(criterion, "cluster", &cluster());
    measure(criterion, "all", &all());
}

/// Retries, breaker, bulkhead and balancer, as a gateway puts them together.
/// What a cluster with its ring does for every request.
fn cluster() -> impl Service<Request, Response = Response, Error = Error> + Clone {
    ServiceBuilder::new().layer(breaker()).layer(bulkhead()).service(Balanced::budgeted(answers()))
}

/// The same, with retries of the route around it.
fn all() -> impl Service<Request, Response = Response, Error = Error> + Clone {
    ServiceBuilder::new()
        .layer(RetryLayer::new())
        .layer(breaker())
        .layer(bulkhead())
        .service(Balanced::new(answers()))
}

criterion_group!(benches, policies);
criterion_main!(benches);
