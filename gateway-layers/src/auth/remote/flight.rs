//! [`Flights`]: questions under way, one for each token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::cache::Key;
use crate::auth::authenticator::Identity;
use crate::auth::fault::TokenRejection;

/// What is known of a token, or why nothing is.
pub(super) type Outcome = Result<Identity, Rejection>;

/// Why nobody is known by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    Token(TokenRejection),
    /// Nobody can tell now, nor before this time is over.
    Unavailable(Duration),
}

type Landing = watch::Receiver<Option<Outcome>>;

/// Questions under way, or waiting for their turn.
#[derive(Default)]
pub(super) struct Flights {
    map: Mutex<HashMap<Key, Landing>>,
}

impl Flights {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<Key, Landing>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question. Dropped, it is none any more, and whoever waits for it hears that nobody can tell.
pub(super) struct Flight {
    flights: Arc<Flights>,
    key: Key,
    ended: watch::Sender<Option<Outcome>>,
}

impl Flight {
    /// Begins one, with `map` of `flights` locked.
    pub(super) fn begin(
        flights: &Arc<Flights>,
        map: &mut HashMap<Key, Landing>,
        key: Key,
    ) -> (Self, Landing) {
        let (ended, landing) = watch::channel(None);
        map.insert(key, landing.clone());
        (Self { flights: Arc::clone(flights), key, ended }, landing)
    }

    /// Tells everybody who waits.
    pub(super) fn land(self, outcome: Outcome) {
        self.ended.send_replace(Some(outcome));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

/// Waits for the end of a question.
pub(super) async fn landed(mut landing: Landing) -> Outcome {
    match landing.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or(Err(Rejection::Unavailable(Duration::ZERO))),
        Err(_) => Err(Rejection::Unavailable(Duration::ZERO)),
    }
}
