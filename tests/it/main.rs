//! Behaviour through real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod corpus;
mod faults;
mod harness;
mod smuggling;
