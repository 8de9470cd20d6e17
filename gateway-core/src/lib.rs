//! Mechanism of an embeddable API gateway: what every request walks through.
//!
//! ```text
//! client -> Listener -> connection -> Gateway -> route -> Module
//!                                                           |- in this process
//!                                                           `- Cluster -> Endpoint -> upstream
//! ```
//!
//! - [`Server`] accepts connections on [`Listener`]s and serves one module on them.
//! - [`Gateway`] is a module that rejects what can be read in two ways, finds the [`route`] of a
//!   request and lets its target answer.
//! - [`ModuleService`] is what routes lead to; [`Cluster`] is the one that forwards.
//! - [`Error`] travels typed, with one [`Reason`] for each answer the gateway makes itself, and
//!   becomes a response in one place, [`respond`].
//!
//! This crate is mechanism and knows no policy: no token, no quota, no file format.

pub mod body;
pub mod budget;
pub mod clock;
pub mod context;
pub mod error;
pub mod forwarded;
pub mod gateway;
pub mod grpc;
pub mod hop_headers;
pub mod media_type;
pub mod message;
pub mod module;
pub mod observe;
pub mod path;
pub mod replay;
pub mod respond;
pub mod route;
pub mod server;
pub mod split;
pub mod swap;
pub mod task;
pub mod trailers;
pub mod upstream;
pub mod validation;

mod extended_connect;
mod http1;
mod keep_alive;
mod stream;
mod stripped;
mod timer;
mod tunnel;
mod upload;
mod watched;
mod websocket;

pub use self::body::{Body, End, Ended};
pub use self::clock::{Clock, SystemClock};
pub use self::context::{ConnectionInfo, ListenerInfo, PeerAddr, RequestContext, ResponseEdit};
pub use self::error::{BoxError, Error, GrpcStatus, HealthSignal, Reason};
pub use self::gateway::{
    Explanation, Gateway, GatewayBuilder, GatewayLayer, Redirection, TargetEdits,
};
pub use self::message::{Outcome, Request, RequestExt, Response, Tunnel};
pub use self::module::{FixedResponse, Health, Module, ModuleService, Modules, module_fn};
pub use self::observe::{
    AttemptFinished, HandshakeFailed, Observer, Observers, RequestFinished, RequestRejected,
    StateChanged,
};
pub use self::route::{Route, RouteMatch, RouteTable};
pub use self::server::{
    Address, BoundListener, DrainConfig, Drained, Limits, Listener, Protocol, Readiness, Server,
    Timeouts,
};
pub use self::split::{Split, SplitEntry};
pub use self::swap::Swap;
pub use self::task::Tasks;
pub use self::upstream::{
    Cluster, ClusterBuilder, ClusterError, ClusterTimeouts, Endpoint, EndpointAddress, HostPolicy,
    PoolConfig, ResponseLimits,
};

/// What the page of the crate shows compiles.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Crate;

    #[doc = include_str!("../../docs/guides/load-balancing.md")]
    struct Balancing;

    #[doc = include_str!("../../docs/guides/traffic-splitting.md")]
    struct Splitting;

    #[doc = include_str!("../../docs/guides/health-checks.md")]
    struct Health;
}
