//! A source of endpoints written by hand: whoever starts an upstream says so over HTTP.
//!
//! `curl -X PUT -d http://127.0.0.1:9000 127.0.0.1:8080/endpoints`, one URL in a line, and then
//! everything below `/orders` goes there.

use gateway_core::upstream::{Discover, EndpointAddress, EndpointError, EndpointSpec, Publisher};
use gateway_core::{
    BoundListener, Cluster, Error, Gateway, Listener, Module, ModuleService, Outcome, Reason,
    Request, Response, Route, RouteMatch, Server,
};
use gateway_examples::{Result, stopped};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::sync::watch;

/// More than this nobody has to say.
const MAX_LENGTH: usize = 4096;

/// The latest that was said, as a source of endpoints.
struct Said {
    text: watch::Receiver<String>,
}

impl Discover for Said {
    fn name(&self) -> &str {
        "said over HTTP"
    }

    /// Publishes a set for each text. A text that is no set is a failure: the last one holds, and
    /// the cluster's status says what is wrong.
    async fn run(&self, publisher: Publisher) {
        let mut text = self.text.clone();
        while text.changed().await.is_ok() {
            let endpoints = endpoints(&text.borrow_and_update());
            match endpoints {
                Ok(endpoints) => publisher.publish(endpoints),
                Err(problem) => publisher.failed(problem),
            }
        }
    }
}

fn endpoints(text: &str) -> std::result::Result<Vec<EndpointSpec>, EndpointError> {
    let addresses = text.lines().map(str::parse::<EndpointAddress>);
    addresses.map(|address| address.map(EndpointSpec::new)).collect()
}

/// Takes what is said, and shows what became of it.
struct Listen {
    text: watch::Sender<String>,
    orders: Cluster,
}

impl ModuleService for Listen {
    async fn call(&self, request: Request) -> Outcome {
        if *request.method() == Method::GET {
            return Ok(Response::new(format!("{}\n", self.orders.status()).into()));
        }
        let body = Limited::new(request.into_body(), MAX_LENGTH).collect().await;
        let body = body.map_err(|_| Error::new(Reason::BodyTooLarge))?.to_bytes();
        self.text.send_replace(String::from_utf8_lossy(&body).into_owned());
        let mut response = Response::default();
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }
}

#[tokio::main]
async fn main() -> Result {
    run(Listener::new("127.0.0.1:8080".parse()?).bind()?).await
}

/// Serves on `listener`.
pub async fn run(listener: BoundListener) -> Result {
    let (text, said) = watch::channel(String::new());
    let orders = Cluster::builder("orders").discovery(Said { text: said }).build()?;
    orders.start();
    let listen = Module::new(Listen { text, orders: orders.clone() });
    let told = RouteMatch::path("/endpoints")?.methods([Method::GET, Method::PUT]);
    let gateway = Gateway::builder()
        .route(Route::new("endpoints", listen).matching(told))
        .route(Route::new("orders", Module::new(orders)).matching(RouteMatch::prefix("/orders")?))
        .build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}
