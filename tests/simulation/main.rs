//! The resilience stack as a whole, under load that does not wait and upstreams that fail by
//! chance: everything in one process and in memory, under paused time, from seeds.
//!
//! What is simulated are the upstreams and the network to them, and the clients. Everything between
//! is real: policies, balancing, ejection, connections and their pool, HTTP/1. Hours pass in
//! seconds, and the same seed gives the same run.
#![allow(clippy::expect_used, clippy::panic)]

mod cancelled;
mod clients;
mod degraded;
mod draws;
mod network;
mod outage;
mod repeated;
mod stack;
mod tally;

use std::future::Future;

/// Runs `scenario` in a runtime of one thread whose time passes only when nobody has anything else
/// to do.
fn simulate<T>(scenario: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(scenario)
}
