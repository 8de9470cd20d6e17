//! What one request through a cluster costs, with a connection from the pool to an upstream in
//! memory that answers at once: everything but sockets.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::message::Stream;
use gateway_core::upstream::Connect;
use gateway_core::upstream::health::OutlierDetectionConfig;
use gateway_core::{
    Body, Cluster, ClusterBuilder, ConnectionInfo, EndpointAddress, ListenerInfo, ModuleService,
    Request, RequestContext, Response,
};
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

/// An upstream at the other end: each write is a request.
#[derive(Default)]
struct Upstream {
    answers: usize,
}

impl AsyncRead for Upstream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.answers == 0 {
            return Poll::Pending;
        }
        self.answers -= 1;
        buffer.put_slice(ANSWER);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answers += 1;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Memory;

impl Connect for Memory {
    async fn connect(&self, _: &EndpointAddress) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(Upstream::default()))
    }
}

fn cluster(size: usize, ejection: Option<OutlierDetectionConfig>) -> Cluster {
    let address = |number| format!("http://10.0.0.{number}:9000").parse().expect("an address");
    let builder = (0..size).map(address).fold(Cluster::builder("orders"), ClusterBuilder::endpoint);
    let builder = builder.connector(Memory);
    let builder = match ejection {
        Some(ejection) => builder.outlier_detection(ejection),
        None => builder,
    };
    builder.build().expect("a cluster")
}

/// A request as a gateway hands it over.
fn request(connection: &Arc<ConnectionInfo>, timeout: Option<Duration>) -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/api/v1/orders/7");
    let fields = [("host", "api.example.com"), ("user-agent", "bench"), ("accept", "*/*")];
    for (name, value) in fields {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    let context = RequestContext::new(Arc::clone(connection), Instant::now());
    if let Some(timeout) = timeout {
        context.set_deadline(context.started() + timeout);
    }
    request.extensions_mut().insert(context);
    request
}

fn connection() -> Arc<ConnectionInfo> {
    Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None))
}

fn send(cluster: &Cluster, request: Request) -> Response {
    let answered = ModuleService::call(cluster, request).now_or_never();
    answered.expect("the upstream answers at once").expect("an answer")
}

fn forward(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("forward");
    group.throughput(Throughput::Elements(1));
    let connection = connection();
    let (ejection, timeout) = (Some(<_>::default()), Some(Duration::from_secs(30)));
    let cases = [
        ("plain", 1, None, None),
        ("plain", 3, None, None),
        ("ejection", 3, ejection, None),
        ("timeout", 3, None, timeout),
    ];
    for (name, size, ejection, timeout) in cases {
        let cluster = cluster(size, ejection);
        group.bench_function(BenchmarkId::new(name, size), |bencher| {
            bencher.iter_batched(
                || request(&connection, timeout),
                |request| send(&cluster, request),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
