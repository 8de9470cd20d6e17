//! The end of a server: two moments, each announced once to every connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// The end of a server as its connections see it. Clones share it.
///
/// First the lame duck: the server still serves, and asks clients to leave. Then the drain: nothing
/// new is taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    leaving: Moment,
    draining: Moment,
    cut: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Moment {
    reached: AtomicBool,
    announced: Notify,
}

impl Moment {
    fn announce(&self) {
        self.reached.store(true, Ordering::Release);
        self.announced.notify_waiters();
    }

    fn is_reached(&self) -> bool {
        self.reached.load(Ordering::Acquire)
    }

    async fn wait(&self) {
        let announced = self.announced.notified();
        tokio::pin!(announced);
        // Registered before looking, so that no announcement between the two is missed.
        announced.as_mut().enable();
        if !self.is_reached() {
            announced.await;
        }
    }
}

impl Drain {
    /// Begins the lame duck.
    pub(crate) fn start_leaving(&self) {
        self.state.leaving.announce();
    }

    /// Begins the drain, and with it the lame duck if that has not begun.
    pub(crate) fn start(&self) {
        self.state.leaving.announce();
        self.state.draining.announce();
    }

    /// The time is over: what is still in flight is cut.
    pub(crate) fn cut(&self) {
        self.state.cut.store(true, Ordering::Release);
    }

    /// Is true once what is in flight is cut.
    pub(crate) fn cut_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.state.cut)
    }

    /// True once clients are to leave. One load: cheap enough for every request.
    pub(crate) fn is_leaving(&self) -> bool {
        self.state.leaving.is_reached()
    }

    /// True once the server drains. One load.
    pub(crate) fn has_started(&self) -> bool {
        self.state.draining.is_reached()
    }

    /// Completes once the server drains.
    pub(crate) async fn started(&self) {
        self.state.draining.wait().await;
    }

    /// Completes when a connection opened now is to ask its client to leave: with the lame duck, or
    /// with the drain for a client that came during the lame duck and would only come again.
    pub(crate) async fn time_to_leave(&self) {
        if self.is_leaving() {
            self.state.draining.wait().await;
        } else {
            self.state.leaving.wait().await;
        }
    }
}
