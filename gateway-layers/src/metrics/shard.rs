//! [`Shards`]: each thread counts in a part of its own.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::count::Counts;

/// Parts for more threads than this would only be summed.
const MOST: usize = 64;

/// Parts of counts, with a lock each that is held while one event is counted, or one part is
/// summed.
pub(super) struct Shards {
    parts: Box<[Part]>,
}

/// On lines of the cache of its own.
#[repr(align(128))]
struct Part(Mutex<Counts>);

thread_local! {
    /// The number of this thread among those that count.
    static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
}

/// How many threads have counted so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);

fn number() -> usize {
    NUMBER.get().unwrap_or_else(|| {
        let number = THREADS.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(Some(number));
        number
    })
}

impl Shards {
    pub(super) fn new(bounds: &[Duration], names: usize) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        // A few more threads than processors is usual, and they must not meet in one part.
        let count = (2 * threads).next_power_of_two().min(MOST);
        let part = || Part(Mutex::new(Counts::new(bounds, names)));
        Self { parts: (0..count).map(|_| part()).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Counts in the part of this thread.
    pub(super) fn own(&self, count: impl FnOnce(&mut Counts)) {
        // There are as many parts as some power of two.
        if let Some(part) = self.parts.get(number() & (self.parts.len() - 1)) {
            count(&mut part.0.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(super) fn sum(&self) -> Counts {
        let mut parts = self.parts.iter().map(|part| &part.0);
        let mut sum = parts.next().map_or_else(Counts::default, |first| {
            first.lock().unwrap_or_else(PoisonError::into_inner).clone()
        });
        for part in parts {
            // The lock is held for the copy only.
            let other = part.lock().unwrap_or_else(PoisonError::into_inner).clone();
            sum.add(&other);
        }
        sum
    }
}
