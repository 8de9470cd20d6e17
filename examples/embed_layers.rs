//! Core and layers: a stack around a cluster, composed by hand.

use std::time::Duration;

use gateway_core::{Cluster, Gateway, Listener, Module, Route, RouteMatch, Server};
use gateway_examples::{Result, stopped};
use gateway_layers::{access_log::AccessLog, body_limit::BodyLimitLayer, timeout::TimeoutLayer};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result {
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    let server = Server::new(gateway("http://127.0.0.1:9000")?).listen(listener);
    Ok(server.serve(stopped()).await.map(drop)?)
}

/// The gateway of this example: everything goes to `upstream`, which has 30 s to answer.
pub fn gateway(upstream: &str) -> Result<Gateway> {
    let stack = ServiceBuilder::new()
        .layer(BodyLimitLayer::new(64 * 1024))
        .layer(TimeoutLayer::new(Duration::from_secs(30)))
        .service(Module::new(Cluster::builder("all").endpoint(upstream.parse()?).build()?));
    let route = Route::new("all", Module::from_service(stack)).matching(RouteMatch::any());
    let gateway = Gateway::builder().route(route).observer(AccessLog::new());
    Ok(gateway.build()?)
}
