//! The core alone: a route table, a module in this process and a cluster of upstreams.
//!
//! `curl 127.0.0.1:8080/hello`, and everything below `/orders` goes to 127.0.0.1:9000.

use gateway_core::{Cluster, Error, Gateway, Listener, Module, Request, Response, Route};
use gateway_core::{RouteMatch, Server, module_fn};
use gateway_examples::{Result, stopped};

#[tokio::main]
async fn main() -> Result {
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    let server = Server::new(gateway("http://127.0.0.1:9000")?).listen(listener);
    Ok(server.serve(stopped()).await.map(drop)?)
}

/// The gateway of this example, with its orders at `upstream`.
pub fn gateway(upstream: &str) -> Result<Gateway> {
    let orders = Cluster::builder("orders").endpoint(upstream.parse()?);
    let hello = module_fn(async |_: Request| Ok::<_, Error>(Response::new("hello\n".into())));
    let to_orders = Route::new("orders", Module::new(orders.build()?));
    let to_hello = Route::new("hello", Module::new(hello));
    let gateway = Gateway::builder()
        .route(to_orders.matching(RouteMatch::prefix("/orders")?))
        .route(to_hello.matching(RouteMatch::path("/hello")?));
    Ok(gateway.build()?)
}
