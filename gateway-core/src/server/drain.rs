//! How a server ends: told once, seen by every connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Tells the connections of a server that it is draining. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    draining: AtomicBool,
    told: Notify,
}

impl Drain {
    /// Tells everyone.
    pub(crate) fn start(&self) {
        self.state.draining.store(true, Ordering::Release);
        self.state.told.notify_waiters();
    }

    /// True once the server drains. One load: cheap enough for every request.
    pub(crate) fn has_started(&self) -> bool {
        self.state.draining.load(Ordering::Acquire)
    }

    /// Completes once the server drains.
    pub(crate) async fn started(&self) {
        let told = self.state.told.notified();
        tokio::pin!(told);
        // Registered before looking, so that no telling between the two is missed.
        told.as_mut().enable();
        if !self.has_started() {
            told.await;
        }
    }
}
