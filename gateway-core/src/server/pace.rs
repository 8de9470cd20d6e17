//! [`Pace`]: how fast a client sends its body, which is the same over HTTP/1 and HTTP/2.

use std::time::Duration;

use tokio::time::Instant;

use super::settings::Timeouts;

/// How long a client is waited for while it sends a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    idle: Duration,
    /// Bytes per second; 0: any byte starts the time anew.
    min_rate: u64,
}

impl Patience {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        Self { idle: timeouts.body_idle, min_rate: timeouts.min_body_rate }
    }
}

/// How fast a body comes: only the time counts in which its reader waits for the client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    received: u64,
    /// Since when the reader waits.
    waits_since: Option<Instant>,
    /// For how long it had waited before.
    waited: Duration,
}

impl Pace {
    /// Takes note that the reader found nothing. True when it begins to wait with that.
    pub(super) fn waits(&mut self) -> bool {
        let begins = self.waits_since.is_none();
        if begins {
            self.waits_since = Some(Instant::now());
        }
        begins
    }

    /// Takes note that something has come for the reader.
    pub(super) fn stops_waiting(&mut self) {
        if let Some(since) = self.waits_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Takes note that the reader is gone.
    pub(super) fn ends(&mut self) {
        self.waits_since = None;
    }

    /// Counts `size` bytes of the body.
    pub(super) fn receives(&mut self, size: usize) {
        self.received += size as u64;
    }

    /// When the client will have been too slow; `None` while no reader waits for it.
    pub(super) fn deadline(&self, patience: Patience) -> Option<Instant> {
        let since = self.waits_since?;
        let earned = self.received.saturating_mul(1000).checked_div(patience.min_rate);
        let Some(earned) = earned else {
            return Some(since + patience.idle);
        };
        let allowed = patience.idle + Duration::from_millis(earned);
        Some(since + allowed.saturating_sub(self.waited))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn bytes_earn_time_and_waiting_spends_it() {
        let patience = Patience { idle: 10 * SECOND, min_rate: 500 };
        let mut pace = Pace::default();
        assert_eq!(pace.deadline(patience), None);
        assert!(pace.waits());
        let start = Instant::now();
        advance(8 * SECOND).await;
        assert!(!pace.waits());
        pace.stops_waiting();
        pace.receives(1_500);
        advance(60 * SECOND).await;
        pace.waits();
        assert_eq!(pace.deadline(patience), Some(start + 68 * SECOND + 5 * SECOND));
        pace.ends();
        assert_eq!(pace.deadline(patience), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_every_piece_starts_anew() {
        let patience = Patience { idle: 10 * SECOND, min_rate: 0 };
        let mut pace = Pace::default();
        pace.waits();
        advance(9 * SECOND).await;
        pace.receives(1);
        pace.stops_waiting();
        pace.waits();
        assert_eq!(pace.deadline(patience), Some(Instant::now() + 10 * SECOND));
    }
}
