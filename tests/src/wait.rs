//! Waiting with an upper bound: liveness, never speed.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(10);
const DEFAULT: Duration = Duration::from_secs(5);

/// Waits for a future, and fails the test with `what` when it takes longer than `limit`.
#[track_caller]
pub fn within<F: Future>(
    limit: Duration,
    what: &str,
    future: F,
) -> impl Future<Output = F::Output> {
    let what = what.to_owned();
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(limit, future).await {
            Ok(value) => value,
            Err(_) => panic!("{place}: {what}: not within {limit:?}"),
        }
    }
}

/// Waits up to five seconds until `probe` gives a value that `good` accepts; gives that value.
#[track_caller]
pub fn eventually<T: Debug>(
    what: &str,
    probe: impl FnMut() -> T,
    good: impl Fn(&T) -> bool,
) -> impl Future<Output = T> {
    eventually_within(DEFAULT, what, probe, good)
}

/// Like [`eventually`], with another bound.
#[track_caller]
pub fn eventually_within<T: Debug>(
    limit: Duration,
    what: &str,
    mut probe: impl FnMut() -> T,
    good: impl Fn(&T) -> bool,
) -> impl Future<Output = T> {
    let what = what.to_owned();
    let place = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        loop {
            let value = probe();
            if good(&value) {
                return value;
            }
            assert!(
                Instant::now() < deadline,
                "{place}: {what}: not within {limit:?}, last seen {value:?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }
}
