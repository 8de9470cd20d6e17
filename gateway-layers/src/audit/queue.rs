//! [`Queue`]: events that wait for their sink.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::event::AuditEvent;

/// Events that wait for one sink, the oldest first. They stay in it until they are delivered.
pub(super) struct Queue {
    most_events: usize,
    most_bytes: usize,
    /// Who waits for a whole batch is told when there are so many events, or half of all bytes.
    batch: usize,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<AuditEvent>>,
    bytes: usize,
    closed: bool,
    counts: Counts,
    /// Lost events that no event has told yet.
    untold: u64,
    /// Lost events that the log has not told yet.
    unwarned: u64,
}

/// How many events came, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) taken: u64,
    pub(super) dropped: u64,
    pub(super) sent: u64,
    pub(super) failed: u64,
}

impl Queue {
    pub(super) fn new(most_events: usize, most_bytes: usize, batch: usize) -> Self {
        Self {
            most_events,
            most_bytes,
            batch,
            state: Mutex::new(State::default()),
            news: Notify::new(),
        }
    }

    /// Adds `event`, or drops it where there is no room: who waits longest comes first.
    pub(super) fn offer(&self, event: &Arc<AuditEvent>) {
        let size = event.size();
        let mut state = self.lock();
        let room = state.waiting.len() < self.most_events && state.bytes + size <= self.most_bytes;
        if state.closed || !room {
            state.counts.dropped += 1;
            state.lose(1);
            return;
        }
        state.push(Arc::clone(event), size);
        let count = state.waiting.len();
        let tell = count == 1 || count == self.batch || self.is_full(&state);
        drop(state);
        if tell {
            self.news.notify_one();
        }
    }

    /// Adds an event about others that were lost, room or not: there is one after a delivery.
    pub(super) fn tell(&self, make: impl FnOnce(u64) -> AuditEvent) {
        let mut state = self.lock();
        let untold = std::mem::take(&mut state.untold);
        if untold > 0 {
            let event = Arc::new(make(untold));
            let size = event.size();
            state.push(event, size);
        }
    }

    /// Takes nothing any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_one();
    }

    /// Waits until there is an event; false: there is none, and none will come.
    pub(super) async fn some(&self) -> bool {
        self.until(|state| match state.waiting.is_empty() {
            true if state.closed => Some(false),
            empty => (!empty).then_some(true),
        })
        .await
    }

    /// Waits until there is a whole batch, or nothing more will come.
    pub(super) async fn batch(&self) {
        self.until(|state| (state.closed || self.is_full(state)).then_some(())).await;
    }

    async fn until<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        loop {
            // What comes between the look and the wait is not missed: it leaves a permit.
            if let Some(seen) = look(&self.lock()) {
                return seen;
            }
            self.news.notified().await;
        }
    }

    fn is_full(&self, state: &State) -> bool {
        state.waiting.len() >= self.batch || state.bytes >= self.most_bytes / 2
    }

    /// The first events, so many at most. They stay.
    pub(super) fn first(&self, most: usize) -> Vec<Arc<AuditEvent>> {
        self.lock().waiting.iter().take(most).cloned().collect()
    }

    /// The first `count` events were delivered.
    pub(super) fn sent(&self, count: usize) {
        let mut state = self.lock();
        state.pop(count);
        state.counts.sent += count as u64;
    }

    /// The first `count` events will not be delivered.
    pub(super) fn failed(&self, count: usize) {
        let mut state = self.lock();
        let told = state.pop(count);
        state.counts.failed += count as u64;
        state.lose(count as u64);
        // What they told of others is to be told again.
        state.untold += told;
    }

    /// Nothing of what is left will be delivered; gives how many events that are.
    pub(super) fn fail_all(&self) -> usize {
        let left = self.len().0;
        self.failed(left);
        left
    }

    /// How many wait, and their bytes.
    pub(super) fn len(&self) -> (usize, usize) {
        let state = self.lock();
        (state.waiting.len(), state.bytes)
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Lost events that the log has not told.
    pub(super) fn unwarned(&self) -> u64 {
        self.lock().unwarned
    }

    /// The same, which it does now.
    pub(super) fn take_unwarned(&self) -> u64 {
        std::mem::take(&mut self.lock().unwarned)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, event: Arc<AuditEvent>, size: usize) {
        self.bytes += size;
        self.counts.taken += 1;
        self.waiting.push_back(event);
    }

    /// Takes the first `count` away; gives how many lost ones they told of.
    fn pop(&mut self, count: usize) -> u64 {
        let count = count.min(self.waiting.len());
        let mut told = 0;
        for event in self.waiting.drain(..count) {
            self.bytes -= event.size();
            told += event.dropped.unwrap_or_default();
        }
        if self.waiting.is_empty() {
            // What a burst needed is not kept.
            self.waiting.shrink_to(ROOM_KEPT);
        }
        told
    }

    fn lose(&mut self, count: u64) {
        self.untold += count;
        self.unwarned += count;
    }
}

/// An empty queue keeps room for so many events.
const ROOM_KEPT: usize = 64;
