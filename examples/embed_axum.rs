//! The gateway inside of an axum server: it handles its routes, everything else goes on to axum.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use gateway_core::{Cluster, Gateway, Module, Route, RouteMatch};
use gateway_examples::{Result, stopped};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result {
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    run(listener, "http://127.0.0.1:9000").await
}

/// Serves on `listener`; what is below `/orders` is answered by `upstream`.
pub async fn run(listener: TcpListener, upstream: &str) -> Result {
    let orders = Cluster::builder("orders").endpoint(upstream.parse()?);
    let orders = Route::new("orders", Module::new(orders.build()?));
    let gateway = Gateway::builder()
        .route(orders.matching(RouteMatch::prefix("/orders")?))
        .peer_from(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0))
        .build()?;
    let app = Router::new().route("/", get(async || "axum's own\n")).layer(gateway.layer());
    // Without the connection's address in the extensions, policies that need it reject requests.
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    Ok(())
}
