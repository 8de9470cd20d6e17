//! Behaviour through real sockets.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod cancel;
mod corpus;
mod cuts;
mod faults;
mod harness;
mod once;
mod smuggling;
