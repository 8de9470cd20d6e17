//! A primary and a secondary endpoint, and an answer for the time when neither is well.
//!
//! Everything goes to 127.0.0.1:9000; stop it, and 127.0.0.1:9001 takes over; stop that as well,
//! and `curl -i 127.0.0.1:8080/orders` gets an empty list. Each change of state is printed.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::upstream::EndpointSpec;
use gateway_core::upstream::health::{HealthCheck, HttpProbe, OutlierDetectionConfig};
use gateway_core::{
    BoundListener, Cluster, FixedResponse, Gateway, Listener, Module, Observer, Observers, Route,
    RouteMatch, Server, StateChanged,
};
use gateway_examples::{Result, stopped};
use gateway_layers::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerLayer};
use gateway_layers::fallback::FallbackLayer;
use gateway_layers::retry::{Condition, RetryLayer};
use gateway_layers::timeout::{AttemptTimeoutLayer, TimeoutLayer};
use http::{HeaderValue, StatusCode};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result {
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    run(listener, "http://127.0.0.1:9000", "http://127.0.0.1:9001", Print).await
}

/// Serves on `listener`; `observer` is told what becomes of endpoints and the breaker.
pub async fn run(
    listener: BoundListener,
    primary: &str,
    secondary: &str,
    observer: impl Observer,
) -> Result {
    let observers = Observers::new(vec![Arc::new(observer)]);
    let probe = HttpProbe::default().path("/healthz".parse()?);
    let cluster = Cluster::builder("orders")
        .endpoint_spec(EndpointSpec::new(primary.parse()?))
        // Takes nothing as long as the primary is well.
        .endpoint_spec(EndpointSpec::new(secondary.parse()?).priority(1))
        .health_check(HealthCheck::new(probe).interval(Duration::from_secs(1)).fall(2))
        // Between two checks, requests notice first.
        .outlier_detection(OutlierDetectionConfig::default())
        .observers(observers.clone())
        .build()?;
    // Before anybody is let in, it should be known who is well. It may be that nobody is.
    cluster.start();
    let _known = tokio::time::timeout(Duration::from_secs(5), cluster.ready()).await;

    let mut config = CircuitBreakerConfig::default();
    // A ratio needs traffic; this holds with little as well.
    config.consecutive_failures = Some(5);
    // The checks find out within a second who is back.
    config.open = Duration::from_secs(1);
    let breaker = CircuitBreaker::observed("orders", config, observers)?;
    let empty =
        FixedResponse::new(StatusCode::OK).body(HeaderValue::from_static("application/json"), "[]");

    let target = ServiceBuilder::new()
        // Outside of the timeout: it stands in for what was too late as well.
        .layer(FallbackLayer::respond(empty).name("empty-list"))
        // The time of all tries together.
        .layer(TimeoutLayer::new(Duration::from_secs(10)))
        // The time of each, so that a server that hangs leaves some for the next one.
        .layer(AttemptTimeoutLayer::new(Duration::from_secs(2)))
        // Each try goes to an endpoint that was not tried yet.
        .layer(RetryLayer::new().on([Condition::Connect, Condition::Reset, Condition::Timeout]))
        // Inside of the retry it counts each try, and what it rejects is not tried again.
        .layer(CircuitBreakerLayer::new(breaker))
        .service(Module::new(cluster));
    let route = Route::new("orders", Module::from_service(target)).matching(RouteMatch::any());
    let gateway = Gateway::builder().route(route).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}

/// Prints what changes.
struct Print;

impl Observer for Print {
    #[allow(clippy::print_stdout, reason = "it is what this is for")]
    fn state_changed(&self, event: &StateChanged<'_>) {
        let StateChanged { subject, name, from, to, cause, .. } = event;
        println!("{subject} {name}: {from} -> {to} ({cause})");
    }
}
