//! A gRPC service twice: as a module in this process, and behind a cluster that speaks HTTP/2.
//!
//! The messages and the service are written by hand here; generated code fits in the same way,
//! since a generated server is a tower service too.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use gateway_core::route::ValueMatch;
use gateway_core::{
    BoundListener, BoxError, Cluster, Gateway, Listener, Module, Route, RouteMatch, Server, Tasks,
};
use gateway_examples::{Result, stopped};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// The full name of the one method.
pub const HELLO: &str = "/greeter.Greeter/Hello";

/// Who is to be greeted.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HelloRequest {
    /// A name; empty names are rejected.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// The greeting.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HelloReply {
    /// In words.
    #[prost(string, tag = "1")]
    pub text: String,
}

/// The service, which says where it is.
#[derive(Clone, Copy, Debug)]
struct Greeter {
    place: &'static str,
}

impl Greeter {
    async fn hello(
        self,
        request: Request<HelloRequest>,
    ) -> std::result::Result<Response<HelloReply>, Status> {
        let name = request.into_inner().name;
        if name.is_empty() {
            return Err(Status::invalid_argument("nobody to greet"));
        }
        let text = format!("hello {name}, from {}", self.place);
        Ok(Response::new(HelloReply { text }))
    }
}

impl<B> Service<http::Request<B>> for Greeter
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let greeter = *self;
        Box::pin(async move {
            if request.uri().path() != HELLO {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let method = service_fn(move |request| greeter.hello(request));
            let codec = ProstCodec::<HelloReply, HelloRequest>::default();
            Ok(Grpc::new(codec).unary(method, request).await)
        })
    }
}

impl NamedService for Greeter {
    const NAME: &'static str = "greeter.Greeter";
}

#[tokio::main]
async fn main() -> Result {
    run(Listener::new("127.0.0.1:8080".parse()?).bind()?).await
}

/// Serves on `listener`: calls with `x-place: here` are answered in this process, all others by
/// the cluster.
pub async fn run(listener: BoundListener) -> Result {
    let upstream = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("h2c://{}", upstream.local_addr()?);
    let tasks = Tasks::new();
    tasks.spawn("greeter upstream", serve_upstream(upstream));

    let there = Cluster::builder("greeter").endpoint(address.parse()?).build()?;
    let here = Module::from_service(Greeter { place: "here" });
    let asked_for_here = ValueMatch::Exact("here".to_owned());
    let gateway = Gateway::builder()
        .route(
            Route::new("here", here)
                .matching(RouteMatch::path(HELLO)?.header("x-place", asked_for_here)?),
        )
        .route(Route::new("there", Module::new(there)).matching(RouteMatch::path(HELLO)?))
        .build()?;
    let served = Server::new(gateway).listen(listener).serve(stopped()).await;
    tasks.abort();
    served?;
    Ok(())
}

/// The upstream: a gRPC server that knows nothing of gateways.
async fn serve_upstream(listener: TcpListener) {
    let server = tonic::transport::Server::builder().add_service(Greeter { place: "there" });
    if let Err(error) = server.serve_with_incoming(TcpIncoming::from(listener)).await {
        tracing::error!(%error, "the upstream ended");
    }
}
