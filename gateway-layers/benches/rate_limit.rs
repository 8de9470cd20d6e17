//! What a decision of a limit in memory takes, and what the layer adds to a call whose request has
//! just been made.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::{
    Body, ConnectionInfo, Error, ListenerInfo, Outcome, Request, RequestContext, Response,
};
use gateway_layers::guard::Guard;
use gateway_layers::rate_limit::{Algorithm, Limit, RateLimitConfig, RateLimitLayer};
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

fn connections(count: u32) -> Vec<Arc<ConnectionInfo>> {
    let address = |host: u32| {
        let ip = IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + host));
        let peer = Some(SocketAddr::new(ip, 1));
        Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), peer, None))
    };
    (0..count).map(address).collect()
}

fn measure<S>(criterion: &mut Criterion, name: &str, clients: u32, mut service: S)
where
    S: Service<Request, Response = Response, Error = Error>,
{
    let connections = connections(clients);
    let mut clients = connections.iter().cycle();
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            || {
                let mut request = Request::new(Body::empty());
                let connection = clients.next().expect("there are some");
                let context = RequestContext::new(Arc::clone(connection), Instant::now());
                request.extensions_mut().insert(context);
                request
            },
            |request| drop(black_box(service.call(request).now_or_never())),
            BatchSize::SmallInput,
        );
    });
}

/// Rejects nobody, and no key is over before it is used again.
fn wide() -> Limit {
    Limit::per_hour(1_000_000).burst(1_000_000_000).by_ip()
}

/// The decision alone, about requests that are there already.
fn decide(criterion: &mut Criterion, clients: u32) {
    let limiter = layer(vec![wide()], false).limiter().clone();
    let request = |connection: &Arc<ConnectionInfo>| {
        let mut request = Request::new(Body::empty());
        let context = RequestContext::new(Arc::clone(connection), Instant::now());
        request.extensions_mut().insert(context);
        request
    };
    let mut requests: Vec<_> = connections(clients).iter().map(request).collect();
    let mut next = 0;
    criterion.bench_function(&format!("{clients}_clients/decision"), |bencher| {
        bencher.iter(|| {
            next = (next + 1) % requests.len();
            requests.get_mut(next).map(|request| limiter.check(black_box(request)))
        });
    });
}

fn layer(limits: Vec<Limit>, headers: bool) -> RateLimitLayer {
    let mut settings = RateLimitConfig::new("bench", limits);
    settings.headers = headers;
    RateLimitLayer::new(settings).expect("limits of the bench")
}

fn bench(criterion: &mut Criterion) {
    for clients in [100, 10_000] {
        decide(criterion, clients);
        let mut run = |name: &str, limits: Vec<Limit>, headers: bool| {
            let service = layer(limits, headers).layer(Answers);
            measure(criterion, &format!("{clients}_clients/{name}"), clients, service);
        };
        run("one", vec![wide()], false);
        run("one_with_fields", vec![wide()], true);
        run(
            "sliding_window",
            vec![Limit::per_second(1_000_000).algorithm(Algorithm::SlidingWindow)],
            false,
        );
        run("three", vec![wide(), wide().by([]), wide().by_route()], false);
        run("rejected", vec![Limit::per_hour(1).by_ip()], false);
        measure(criterion, &format!("{clients}_clients/without"), clients, Answers);
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
