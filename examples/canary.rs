//! A canary, and the switch from blue to green: two versions behind one route.
//!
//! Of what comes to 127.0.0.1:8080, a tenth goes to green; a client with a session stays with one
//! version as long as weights stay. `curl -H 'x-variant: green' 127.0.0.1:8080` asks green whatever
//! its share.
//!
//! Operators look at the weights with `curl 127.0.0.1:8081/weights`, and switch with
//! `curl -X PUT -d 'blue=0 green=100' 127.0.0.1:8081/weights`.

use gateway_core::{
    BoundListener, Cluster, Error, Gateway, Listener, Module, ModuleService, Outcome, Reason,
    Request, Response, Route, RouteMatch, Server, Split, SplitEntry,
};
use gateway_examples::{Result, stopped};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};

/// Weights are no longer text than this.
const MAX_LENGTH: usize = 1024;

#[tokio::main]
async fn main() -> Result {
    let public = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    let operators = Listener::new("127.0.0.1:8081".parse()?).bind()?;
    run(public, operators, "http://127.0.0.1:9000", "http://127.0.0.1:9001").await
}

/// Serves on both listeners.
pub async fn run(
    public: BoundListener,
    operators: BoundListener,
    blue: &str,
    green: &str,
) -> Result {
    let blue = Cluster::builder("blue").endpoint(blue.parse()?).build()?;
    let green = Cluster::builder("green").endpoint(green.parse()?).build()?;
    let shop = Split::builder()
        .entry(SplitEntry::new("blue", Module::new(blue), 90))
        .entry(SplitEntry::new("green", Module::new(green), 10))
        // Who has neither is drawn anew for each request.
        .by(["header:x-user".parse()?, "cookie:session".parse()?])
        // Anybody may send it: where that is not wanted, the edge takes it off.
        .force_header("x-variant".parse()?)
        .build()?;
    let weights = Module::new(Weights { split: shop.clone() });
    let taken = RouteMatch::path("/weights")?.methods([Method::GET, Method::PUT]);
    let shop = Route::new("shop", Module::new(shop)).matching(RouteMatch::any());
    let shop = Gateway::builder().route(shop).build()?;
    // A listener of its own, so that no client reaches it by guessing a path.
    let weights = Route::new("weights", weights).matching(taken);
    let weights = Gateway::builder().route(weights).build()?;
    let shop = Server::new(shop).listen(public).serve(stopped());
    let weights = Server::new(weights).listen(operators).serve(stopped());
    tokio::try_join!(shop, weights)?;
    Ok(())
}

/// Shows the weights of a split, and changes them.
struct Weights {
    split: Split,
}

impl ModuleService for Weights {
    async fn call(&self, request: Request) -> Outcome {
        if *request.method() == Method::PUT {
            let body = Limited::new(request.into_body(), MAX_LENGTH).collect().await;
            let body = body.map_err(|_| Error::new(Reason::BodyTooLarge))?.to_bytes();
            // All change at once or none does, and what is under way ends where it is.
            if let Err(problem) = self.change(&String::from_utf8_lossy(&body)) {
                let mut response = Response::new(format!("{problem}\n").into());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                return Ok(response);
            }
        }
        Ok(Response::new(format!("{}\n", self.split.status()).into()))
    }
}

impl Weights {
    /// Takes every entry once, as in `blue=0 green=100`.
    fn change(&self, text: &str) -> Result {
        let mut weights = Vec::new();
        for pair in text.split_whitespace() {
            let (name, weight) = pair.split_once('=').ok_or("expected NAME=WEIGHT")?;
            weights.push((name, weight.parse()?));
        }
        Ok(self.split.set_weights(&weights)?)
    }
}
