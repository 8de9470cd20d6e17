//! Examples of the gateway, each a program of its own: `cargo run --example NAME`.
//!
//! | example | shows |
//! | --- | --- |
//! | `embed_core` | the core alone: routes, a module, a cluster |
//! | `embed_layers` | layers and filters around targets |
//! | `embed_config` | a document, and a module of one's own |
//! | `embed_axum` | the gateway as a layer inside of an axum server |
//! | `api_keys` | keys that the program issues, changes and takes back |
//! | `audit` | events for whoever was not let in, in a sink written by hand |
//! | `axum_module` | an axum `Router` as a module |
//! | `custom_module` | a module written by hand |
//! | `custom_layer` | a layer written by hand |
//! | `self_registration` | a service registers itself and is found by what it takes |
//! | `custom_discovery` | a source of endpoints written by hand |
//! | `canary` | two versions behind one route by weights, and the switch from blue to green |
//! | `external_auth` | a service decides about each request, and says who is calling |
//! | `failover` | a primary and a secondary endpoint, checks, retries, a breaker and a fallback |
//! | `hedging` | a slow answer is asked for at another endpoint as well |
//! | `metrics` | what happens, counted for Prometheus, beside a number of the program's |
//! | `rate_limit` | limits by address and by who is known, with tiers, and an end to guessing |
//! | `signing` | a partner signs its requests, and the gateway those that go on |
//! | `websocket` | a WebSocket through the gateway |
//! | `grpc` | a gRPC service in this process and behind an `h2c` cluster |
//!
//! Every one of them runs in `tests/run.rs` as well.

use tokio::signal::ctrl_c;

/// What the examples fail with.
pub type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Completes when the process is asked to stop.
pub async fn stopped() {
    if ctrl_c().await.is_err() {
        // Without signals nobody can ask.
        std::future::pending::<()>().await;
    }
}
