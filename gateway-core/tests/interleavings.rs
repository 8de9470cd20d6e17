//! What is made of bare atomics holds in whatever order threads get their turn, and whatever they
//! see of each other's writes.

#![allow(clippy::unwrap_used)]

#[path = "../src/budget/counts.rs"]
mod counts;

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use self::counts::Ledger;

/// What [`counts`] is made of.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

/// A slot is taken over by the bucket that comes this many later.
const TAKEN_OVER_AFTER: u32 = counts::BUCKETS + 2;

/// Runs `events` in every order in which no thread is interrupted more often than this; orders
/// with more interruptions are many, and hardly ever the first that fail.
fn every_order(events: impl Fn() + Send + Sync + 'static) {
    const INTERRUPTIONS: usize = 3;
    let mut builder = Builder::new();
    builder.preemption_bound = Some(INTERRUPTIONS);
    builder.check(events);
}

/// How many of the withdrawals in `buckets`, each in a thread of its own, are granted.
fn granted(ledger: &Arc<Ledger>, buckets: &[u32]) -> usize {
    let threads = buckets.iter().map(|&bucket| {
        let ledger = Arc::clone(ledger);
        thread::spawn(move || ledger.withdraw(bucket))
    });
    let threads: Vec<_> = threads.collect();
    threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
}

#[test]
fn no_more_is_granted_than_there_is() {
    for buckets in [[7, 7], [7, 8]] {
        every_order(move || {
            let ledger = Arc::new(Ledger::new(0, 1));
            assert!(granted(&ledger, &buckets) <= 1);
            assert!(ledger.available(8) <= 1);
        });
    }
}

#[test]
fn what_was_rejected_is_given_back() {
    every_order(|| {
        let ledger = Arc::new(Ledger::new(0, 1));
        let count = granted(&ledger, &[7, 8]) as u64;
        assert_eq!(ledger.available(8), 1 - count);
    });
}

#[test]
fn a_slot_that_is_taken_over_loses_nothing_of_its_new_bucket() {
    every_order(|| {
        let ledger = Arc::new(Ledger::new(1_000_000, 0));
        ledger.deposit(1);
        let threads = [0, 1].map(|_| {
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || ledger.deposit(1 + TAKEN_OVER_AFTER))
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(ledger.available(1 + TAKEN_OVER_AFTER), 2);
    });
}
