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
    Reject,
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
        let mut step = Step::Reject;
        self.change(|word| {
            let seen = Occupancy(word);
            let (next, changed) = if seen.waiting() == 0 && seen.in_use() < limit {
                (Step::Admit, Some(word + IN_USE))
            } else if seen.waiting() < self.most_waiting {
                (Step::Queue, Some(word + WAITING))
            } else {
                (Step::Reject, None)
            };
            step = next;
            changed
        });
        let displaced = match step {
            Step::Admit => return Entry::Admitted(Permit { gate: Arc::clone(self) }),
            Step::Queue => None,
            // One goes and one comes: as many wait as before.
            Step::Reject => match queue.displace(priority) {
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use gateway_core::Tasks;
    use proptest::prelude::*;

    use super::*;

    /// What is done by somebody who uses a gate.
    #[derive(Clone, Debug)]
    enum Act {
        Enter(Priority),
        /// Ends the request under way with this number.
        Complete(usize),
        /// Gives up the wait with this number.
        Cancel(usize),
        Limit(u32),
    }

    fn act() -> impl Strategy<Value = Act> {
        let priority = prop::sample::select(&Priority::ALL[..]);
        prop_oneof![
            4 => priority.prop_map(Act::Enter),
            3 => (0..50_usize).prop_map(Act::Complete),
            2 => (0..50_usize).prop_map(Act::Cancel),
            1 => (1..6_u32).prop_map(Act::Limit),
        ]
    }

    /// Moves waiters that were called among those under way.
    fn called(waiting: &mut Vec<(Priority, Waiter)>, under_way: &mut Vec<Permit>) -> Vec<Priority> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut admitted = Vec::new();
        waiting.retain_mut(|(priority, waiter)| match waiter.poll_call(&mut cx) {
            Poll::Ready(Call::Admitted(permit)) => {
                under_way.push(permit);
                admitted.push(*priority);
                false
            }
            Poll::Ready(Call::Displaced) => false,
            Poll::Pending => true,
        });
        admitted
    }

    proptest! {
        #[test]
        fn permits_keep_to_the_limit_and_come_back(
            first in 1..5_u32,
            most_waiting in 0..5_u32,
            acts in prop::collection::vec(act(), 0..200),
        ) {
            let gate = Arc::new(Gate::new(first, most_waiting));
            let (mut under_way, mut waiting) = (Vec::new(), Vec::new());
            for act in acts {
                let before = under_way.len();
                match act {
                    Act::Enter(priority) => match gate.enter(priority) {
                        Entry::Admitted(permit) => {
                            prop_assert!(waiting.is_empty(), "nobody overtakes");
                            under_way.push(permit);
                        }
                        Entry::Queued(waiter) => waiting.push((priority, waiter)),
                        Entry::Full => {
                            prop_assert_eq!(waiting.len() as u32, most_waiting);
                            prop_assert!(waiting.iter().all(|(other, _)| *other <= priority));
                        }
                    },
                    Act::Complete(index) if index < under_way.len() => {
                        drop(under_way.swap_remove(index));
                    }
                    // Given up without a look whether it was called.
                    Act::Cancel(index) if index < waiting.len() => drop(waiting.remove(index)),
                    Act::Limit(limit) => gate.set_limit(limit),
                    _ => {}
                }
                let most = waiting.iter().map(|(priority, _)| *priority).min();
                let admitted = called(&mut waiting, &mut under_way);
                if let ([one], Some(most)) = (&admitted[..], most) {
                    prop_assert_eq!(*one, most, "the most important goes first");
                }
                let now = gate.occupancy();
                prop_assert_eq!(now.in_use() as usize, under_way.len());
                prop_assert_eq!(now.waiting() as usize, waiting.len());
                prop_assert!(now.waiting() <= most_waiting);
                let over = under_way.len() as u32 > gate.limit();
                prop_assert!(!over || under_way.len() <= before, "none is begun beyond the limit");
                prop_assert!(waiting.is_empty() || now.in_use() >= gate.limit(), "no lost wake-up");
            }
            drop(waiting);
            drop(under_way);
            prop_assert_eq!((gate.occupancy().in_use(), gate.occupancy().waiting()), (0, 0));
        }
    }

    /// Polls `future` so often at most, then gives it up.
    async fn given_up_after<F: Future>(future: F, polls: u32) -> Option<F::Output> {
        let mut future = Box::pin(future);
        let mut left = polls;
        poll_fn(move |cx| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            Pin::as_mut(&mut future).poll(cx).map(Some)
        })
        .await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn threads_that_come_and_give_up_lose_no_permit() {
        const LIMIT: u32 = 3;
        let gate = Arc::new(Gate::new(LIMIT, 8));
        let at_once = Arc::new(AtomicU32::new(0));
        let tasks = Tasks::new();
        let (done, mut ended) = tokio::sync::mpsc::channel(16);
        for task in 0..16_u32 {
            let (gate, at_once, done) = (Arc::clone(&gate), Arc::clone(&at_once), done.clone());
            tasks.spawn("client", async move {
                for round in 0..2000_u32 {
                    let priority = Priority::ALL[(task + round) as usize % 4];
                    let permit = match gate.try_enter(LIMIT) {
                        Some(permit) => Some(permit),
                        None => match gate.enter(priority) {
                            Entry::Admitted(permit) => Some(permit),
                            Entry::Full => None,
                            Entry::Queued(mut waiter) => {
                                let call = poll_fn(|cx| waiter.poll_call(cx));
                                match given_up_after(call, 1 + (task + round) % 3).await {
                                    Some(Call::Admitted(permit)) => Some(permit),
                                    _ => None,
                                }
                            }
                        },
                    };
                    if let Some(permit) = permit {
                        assert!(at_once.fetch_add(1, Ordering::SeqCst) < LIMIT);
                        tokio::task::yield_now().await;
                        at_once.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                    tokio::task::yield_now().await;
                }
                done.send(()).await.unwrap();
            });
        }
        drop(done);
        let mut count = 0;
        while ended.recv().await.is_some() {
            count += 1;
        }
        assert_eq!(count, 16, "nobody failed");
        let now = gate.occupancy();
        assert_eq!((now.in_use(), now.waiting()), (0, 0));
    }
}
