//! Signed requests: a partner signs, the gateway knows it by that, and signs in its own name what
//! goes on to the upstream.
//!
//! Unsigned, `curl 127.0.0.1:8080` is answered 401; the partner below is not.

use gateway_core::{BoundListener, Cluster, Gateway, Listener, Module, Route, RouteMatch, Server};
use gateway_examples::{Result, stopped};
use gateway_layers::auth::signature::{
    SignConfig, SignLayer, SignatureKey, SignatureVerifier, TrustedKey,
};
use gateway_layers::auth::{Authenticate, Forward};
use http::HeaderName;
use tower::ServiceBuilder;

/// What the partner and the gateway know; in earnest it comes from a file or a store.
const PARTNERS: &[u8] = b"32 letters or more that both know";

/// What the gateway and the upstream know.
const OURS: &[u8] = b"32 letters or more: we and the upstream";

#[tokio::main]
async fn main() -> Result {
    let listener = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    run(listener, "http://127.0.0.1:9000").await
}

/// Serves on `listener`.
pub async fn run(listener: BoundListener, upstream: &str) -> Result {
    let acme = TrustedKey::new("acme-2026", SignatureKey::secret(PARTNERS)?).owner("acme");
    let told = Forward::new().field(HeaderName::from_static("x-partner"), "subject");
    let partners = SignatureVerifier::builder("partners").key(acme).forward(told).build()?;

    let ours = SignConfig::new("gateway-2026", SignatureKey::secret(OURS)?);
    let target = ServiceBuilder::new()
        .layer(Authenticate::new(partners))
        // Right around the cluster, below whatever asks again: each try is signed anew.
        .layer(SignLayer::new(ours)?)
        .service(cluster("orders", upstream)?);
    let route = Route::new("orders", Module::from_service(target)).matching(RouteMatch::any());
    let gateway = Gateway::builder().route(route).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}

/// What a partner sends its requests through.
pub fn partner(gateway: &str) -> Result<Module> {
    let key = SignConfig::new("acme-2026", SignatureKey::secret(PARTNERS)?);
    let signed =
        ServiceBuilder::new().layer(SignLayer::new(key)?).service(cluster("gateway", gateway)?);
    Ok(Module::from_service(signed))
}

fn cluster(name: &str, address: &str) -> Result<Module> {
    Ok(Module::new(Cluster::builder(name).endpoint(address.parse()?).build()?))
}
