//! [`Ledger`]: the events of the last few buckets of time, on atomics only.
//!
//! `tests/interleavings.rs` compiles this file with atomics that try every order of events.

use super::sync::{AtomicU64, Ordering, fence};

/// A window is this many buckets long.
pub(super) const BUCKETS: u32 = 10;

/// Buckets that are remembered: a window, the one before it that a window still reaches into, and
/// one that nobody counts while it is taken over.
const SLOTS: u32 = BUCKETS + 2;

/// Events by bucket.
///
/// A slot is one word, its bucket's number above and the count below, so that an event can never
/// be counted in another bucket than its own.
#[derive(Debug)]
pub(super) struct Counts {
    slots: [AtomicU64; SLOTS as usize],
}

impl Counts {
    pub(super) fn new() -> Self {
        Self { slots: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Counts one event in `bucket`. False when it was not: its slot belongs to a later bucket
    /// already, or is full.
    pub(super) fn add(&self, bucket: u32) -> bool {
        self.change(bucket, |of, count| match count.checked_add(1) {
            Some(more) if of == bucket => Some(more),
            _ if of < bucket => Some(1),
            _ => None,
        })
    }

    /// Takes back an event that was counted in `bucket`, unless it is forgotten already.
    pub(super) fn take_back(&self, bucket: u32) {
        self.change(bucket, |of, count| if of == bucket { count.checked_sub(1) } else { None });
    }

    /// The events of bucket `first` and of all after it up to `last`.
    pub(super) fn sum(&self, first: u32, last: u32) -> u64 {
        let words = self.slots.iter().map(|slot| parts(slot.load(Ordering::Acquire)));
        words.filter(|(of, _)| (first..=last).contains(of)).map(|(_, count)| u64::from(count)).sum()
    }

    fn change(&self, bucket: u32, changed: impl Fn(u32, u32) -> Option<u32>) -> bool {
        let Some(slot) = self.slots.get((bucket % SLOTS) as usize) else {
            return false;
        };
        let change = |word| {
            let (of, count) = parts(word);
            changed(of, count).map(|count| u64::from(bucket) << 32 | u64::from(count))
        };
        slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }
}

/// The number of the bucket, and its count.
fn parts(word: u64) -> (u32, u32) {
    let low = u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (u32::try_from(word >> 32).unwrap_or(u32::MAX), low)
}

/// What came in and what went out, and the rule between them.
#[derive(Debug)]
pub(super) struct Ledger {
    earned: Counts,
    spent: Counts,
    /// Of a million requests, as many extra attempts.
    per_million: u64,
    reserve: u64,
}

impl Ledger {
    pub(super) fn new(per_million: u64, reserve: u64) -> Self {
        Self { earned: Counts::new(), spent: Counts::new(), per_million, reserve }
    }

    pub(super) fn deposit(&self, bucket: u32) {
        self.earned.add(bucket);
    }

    pub(super) fn withdraw(&self, bucket: u32) -> bool {
        // First counted, then judged: two that look at the same time see each other, and the last
        // of them at least sees all.
        if !self.spent.add(bucket) {
            return false;
        }
        fence(Ordering::SeqCst);
        let granted = self.spent(bucket) <= self.allowed(bucket);
        if !granted {
            self.spent.take_back(bucket);
        }
        granted
    }

    pub(super) fn available(&self, bucket: u32) -> u64 {
        self.allowed(bucket).saturating_sub(self.spent(bucket))
    }

    /// Requests of at most a window.
    fn allowed(&self, bucket: u32) -> u64 {
        let earned = self.earned.sum(bucket.saturating_sub(BUCKETS - 1), bucket);
        (earned.saturating_mul(self.per_million) / 1_000_000).saturating_add(self.reserve)
    }

    /// Extra attempts of at least a window.
    fn spent(&self, bucket: u32) -> u64 {
        self.spent.sum(bucket.saturating_sub(BUCKETS), u32::MAX)
    }
}
