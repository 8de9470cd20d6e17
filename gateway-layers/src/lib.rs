//! Policy for an API gateway: reusable tower layers and filters.
//!
//! There are three nouns:
//!
//! - A **filter** looks at or edits the head of a request and may stop it:
//!   [`Filter`](filter::Filter).
//! - A **layer** wraps time, concurrency or the body: a tower `Layer` over a service of
//!   [`Request`](gateway_core::Request), [`Response`](gateway_core::Response) and
//!   [`Error`](gateway_core::Error).
//! - A **module** answers: [`ModuleService`](gateway_core::ModuleService).
//!
//! And there are observers, which see what happened and change nothing.
//!
//! | what | is | in |
//! | --- | --- | --- |
//! | many small decisions in one layer | layer of filters | [`filter`] |
//! | decisions that may have to wait, in one layer | layer of guards | [`guard`] |
//! | the time a request has in all | layer | [`timeout`] |
//! | sending again what failed | layer | [`retry`] |
//! | a second try beside a slow one | layer | [`hedge`] |
//! | how much of both there may be | value | [`budget`](gateway_core::budget) |
//! | which other origins may ask, and read the answer | filter | [`cors`] |
//! | what browsers are told to be careful about | filter | [`security_headers`] |
//! | which addresses, methods, kinds of body are taken | filters | [`ip_filter`], [`method_filter`], [`content_type`] |
//! | nothing that another site makes a browser send | filter | [`csrf`] |
//! | how large a body may be | layer | [`body_limit`] |
//! | how many requests are under way, and who goes first | layer | [`concurrency`] |
//! | how many requests may pass in a time | layer | [`rate_limit`] |
//! | copies of requests to a second module | layer | `mirror` (feature of that name) |
//! | nothing for who fails all the time | layer | [`circuit_breaker`] |
//! | somebody else for who fails | layer | [`fallback`] |
//! | who is calling | layer | [`auth`] |
//! | by a signed request, and requests signed for upstreams | authenticator, layer | `auth::signature` (feature `signature`) |
//! | by a signed token | authenticator | `auth::jwt` (feature `jwt`) |
//! | by a key | authenticator | `auth::api_key` (feature `api_key`) |
//! | by name and password | authenticator | `auth::basic` (feature `basic`) |
//! | by a token that services share | authenticator | `auth::service_token` (feature `service_token`) |
//! | by a token that its issuer is asked about | authenticator | `auth::introspection` (feature of that name) |
//! | by a token that another service verifies | authenticator | `auth::delegated` (feature `introspection`) |
//! | whether somebody else lets a request pass | layer | `auth::external` (feature `external_auth`) |
//! | who of them may | filter | [`auth::authorize`] |
//! | one line for each request | observer | [`access_log`] |
//! | what happens, counted | observer | `metrics` (feature `prometheus`) |
//! | an event for whoever was not let in | observer | `audit` (feature of that name) |
//! | certificates that order and renew themselves | task | `acme` (feature of that name) |
//! | services register themselves and are found by what they take | modules | `registry` |
//! | where endpoints come from: files, DNS, registries | sources | `discovery` |
//!
//! Layers stack up with `tower::ServiceBuilder`, whose first layer is the outermost, and the
//! stack becomes a module again:
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_core::{FixedResponse, Gateway, Module, Route, RouteMatch};
//! use gateway_layers::access_log::AccessLog;
//! use gateway_layers::body_limit::BodyLimitLayer;
//! use gateway_layers::timeout::TimeoutLayer;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let answer = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let stack = ServiceBuilder::new()
//!     .layer(BodyLimitLayer::new(10 * 1024 * 1024))
//!     .layer(TimeoutLayer::new(Duration::from_secs(30)))
//!     .service(answer);
//! let orders = Route::new("orders", Module::from_service(stack));
//! let gateway = Gateway::builder()
//!     .route(orders.matching(RouteMatch::prefix("/orders")?))
//!     .observer(AccessLog::new())
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! Errors travel typed through all of them and become responses at the edge of the gateway, in
//! one place. This crate is policy and knows no file format, no listener and no command line.

pub mod access_log;
#[cfg(feature = "acme")]
pub mod acme;
#[cfg(feature = "audit")]
pub mod audit;
pub mod auth;
pub mod body_limit;
pub mod circuit_breaker;
pub mod concurrency;
pub mod content_type;
pub mod cors;
pub mod csrf;
#[cfg(feature = "discovery")]
pub mod discovery;
pub mod fallback;
pub mod filter;
pub mod guard;
pub mod hedge;
pub mod ip_filter;
pub mod method_filter;
#[cfg(feature = "prometheus")]
pub mod metrics;
#[cfg(feature = "mirror")]
pub mod mirror;
pub mod origin;
pub mod rate_limit;
#[cfg(feature = "registry")]
pub mod registry;
pub mod retry;
pub mod secret;
pub mod security_headers;
pub mod timeout;

mod civil;
mod head_copy;
#[cfg(any(
    feature = "acme",
    feature = "audit",
    feature = "discovery",
    feature = "external_auth",
    feature = "introspection",
    feature = "jwt"
))]
#[allow(dead_code, reason = "each of those who ask needs some of it, and not all are built")]
mod http_client;
#[cfg(any(feature = "api_key", feature = "basic", feature = "discovery"))]
mod watched_file;

#[cfg(test)]
#[allow(dead_code, reason = "each of those who share it uses some of it")]
mod testing;

/// What the guides show compiles and runs.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../docs/tutorials/write-a-layer.md")]
    struct WritingALayer;

    #[doc = include_str!("../../docs/tutorials/write-a-module.md")]
    struct WritingAModule;

    #[doc = include_str!("../../docs/guides/retries-and-hedging.md")]
    struct Retries;

    #[doc = include_str!("../../docs/guides/concurrency-limits.md")]
    struct Concurrency;

    #[cfg(feature = "prometheus")]
    #[doc = include_str!("../../docs/guides/metrics.md")]
    struct Metrics;

    #[cfg(feature = "redis")]
    #[doc = include_str!("../../docs/guides/rate-limiting.md")]
    struct RateLimits;

    #[doc = include_str!("../../docs/guides/circuit-breaking.md")]
    struct CircuitBreaker;

    #[doc = include_str!("../../docs/guides/fallback.md")]
    struct Fallback;

    #[cfg(all(feature = "dns", feature = "consul", feature = "etcd", feature = "kubernetes"))]
    #[doc = include_str!("../../docs/guides/service-discovery.md")]
    struct Discovery;

    #[cfg(feature = "signature")]
    #[doc = include_str!("../../docs/guides/http-message-signatures.md")]
    struct Signatures;

    #[cfg(feature = "audit")]
    #[doc = include_str!("../../docs/guides/audit-log.md")]
    struct AuditEvents;

    #[cfg(feature = "jwt")]
    #[doc = include_str!("../../docs/guides/jwt.md")]
    struct Tokens;

    #[cfg(feature = "cel")]
    #[doc = include_str!("../../docs/guides/authorization.md")]
    struct Authorization;

    #[cfg(feature = "introspection")]
    #[doc = include_str!("../../docs/guides/token-introspection.md")]
    struct TokenIntrospection;

    #[cfg(feature = "external_auth")]
    #[doc = include_str!("../../docs/guides/external-authorization.md")]
    struct ExternalAuthorization;

    #[doc = include_str!("../../docs/guides/cors.md")]
    struct Cors;

    #[doc = include_str!("../../docs/guides/edge-policies.md")]
    struct EdgePolicies;

    #[cfg(feature = "api_key")]
    #[doc = include_str!("../../docs/guides/api-keys.md")]
    struct ApiKeys;

    #[cfg(feature = "basic")]
    #[doc = include_str!("../../docs/guides/http-basic-authentication.md")]
    struct BasicAuth;

    #[cfg(feature = "service_token")]
    #[doc = include_str!("../../docs/guides/service-tokens.md")]
    struct ServiceTokens;

    #[doc = include_str!("../README.md")]
    struct Crate;
}
