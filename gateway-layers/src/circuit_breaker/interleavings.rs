//! Every order in which threads can take the steps of a gate is tried. Run it with
//!
//! ```text
//! RUSTFLAGS="--cfg gateway_loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test --release -p gateway-layers --lib circuit_breaker::interleavings
//! ```
//!
//! The switch is one of our own: the usual one takes the network out of the runtime as well, and
//! what these files stand on does not build without it.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;

use super::config::CircuitBreakerConfig;
use super::gate::{Ending, Gate};
use super::state::{Order, State};
use super::window::{Counts, Window};

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn gate(change: impl FnOnce(&mut CircuitBreakerConfig)) -> Arc<Gate> {
    let mut config =
        CircuitBreakerConfig { min_requests: 2, half_open: 1, ..CircuitBreakerConfig::default() };
    change(&mut config);
    Arc::new(Gate::new(&config))
}

/// Both calls run at the same time, on the other thread and on this one.
fn both<A: Send + 'static, B>(
    other: impl FnOnce() -> A + Send + 'static,
    this: impl FnOnce() -> B,
) -> (A, B) {
    let other = thread::spawn(other);
    let this = this();
    (other.join().unwrap(), this)
}

#[test]
fn no_count_is_lost_where_buckets_change() {
    loom::model(|| {
        let window = Arc::new(Window::new(at(10)));
        // The same bucket as the one to come, long ago.
        window.add(window.stamp(0, at(1)), true);
        let other = Arc::clone(&window);
        both(
            move || {
                other.add(other.stamp(0, at(11)), true);
                other.add(other.stamp(0, at(11)), false);
            },
            || window.add(window.stamp(0, at(11)), true),
        );
        let sum = window.sum(window.stamp(0, at(11)));
        assert_eq!(sum, Counts { total: 3, bad: 2 });
    });
}

#[test]
fn failures_at_the_same_time_open_it_once() {
    loom::model(|| {
        let gate = gate(|_| {});
        let fail = |gate: &Gate| {
            let pass = gate.admit(at(1)).0;
            pass.is_ok_and(|pass| gate.settle(pass, Ending::Failure, at(1)).is_some())
        };
        let other = Arc::clone(&gate);
        let (there, here) = both(move || fail(&other), || fail(&gate));
        assert!(there != here, "one of them opens it");
        assert_eq!(gate.state(), State::Open);
        assert_eq!(gate.snapshot(at(1)).opened, 1);
    });
}

#[test]
fn a_row_of_failures_loses_none() {
    loom::model(|| {
        let gate = gate(|config| {
            config.failure_ratio = None;
            config.consecutive_failures = Some(3);
        });
        let fail = |gate: &Gate| {
            let pass = gate.admit(at(1)).0.unwrap();
            gate.settle(pass, Ending::Failure, at(1));
        };
        let other = Arc::clone(&gate);
        both(move || fail(&other), || fail(&gate));
        assert_eq!((gate.state(), gate.snapshot(at(1)).consecutive), (State::Closed, 2));
        fail(&gate);
        assert_eq!(gate.state(), State::Open);
    });
}

#[test]
fn one_probe_is_one_probe() {
    loom::model(|| {
        let gate = gate(|_| {});
        for _ in 0..2 {
            let pass = gate.admit(at(1)).0.unwrap();
            gate.settle(pass, Ending::Failure, at(1));
        }
        let other = Arc::clone(&gate);
        let (there, here) = both(move || other.admit(at(6)).0, || gate.admit(at(6)).0);
        assert!(there.is_ok() != here.is_ok());
        let change = gate.settle(there.or(here).unwrap(), Ending::Success, at(6));
        assert_eq!(change.unwrap().to, State::Closed);
    });
}

#[test]
fn what_is_late_is_not_counted_in_the_state_after() {
    loom::model(|| {
        let gate = gate(|config| config.min_requests = 1);
        let late = gate.admit(at(1)).0.unwrap();
        let other = Arc::clone(&gate);
        both(
            move || other.settle(late, Ending::Failure, at(1)),
            || {
                gate.order(Order::Reset, at(1));
                let young = gate.admit(at(1)).0;
                young.map(|young| gate.settle(young, Ending::Success, at(1)))
            },
        );
        // Its own success only, whether or not the failure opened it before it was set back.
        let snapshot = gate.snapshot(at(1));
        assert_eq!(snapshot.state, State::Closed);
        assert_eq!(snapshot.failures, Counts { total: 1, bad: 0 });
    });
}
