//! A service decides about each request, and says who is calling.
//!
//! `GET /check` at 127.0.0.1:9001 gets the head of each request. With 200 it goes on to
//! 127.0.0.1:9000, which is told `x-user-id` as the service has said it; with 401, 403 or a
//! redirect the client gets the service's answer. While the service is away nobody is let in.

use std::time::Duration;

use gateway_core::{BoundListener, Cluster, Gateway, Listener, Module, Route, RouteMatch, Server};
use gateway_examples::{Result, stopped};
use gateway_layers::auth::external::{ExternalAuth, PrincipalFields};
use gateway_layers::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use tower::ServiceBuilder;

const USER: HeaderName = HeaderName::from_static("x-user-id");

#[tokio::main]
async fn main() -> Result {
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    run(listener, "http://127.0.0.1:9001", "http://127.0.0.1:9000").await
}

/// Serves on `listener`; `service` decides, `upstream` answers.
pub async fn run(listener: BoundListener, service: &str, upstream: &str) -> Result {
    let service = Cluster::builder("auth").endpoint(service.parse()?).build()?;
    // Spares requests the wait for a service that is away.
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(CircuitBreaker::new(
            "auth",
            CircuitBreakerConfig::default(),
        )?))
        .service(Module::new(service));
    let mut principal = PrincipalFields::default();
    principal.subject = Some(USER);
    let external = ExternalAuth::builder(Module::from_service(service), "/check")
        .headers([AUTHORIZATION, COOKIE])
        .upstream_headers([USER])
        // The service may renew a session.
        .response_headers([SET_COOKIE])
        // For limits, permissions and the log behind.
        .principal(principal)
        .timeout(Duration::from_millis(500))
        .build()?;
    let orders = Cluster::builder("orders").endpoint(upstream.parse()?).build()?;
    let target = ServiceBuilder::new().layer(external).service(Module::new(orders));
    let route = Route::new("orders", Module::from_service(target)).matching(RouteMatch::any());
    let gateway = Gateway::builder().route(route).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}
