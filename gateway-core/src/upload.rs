//! [`Upload`]: how far a request's body has come from its client.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How far a request's body has come from its client, as its reader sees it.
///
/// It tells whose fault a timeout is: while a reader waits for the client, the upstream has nothing
/// to answer for. Only bodies that are not in memory have one, and the lock is never contended.
#[derive(Debug, Default)]
pub(crate) struct Upload {
    state: Mutex<Uploaded>,
}

/// An [`Upload`] at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Uploaded {
    /// Since when a reader waits for the client.
    waits_since: Option<Instant>,
    /// For how long readers had waited before that.
    waited: Duration,
    /// When the body ended, or its reader gave it up.
    pub(crate) ended: Option<Instant>,
    /// Pieces that have come.
    pub(crate) pieces: u64,
}

impl Upload {
    /// Takes note that a reader found nothing.
    pub(crate) fn waits(&self) {
        let mut state = self.lock();
        if state.waits_since.is_none() && state.ended.is_none() {
            state.waits_since = Some(Instant::now());
        }
    }

    /// Takes note that a piece has come.
    pub(crate) fn came(&self) {
        let mut state = self.lock();
        state.pieces += 1;
        state.rest();
    }

    /// Takes note that there is no reader for now.
    pub(crate) fn rests(&self) {
        self.lock().rest();
    }

    /// Takes note that nothing more will be read.
    pub(crate) fn ends(&self) {
        let mut state = self.lock();
        state.rest();
        state.ended.get_or_insert_with(Instant::now);
    }

    pub(crate) fn now(&self) -> Uploaded {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Uploaded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uploaded {
    fn rest(&mut self) {
        if let Some(since) = self.waits_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Since when the gateway waits for the client.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.waits_since
    }

    /// For how long the gateway has waited for the client in all.
    pub(crate) fn waited(&self) -> Duration {
        self.waited + self.waits_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn counts_only_the_wait_for_the_client() {
        let upload = Upload::default();
        advance(SECOND).await;
        upload.waits();
        advance(SECOND).await;
        upload.waits();
        assert_eq!(upload.now().waited(), SECOND);
        upload.came();
        advance(SECOND).await;
        assert_eq!((upload.now().waits_since(), upload.now().waited()), (None, SECOND));
        upload.waits();
        advance(SECOND).await;
        upload.ends();
        advance(SECOND).await;
        upload.waits();
        assert_eq!((upload.now().waits_since(), upload.now().waited()), (None, 2 * SECOND));
        assert_eq!(upload.now().ended, Some(Instant::now() - SECOND));
    }
}
