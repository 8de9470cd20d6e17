//! Who waits, in which order.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::Priority;
use super::gate::Permit;

/// What a waiter is told.
#[derive(Debug)]
pub(super) enum Call {
    /// It may go.
    Admitted(Permit),
    /// It gave its place up to a more important request.
    Displaced,
}

/// Its place in the order: importance, then arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: Priority,
    arrival: u64,
}

/// Those who wait, in the order in which they go.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Place, oneshot::Sender<Call>>,
    arrivals: u64,
}

impl Queue {
    pub(super) fn push(&mut self, priority: Priority, call: oneshot::Sender<Call>) -> Place {
        let place = Place { priority, arrival: self.arrivals };
        self.arrivals += 1;
        self.waiting.insert(place, call);
        place
    }

    /// Who goes next.
    pub(super) fn pop(&mut self) -> Option<oneshot::Sender<Call>> {
        self.waiting.pop_first().map(|(_, call)| call)
    }

    /// The latest of the least important, if less important than `priority`.
    pub(super) fn displace(&mut self, priority: Priority) -> Option<oneshot::Sender<Call>> {
        let last = self.waiting.last_entry()?;
        (last.key().priority > priority).then(|| last.remove())
    }

    /// True when it still waited.
    pub(super) fn leave(&mut self, place: Place) -> bool {
        self.waiting.remove(&place).is_some()
    }
}
