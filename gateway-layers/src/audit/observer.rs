//! [`Audit`]: the observer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_core::{
    HandshakeFailed, Observer, RequestFinished, RequestRejected, StateChanged, Tasks,
};
use tokio::time::timeout;

use super::builder::AuditBuilder;
use super::event::AuditEvent;
use super::kind::{AuditKind, Kinds};
use super::outlet::Outlet;
use super::principal::Shown;
use super::stamp::Stamp;
use super::status::SinkStatus;

/// What changes here is told as [`AuditKind::Configuration`].
const CONFIGURATION: [&str; 3] = ["snapshot", "split", "certificate"];

/// Makes an event of everything that the [module](super) names. Cheap to clone; clones are the same
/// audit, and the last one dropped ends its tasks.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    events: Kinds,
    principal: Shown,
    outlets: Vec<Arc<Outlet>>,
    stamp: Arc<Stamp>,
    started: AtomicBool,
    tasks: Tasks,
}

impl Audit {
    /// Begins with every kind of event and no sink.
    pub fn builder() -> AuditBuilder {
        AuditBuilder::new()
    }

    pub(super) fn new(
        events: Kinds,
        principal: Shown,
        outlets: Vec<Arc<Outlet>>,
        stamp: Stamp,
    ) -> Self {
        let (stamp, started) = (Arc::new(stamp), AtomicBool::new(false));
        let shared = Shared { events, principal, outlets, stamp, started, tasks: Tasks::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Begins to deliver, where it has not begun yet: one task for each sink.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(&self) {
        if self.shared.started.swap(true, Ordering::AcqRel) {
            return;
        }
        for outlet in &self.shared.outlets {
            let (outlet, stamp) = (Arc::clone(outlet), Arc::clone(&self.shared.stamp));
            self.shared.tasks.spawn("audit", async move { outlet.run(&stamp).await });
        }
    }

    /// Takes no event any more, delivers what waits, within `within` at most, and ends. What is left
    /// then counts as failed; gives how many events that are, over all sinks.
    pub async fn drain(&self, within: Duration) -> usize {
        self.start();
        let outlets = &self.shared.outlets;
        outlets.iter().for_each(|outlet| outlet.close());
        let all = async {
            for outlet in outlets {
                outlet.done().await;
            }
        };
        if timeout(within, all).await.is_ok() {
            return 0;
        }
        self.shared.tasks.abort();
        outlets.iter().map(|outlet| outlet.give_up()).sum()
    }

    /// How every sink keeps up, in the order in which they were added.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.shared.outlets.iter().map(|outlet| outlet.status()).collect()
    }

    fn wants(&self, kind: AuditKind) -> bool {
        self.shared.events.has(kind)
    }

    fn offer(&self, event: AuditEvent) {
        let event = Arc::new(event);
        self.shared.outlets.iter().for_each(|outlet| outlet.queue.offer(&event));
    }
}

impl Observer for Audit {
    fn request_finished(&self, event: &RequestFinished<'_>) {
        let Some(reason) = event.reason else { return };
        if let Some(kind) = AuditKind::of(reason).filter(|kind| self.wants(*kind)) {
            let Shared { stamp, principal, .. } = &*self.shared;
            self.offer(AuditEvent::finished(stamp, kind, reason, event, principal));
        }
    }

    fn request_rejected(&self, event: &RequestRejected<'_>) {
        let kind = AuditKind::of(event.error.reason());
        if let Some(kind) = kind.filter(|kind| self.wants(*kind)) {
            self.offer(AuditEvent::rejected(&self.shared.stamp, kind, event));
        }
    }

    fn handshake_failed(&self, event: &HandshakeFailed<'_>) {
        if self.wants(AuditKind::Connection) {
            self.offer(AuditEvent::handshake(&self.shared.stamp, event));
        }
    }

    fn state_changed(&self, event: &StateChanged<'_>) {
        if self.wants(AuditKind::Configuration) && CONFIGURATION.contains(&event.subject) {
            self.offer(AuditEvent::changed(&self.shared.stamp, event));
        }
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audit")
            .field("events", &self.shared.events)
            .field("sinks", &self.status())
            .finish_non_exhaustive()
    }
}
