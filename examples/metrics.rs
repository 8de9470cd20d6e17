//! What happens is counted, and shown to Prometheus by a route of its own, beside a number of the
//! program's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway_core::{
    BoundListener, Gateway, Listener, Module, Request, Response, Route, RouteMatch, Server,
    module_fn,
};
use gateway_examples::{Result, stopped};
use gateway_layers::metrics::prometheus_client::collector::Collector;
use gateway_layers::metrics::prometheus_client::encoding::DescriptorEncoder;
use gateway_layers::metrics::{Metrics, MetricsModule, gauge};

/// How long a queue of the program is.
#[derive(Clone, Debug, Default)]
struct Queue(Arc<AtomicU64>);

impl Collector for Queue {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let length = self.0.load(Ordering::Relaxed);
        gauge(&mut encoder, "orders_queued", "Orders that wait", length)
    }
}

#[tokio::main]
async fn main() -> Result {
    run(Listener::new("127.0.0.1:8080".parse()?).bind()?).await
}

/// Takes orders on `listener`, and shows there what was counted.
pub async fn run(listener: BoundListener) -> Result {
    let (metrics, queue) = (Metrics::new(), Queue::default());
    let shown = MetricsModule::new(&metrics);
    let shown = shown.with({
        let queue = queue.clone();
        move || vec![Box::new(queue.clone())]
    });
    let orders = module_fn(move |_: Request| {
        queue.0.fetch_add(1, Ordering::Relaxed);
        async { Ok(Response::new("taken".into())) }
    });
    let gateway = Gateway::builder()
        .route(Route::new("orders", Module::new(orders)).matching(RouteMatch::path("/orders")?))
        // In earnest it is on a listener that strangers do not reach.
        .route(Route::new("metrics", Module::new(shown)).matching(RouteMatch::path("/metrics")?))
        .observer(metrics)
        .build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}
