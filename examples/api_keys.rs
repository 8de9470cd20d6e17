//! Keys that the program issues, changes and takes back.
//!
//! Prints a key of `acme` once. Whoever shows it in `x-api-key` gets through to the upstream, which
//! is told who it is and by which key; nobody else does. Keys are kept in the memory of this
//! process here; `FileKeyStore`, `RedisKeyStore` and `PostgresKeyStore` take its place where they
//! should last.

use gateway_core::{BoundListener, Cluster, Gateway, Listener, Module, Route, RouteMatch, Server};
use gateway_examples::{Result, stopped};
use gateway_layers::auth::api_key::{ApiKeyAuthenticator, ApiKeys, KeyGrant, MemoryKeyStore};
use gateway_layers::auth::{Authenticate, Forward};
use http::HeaderName;
use tower::ServiceBuilder;

const USER: HeaderName = HeaderName::from_static("x-user-id");
const KEY: HeaderName = HeaderName::from_static("x-key-id");

#[tokio::main]
#[allow(clippy::print_stdout, reason = "a key is shown once, to who is to have it")]
async fn main() -> Result {
    let keys = keys();
    let (key, record) = keys.issue(KeyGrant::new("acme").tier("gold")).await?;
    println!("{} has the id {}", key.reveal(), record.id);
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    run(listener, "http://127.0.0.1:9000", keys).await
}

/// Keys of partners.
pub fn keys() -> ApiKeys {
    let told = Forward::new().field(USER, "subject").field(KEY, "key_id");
    ApiKeys::builder("partners", MemoryKeyStore::new()).forward(told).build()
}

/// Serves on `listener` whoever has one of `keys`.
pub async fn run(listener: BoundListener, upstream: &str, keys: ApiKeys) -> Result {
    let orders = Cluster::builder("orders").endpoint(upstream.parse()?).build()?;
    let target = ServiceBuilder::new()
        .layer(Authenticate::new(ApiKeyAuthenticator::new(keys)))
        .service(Module::new(orders));
    let route = Route::new("orders", Module::from_service(target)).matching(RouteMatch::any());
    let gateway = Gateway::builder().route(route).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}
