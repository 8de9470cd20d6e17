//! [`Gate`]: the permits, and how they pass from one request to the next.
//!
//! Everything that decides stands in one atomic word: permits in use, requests that wait, and how
//! many permits came back. While nobody waits, taking and giving back is one exchange of that word.
//! Once somebody waits, permits are given back and handed on under the queue's lock, and nobody
//! overtakes: the way past the lock is open only while the word says that nobody waits, and it says
//! so only under the lock.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::Priority;
use super::queue::{Call, Place, Queue};

const IN_USE_BITS: u32 = 22;
const WAITING_BITS: u32 = 16;

/// The most permits that the word can count.
pub(super) const MOST_PERMITS: u32 = (1 << IN_USE_BITS) - 1;
/// The most waiting requests that it can count.
pub(super) const MOST_WAITING: u32 = (1 << WAITING_BITS) - 1;

const IN_USE: u64 = 1;
const WAITING: u64 = 1 << IN_USE_BITS;
/// The last in the word, so that it wraps around into nothing.
const RELEASED: u64 = 1 << (IN_USE_BITS + WAITING_BITS);
/// How many permits can come back before the count begins anew.
pub(super) const RELEASED_WRAP: u64 = 1 << (64 - IN_USE_BITS - WAITING_BITS);

/// The word, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Occupancy(u64);

impl Occupancy {
    pub(super) const fn in_use(self) -> u32 {
        (self.0 & MOST_PERMITS as u64) as u32
    }

    pub(super) const fn waiting(self) -> u32 {
        ((self.0 >> IN_USE_BITS) & MOST_WAITING as u64) as u32
    }

    /// Modulo [`RELEASED_WRAP`].
    pub(super) const fn released(self) -> u64 {
        self.0 / RELEASED
    }
}

/// A bounded number of permits, and a bounded queue for them.
#[derive(Debug)]
pub(super) struct Gate {
    word: AtomicU64,
    limit: AtomicU32,
    most_waiting: u32,
    queue: Mutex<Queue>,
}

/// What becomes of a request that found no free permit.
pub(super) enum Entry {
    /// One was free by now.
    Admitted(Permit),
    /// It waits.
    Queued(Waiter),
    /// There is no room to wait.
    Full,
}

enum Step {
    Admit,
    Queue,
    Refuse,
}

impl Gate {
    pub(super) fn new(limit: u32, most_waiting: u32) -> Self {
        Self {
            word: AtomicU64::new(0),
            limit: AtomicU32::new(limit.clamp(1, MOST_PERMITS)),
            most_waiting: most_waiting.min(MOST_WAITING),
            queue: Mutex::default(),
        }
    }

    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn occupancy(&self) -> Occupancy {
        Occupancy(self.word.load(Ordering::Acquire))
    }

    /// A permit, if fewer than `threshold` are in use and nobody waits.
    pub(super) fn try_enter(self: &Arc<Self>, threshold: u32) -> Option<Permit> {
        let free = |word| {
            let seen = Occupancy(word);
            (seen.waiting() == 0 && seen.in_use() < threshold).then_some(word + IN_USE)
        };
        self.change(free).then(|| Permit { gate: Arc::clone(self) })
    }

    /// A permit, or a place in the queue.
    pub(super) fn enter(self: &Arc<Self>, priority: Priority) -> Entry {
        let (call, called) = oneshot::channel();
        let mut queue = self.lock();
        // Read under the lock: whoever raises it looks for waiters under the lock afterwards.
        let limit = self.limit();
        let mut step = Step::Refuse;
        self.change(|word| {
            let seen = Occupancy(word);
            let (next, changed) = if seen.waiting() == 0 && seen.in_use() < limit {
                (Step::Admit, Some(word + IN_USE))
            } else if seen.waiting() < self.most_waiting {
                (Step::Queue, Some(word + WAITING))
            } else {
                (Step::Refuse, None)
            };
            step = next;
            changed
        });
        let displaced = match step {
            Step::Admit => return Entry::Admitted(Permit { gate: Arc::clone(self) }),
            Step::Queue => None,
            // One goes and one comes: as many wait as before.
            Step::Refuse => match queue.displace(priority) {
                None => return Entry::Full,
                displaced => displaced,
            },
        };
        let place = queue.push(priority, call);
        drop(queue);
        if let Some(displaced) = displaced {
            // Who does not listen any more has left by itself.
            let _ = displaced.send(Call::Displaced);
        }
        Entry::Queued(Waiter { gate: Arc::clone(self), place, called })
    }

    /// Changes the limit. Permits in use beyond it stay until they come back.
    pub(super) fn set_limit(self: &Arc<Self>, limit: u32) {
        self.limit.store(limit.clamp(1, MOST_PERMITS), Ordering::Relaxed);
        self.hand_on(false);
    }

    /// Changes the word into what `next` makes of it; false when that is nothing.
    fn change(&self, next: impl FnMut(u64) -> Option<u64>) -> bool {
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }

    fn release(self: &Arc<Self>) {
        let alone = |word: u64| {
            let after = word.wrapping_add(RELEASED) - IN_USE;
            (Occupancy(word).waiting() == 0).then_some(after)
        };
        if !self.change(alone) {
            self.hand_on(true);
        }
    }

    /// Gives a permit back, if one is `back`, and lets in whoever there is room for.
    fn hand_on(self: &Arc<Self>, mut back: bool) {
        loop {
            let next = {
                let mut queue = self.lock();
                if mem::take(&mut back) {
                    self.word.fetch_add(RELEASED - IN_USE, Ordering::AcqRel);
                }
                let limit = self.limit();
                let room = |word| {
                    let seen = Occupancy(word);
                    let room = seen.waiting() > 0 && seen.in_use() < limit;
                    room.then(|| word + IN_USE - WAITING)
                };
                if self.change(room) { queue.pop() } else { None }
            };
            // Told without the lock: a permit that nobody takes comes back here.
            let Some(next) = next else { return };
            let _ = next.send(Call::Admitted(Permit { gate: Arc::clone(self) }));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to be under way. Comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.release();
    }
}

/// A place in the queue. Left when it is dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    gate: Arc<Gate>,
    place: Place,
    called: oneshot::Receiver<Call>,
}

impl Waiter {
    pub(super) fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Call> {
        // The sender is never dropped unused while its place is taken.
        Pin::new(&mut self.called).poll(cx).map(|call| call.unwrap_or(Call::Displaced))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut queue = self.gate.lock();
        if queue.leave(self.place) {
            self.gate.word.fetch_sub(WAITING, Ordering::AcqRel);
        }
        // Otherwise it was called: a permit on its way comes back with the channel.
    }
}
