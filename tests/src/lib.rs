//! The test harness: a gateway as a child process between upstreams and clients that misbehave on
//! purpose.
//!
//! A test reads as a sentence:
//!
//! ```no_run
//! # async fn example() {
//! use gateway_tests::{Answer, Client, Gateway, Upstream};
//!
//! let upstream = Upstream::http1().answer(Answer::ok("hello")).start().await;
//! let gateway = Gateway::to(&upstream).timeout("1s").start().await;
//! let reply = Client::http1(gateway.addr()).get("/").await;
//! assert_eq!(reply.status, 200);
//! gateway.assert_quiet().await;
//! # }
//! ```
//!
//! Every upstream records what it saw, so a test can say what reached it and what did not.
// A harness fails by panicking, owns its tasks, and says on stderr what it skipped.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used
)]

mod admin;
mod answer;
mod binary;
pub mod certs;
mod client;
mod document;
mod extended_connect;
mod framing;
mod gateway;
mod load;
mod pattern;
mod payload;
mod pebble;
mod process;
mod raw;
mod record;
mod reply;
mod scrape;
mod store;
mod table;
pub mod tokens;
mod upstream;
mod wait;
mod websocket;

pub use admin::Admin;
pub use answer::{Answer, Gate, Step};
pub use binary::run_gateway;
pub use client::{Client, Streaming};
pub use extended_connect::StreamSocket;
pub use framing::{Headers, RawAnswer, find, get, get_all};
pub use gateway::{FRESH, Gateway, GatewayBuilder, assert_fresh};
pub use load::{Load, LoadReport};
pub use pattern::{Pattern, Verifier};
pub use payload::Payload;
pub use pebble::{Pebble, PebbleBuilder, free_port};
pub use process::Usage;
pub use raw::{Ended, Raw};
pub use record::{Recorder, Seen};
pub use reply::{End, Reply};
pub use scrape::Scrape;
pub use store::StoreServer;
pub use table::Failures;
pub use upstream::{Http1Builder, Http2Builder, Stream, Upstream};
pub use wait::{eventually, eventually_within, within};
pub use websocket::{Frame, WebSocket};
