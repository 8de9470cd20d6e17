//! Services that register themselves with the gateway and get what they say they take.
//!
//! `curl 127.0.0.1:8080/resources/users` is answered by a service that nobody configured. It
//! would be a process of its own; here it is a task with a server and a client of its own.

use std::time::Duration;

use gateway_core::{
    Body, BoundListener, Cluster, Error, Gateway, Listener, Module, ModuleService, Request,
    Response, Route, RouteMatch, Server, module_fn,
};
use gateway_examples::{Result, stopped};
use gateway_layers::registry::{
    AllowList, CapabilityModule, Registry, RegistryModule, ServiceTokens,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};

/// What services show to be let in. Of course it is no constant outside of an example.
const TOKEN: &str = "a-token-for-services";

#[tokio::main]
async fn main() -> Result {
    let gateway = Listener::new("127.0.0.1:8080".parse()?).bind()?;
    let service = Listener::new("127.0.0.1:9000".parse()?).bind()?;
    tokio::select! {
        served = run(gateway) => served,
        served = serve("http://127.0.0.1:8080", "http://127.0.0.1:9000", service) => served,
    }
}

/// The gateway on `listener`: an API to register with, and a route to whoever did.
pub async fn run(listener: BoundListener) -> Result {
    // Loopback addresses are rejected unless they are listed one by one, as here.
    let registry = Registry::builder().allow(AllowList::new(["127.0.0.1"])?).build();
    let api = RegistryModule::new(&registry, ServiceTokens::new([TOKEN])?);
    let resources = CapabilityModule::new(&registry).param("resource_type", "type");
    let gateway = Gateway::builder()
        .route(Route::new("registry", Module::new(api)).matching(RouteMatch::prefix("/registry")?))
        .route(
            Route::new("resources", Module::new(resources))
                .matching(RouteMatch::path("/resources/{type}")?),
        )
        .build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}

/// A service at `address`, which `listener` listens on: it serves, and says so to `gateway`.
pub async fn serve(gateway: &str, address: &str, listener: BoundListener) -> Result {
    let users = module_fn(async |request: Request| {
        Ok::<_, Error>(match request.uri().path() {
            "/health" => Response::default(),
            path => Response::new(format!("users answers {path}\n").into()),
        })
    });
    let server = Server::new(Module::new(users)).listen(listener);
    tokio::select! {
        served = server.serve(std::future::pending()) => { served?; }
        () = stay_registered(gateway, address) => {}
    }
    Ok(())
}

/// Registers, sends heartbeats, and registers anew whenever the gateway knows nothing of it.
async fn stay_registered(gateway: &str, address: &str) {
    loop {
        if let Err(error) = registered(gateway, address).await {
            tracing::warn!(error, "not registered");
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn registered(gateway: &str, address: &str) -> Result {
    let gateway = Cluster::builder("gateway").endpoint(gateway.parse()?).build()?;
    let registration = json!({
        "service": "users",
        "address": address,
        "capabilities": { "resource_type": ["users", "groups"] },
        "metadata": { "version": "1.0" },
    });
    let own = ask(&gateway, "POST", "/registry/services", "", &registration.to_string()).await?;
    let text = |name: &str| own[name].as_str().map(str::to_owned).ok_or("no registration");
    let (id, secret) = (text("id")?, text("secret")?);
    let every = Duration::from_secs(own["heartbeat_seconds"].as_u64().unwrap_or(10).max(1));
    loop {
        tokio::time::sleep(every).await;
        ask(&gateway, "PUT", &format!("/registry/services/{id}/heartbeat"), &secret, "").await?;
    }
}

/// Asks the registry's API; anything but success is an error.
async fn ask(
    gateway: &Cluster,
    method: &str,
    path: &str,
    secret: &str,
    body: &str,
) -> Result<Value> {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "gateway")
        .header("content-type", "application/json")
        .header("x-service-token", TOKEN)
        .header("x-registration-secret", secret)
        .body(Body::full(body.to_owned()))?;
    let response = gateway.call(request).await.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    if !status.is_success() {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(serde_json::from_slice(&body)?)
}
