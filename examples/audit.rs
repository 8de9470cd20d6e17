//! Audit events in a sink written by hand.
//!
//! Nobody may ask for what is below `/private`, and each time that somebody does is an event. The
//! sink writes it to standard output here; the client of a message queue or of a database would take
//! its place. Batches, retries, bounds and the end are the same for every sink.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::{
    BoundListener, FixedResponse, Gateway, Listener, Module, Reason, Route, RouteMatch, Server,
};
use gateway_examples::{Result, stopped};
use gateway_layers::audit::{Audit, AuditEvent, AuditSink, Undelivered};
use gateway_layers::filter::{FilterChain, FilterLayer, Flow, filter_fn};
use http::StatusCode;
use tower::ServiceBuilder;

/// Hands every event to a function, as a line of JSON.
pub struct Topic<F>(pub F);

impl<F: Fn(&str) + Send + Sync + 'static> AuditSink for Topic<F> {
    fn name(&self) -> String {
        "topic audit".to_owned()
    }

    async fn deliver(&self, events: &[Arc<AuditEvent>]) -> std::result::Result<(), Undelivered> {
        events.iter().for_each(|event| self.0(event.json()));
        Ok(())
    }
}

#[tokio::main]
#[allow(clippy::print_stdout, reason = "it stands for a message queue")]
async fn main() -> Result {
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    run(listener, Topic(|event: &str| println!("{event}"))).await
}

/// Serves on `listener`, and tells `sink` who was not let in.
pub async fn run(listener: BoundListener, sink: impl AuditSink) -> Result {
    let audit = Audit::builder().sink(sink).build()?;
    audit.start();
    let nobody = filter_fn(|_| Flow::Reject(Reason::Forbidden.into()));
    let private = ServiceBuilder::new()
        .layer(FilterLayer::new(FilterChain::new().then(nobody)))
        .service(Module::new(FixedResponse::new(StatusCode::NO_CONTENT)));
    let open = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    let gateway = Gateway::builder()
        .route(
            Route::new("private", Module::from_service(private))
                .matching(RouteMatch::prefix("/private")?),
        )
        .route(Route::new("open", open).matching(RouteMatch::any()))
        .observer(audit.clone())
        .build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    audit.drain(Duration::from_secs(5)).await;
    Ok(())
}
