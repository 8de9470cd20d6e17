//! [`Health`]: whether a server is worth a question.

use std::time::Duration;

use tokio::time::Instant;

use super::server::Fault;

/// After so many failures in a row a server is left alone: 3.
pub const FAILURES: u32 = 3;

/// A server that is away is left alone for at most this long: 30 s.
pub const MAX_COOLDOWN: Duration = Duration::from_secs(30);

/// The log says at most once in this time that a server fails, or is well again.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What is known of a server by its answers.
#[derive(Debug)]
pub(super) struct Health {
    cooldown: Duration,
    /// Failures in a row that say that it is away.
    failures: u32,
    /// Until when it is left alone.
    until: Option<Instant>,
    /// When that was decided: what was asked before belongs to the same outage.
    cooled: Option<Instant>,
    /// Somebody finds out whether it is back.
    probing: bool,
    /// What was wrong with its last answer, if anything.
    fault: Option<String>,
    logged: Option<Instant>,
    /// The log has said that it fails.
    warned: bool,
    pub(super) asked: u64,
    pub(super) failed: u64,
}

impl Health {
    pub(super) fn new(cooldown: Duration) -> Self {
        Self {
            cooldown,
            failures: 0,
            until: None,
            cooled: None,
            probing: false,
            fault: None,
            logged: None,
            warned: false,
            asked: 0,
            failed: 0,
        }
    }

    /// A question may be asked, or not before this time is over. Whoever may has to say how it
    /// ended.
    pub(super) fn enter(&mut self, now: Instant) -> Result<(), Duration> {
        if self.failures >= FAILURES {
            match self.until.filter(|until| *until > now) {
                Some(until) => return Err(until - now),
                None if self.probing => return Err(self.cooldown),
                None => self.probing = true,
            }
        }
        self.asked += 1;
        Ok(())
    }

    /// It has answered.
    pub(super) fn answered(&mut self, name: &str, now: Instant) {
        (self.failures, self.until, self.probing, self.fault) = (0, None, false, None);
        self.cooled = None;
        if self.warned && self.may_log(now) {
            self.warned = false;
            tracing::info!(server = name, "tokens can be asked about again");
        }
    }

    /// Counts that the query begun at `asked` had no response, or none that is of use.
    ///
    /// Many queries may be in flight when a server goes away: the cool-down doubles once for all
    /// of them, and again only when a query fails that was begun after it.
    pub(super) fn failed(&mut self, name: &str, fault: &Fault, asked: Instant, now: Instant) {
        self.failed += 1;
        let counts = self.is_news(asked);
        if counts {
            self.probing = false;
        }
        if fault.is_death() {
            if counts {
                self.failures = self.failures.saturating_add(1);
                self.cool_down(now);
            }
        } else if !fault.is_ours() {
            // Whoever answers is not away.
            (self.failures, self.until, self.cooled) = (0, None, None);
        }
        self.fault = Some(fault.to_string());
        if !self.warned && self.may_log(now) {
            self.warned = true;
            tracing::warn!(server = name, %fault, "tokens cannot be asked about");
        }
    }

    /// Takes note that the outcome of the query begun at `asked` will not be reported.
    pub(super) fn abandoned(&mut self, asked: Instant) {
        if self.is_news(asked) {
            self.probing = false;
        }
    }

    /// True for a query that was begun after the last cool-down was decided.
    fn is_news(&self, asked: Instant) -> bool {
        self.cooled.is_none_or(|cooled| asked > cooled)
    }

    fn cool_down(&mut self, now: Instant) {
        if let Some(more) = self.failures.checked_sub(FAILURES) {
            let factor = 2_u32.saturating_pow(more.min(16));
            let most = MAX_COOLDOWN.max(self.cooldown);
            self.until = Some(now + self.cooldown.saturating_mul(factor).min(most));
            self.cooled = Some(now);
        }
    }

    /// True while questions are answered with something of use.
    pub(super) fn is_healthy(&self) -> bool {
        self.fault.is_none()
    }

    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    fn may_log(&mut self, now: Instant) -> bool {
        let may =
            self.logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LOG_EVERY);
        if may {
            self.logged = Some(now);
        }
        may
    }
}
