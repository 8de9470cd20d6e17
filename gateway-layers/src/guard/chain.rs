//! [`GuardChain`]: many guards, one layer.

use std::fmt;
use std::sync::Arc;

use gateway_core::Request;

use super::{Checked, Guard, Then, Wait};

/// Guards that a request passes one after the other. The first that stops it decides, and those
/// behind it do not see it. Cheap to clone.
#[derive(Clone, Default)]
#[must_use]
pub struct GuardChain {
    guards: Arc<Vec<Arc<dyn Guard>>>,
}

impl GuardChain {
    /// A chain of no guard: every request goes on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `guard` behind those that are there.
    pub fn then(mut self, guard: impl Guard) -> Self {
        Arc::make_mut(&mut self.guards).push(Arc::new(guard));
        self
    }

    /// True when there is no guard, so that the layer can be left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.guards.is_empty()
    }

    /// Goes on with the guard in this place.
    fn from(&self, place: usize, request: &mut Request) -> Checked {
        for (place, guard) in self.guards.iter().enumerate().skip(place) {
            match guard.check(request) {
                Checked::Pass => {}
                Checked::Wait(wait) => return self.resume(place, wait),
                stop => return stop,
            }
        }
        Checked::Pass
    }

    /// Waits, and goes on behind the guard in this place.
    fn resume(&self, place: usize, wait: Wait) -> Checked {
        let chain = self.clone();
        Checked::Wait(Box::pin(async move {
            let then = wait.await;
            let go_on = move |request: &mut Request| match then(request) {
                Checked::Pass => chain.from(place + 1, request),
                Checked::Wait(wait) => chain.resume(place, wait),
                stop => stop,
            };
            Box::new(go_on) as Then
        }))
    }
}

impl Guard for GuardChain {
    fn check(&self, request: &mut Request) -> Checked {
        self.from(0, request)
    }
}

impl fmt::Debug for GuardChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuardChain").field(&self.guards.len()).finish()
    }
}
