//! Hedging: when an answer is slow, another endpoint is asked as well, and the first answer wins.
//!
//! Let 127.0.0.1:9000 hang and 127.0.0.1:9001 answer: no `curl 127.0.0.1:8080` takes much longer
//! than a tenth of a second.

use std::time::Duration;

use gateway_core::budget::{RetryBudget, RetryBudgetConfig};
use gateway_core::{BoundListener, Cluster, Gateway, Listener, Module, Route, RouteMatch, Server};
use gateway_examples::{Result, stopped};
use gateway_layers::hedge::{Delay, HedgeLayer};
use gateway_layers::retry::RetryLayer;
use gateway_layers::timeout::TimeoutLayer;
use tower::ServiceBuilder;

/// An answer that has not come by then is slow. It should be above what nearly all take, or much is
/// asked twice for nothing; with enough traffic, `Delay::Percentile(95.0)` finds that by itself.
const SLOW: Delay = Delay::Fixed(Duration::from_millis(100));

#[tokio::main]
async fn main() -> Result {
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    run(listener, "http://127.0.0.1:9000", "http://127.0.0.1:9001").await
}

/// Serves on `listener`.
pub async fn run(listener: BoundListener, one: &str, other: &str) -> Result {
    let search =
        Cluster::builder("search").endpoint(one.parse()?).endpoint(other.parse()?).build()?;

    let mut config = RetryBudgetConfig::default();
    // When all of the cluster is slow, it gets a tenth more and not twice its load.
    config.ratio = 0.1;
    let budget = RetryBudget::new(&config);
    let target = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(10)))
        // One budget for both: what the one spends the other does not have.
        .layer(RetryLayer::new().budget(budget.clone()))
        // The retry has counted the request already; this one only spends.
        .layer(HedgeLayer::new().delay(SLOW).budget(budget.spender()))
        .service(Module::new(search));
    let route = Route::new("search", Module::from_service(target)).matching(RouteMatch::any());
    let gateway = Gateway::builder().route(route).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}
