//! Behaviour through real sockets.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod architecture;
mod cancel;
mod chaos;
mod clients;
mod corpus;
mod cors;
mod cuts;
mod documents;
mod drain;
mod endpoints;
mod expect;
mod extended_connect;
mod faults;
mod forward;
mod forward_h1;
mod forward_h2;
mod grpc;
mod harness;
mod headers;
mod hygiene;
mod identity;
mod limits_h2;
mod memory;
mod once;
mod reload;
mod resilience;
mod retries;
mod routing;
mod smuggling;
mod sockets;
mod targets;
mod tls;
mod upstream_tls;
mod websocket;
