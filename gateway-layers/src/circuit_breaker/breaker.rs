//! [`CircuitBreaker`]: the breaker as its owner and its operators hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{Error, Observer, Observers, Reason, StateChanged};
use tokio::time::Instant;

use super::cause::Cause;
use super::config::{CircuitBreakerConfig, CircuitBreakerConfigError};
use super::gate::{Ending, Gate, Pass, Rejection};
use super::state::{Change, Order, State};

/// What a client is told to wait while probes are under way: they take about that long.
const RETRY_WHILE_PROBING: Duration = Duration::from_secs(1);

/// A breaker. Cheap to clone; clones are the same breaker.
///
/// Whatever shares a fate shares a breaker: one for each cluster, not one for each route. See the
/// [module](super).
#[derive(Clone)]
pub struct CircuitBreaker {
    shared: Arc<Shared>,
}

struct Shared {
    name: Arc<str>,
    config: CircuitBreakerConfig,
    observers: Observers,
    /// The machine's time zero.
    began: Instant,
    gate: Gate,
}

/// A breaker at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What it does with calls. One that has been open for its time is open until somebody asks.
    pub state: State,
    /// An operator decided so, and calls change nothing.
    pub forced: bool,
    /// When it came into its state.
    pub since: Instant,
    /// Until when it lets nothing through; `None` when it is not open, or until an operator says
    /// otherwise.
    pub open_until: Option<Instant>,
    /// The calls of the window that succeeded or failed. Of more than 262,143 in a tenth of the
    /// window only a part counts.
    pub requests: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// The share of those that failed, from 0 to 1; 0 of no calls.
    pub failure_ratio: f64,
    /// Those that were slow; 0 where that is not looked at.
    pub slow: u32,
    /// Failures in a row; 0 where that is not looked at.
    pub consecutive: u32,
    /// How often it has opened.
    pub opened: u64,
    /// Why it changed its state the last time; `None` before it did.
    pub cause: Option<Cause>,
}

impl CircuitBreaker {
    /// A closed breaker. The name is the one under which observers hear of it: the cluster's.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work: see [`CircuitBreakerConfig::validate`].
    pub fn new(
        name: impl Into<Arc<str>>,
        config: CircuitBreakerConfig,
    ) -> Result<Self, CircuitBreakerConfigError> {
        Self::observed(name, config, Observers::default())
    }

    /// The same, whose changes of state `observers` see: subject `breaker`, states `closed`, `open`
    /// and `half_open`.
    ///
    /// # Errors
    ///
    /// When the configuration cannot work: see [`CircuitBreakerConfig::validate`].
    pub fn observed(
        name: impl Into<Arc<str>>,
        config: CircuitBreakerConfig,
        observers: Observers,
    ) -> Result<Self, CircuitBreakerConfigError> {
        config.validate()?;
        let gate = Gate::new(&config);
        let name = name.into();
        let shared = Shared { name, config, observers, began: Instant::now(), gate };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The breaker's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// When it opens, and for how long.
    pub fn config(&self) -> &CircuitBreakerConfig {
        &self.shared.config
    }

    /// What it does with calls.
    pub fn state(&self) -> State {
        self.shared.gate.state()
    }

    /// All about it at this moment.
    pub fn status(&self) -> Status {
        let snapshot = self.shared.gate.snapshot(self.time(Instant::now()));
        let instant = |time: Duration| self.shared.began.checked_add(time);
        Status {
            state: snapshot.state,
            forced: snapshot.forced,
            since: instant(snapshot.since).unwrap_or(self.shared.began),
            open_until: snapshot.open_until.and_then(instant),
            requests: snapshot.failures.total,
            failures: snapshot.failures.bad,
            failure_ratio: snapshot.failures.ratio(),
            slow: snapshot.slow.bad,
            consecutive: snapshot.consecutive,
            opened: snapshot.opened,
            cause: snapshot.cause,
        }
    }

    /// Lets nothing through until [`force_closed`](Self::force_closed) or [`reset`](Self::reset).
    pub fn force_open(&self) {
        self.order(Order::Open);
    }

    /// Lets everything through, however it ends, until [`force_open`](Self::force_open) or
    /// [`reset`](Self::reset). Calls are still counted.
    pub fn force_closed(&self) {
        self.order(Order::Close);
    }

    /// Closed as at the beginning, with nothing counted: the calls decide again.
    pub fn reset(&self) {
        self.order(Order::Reset);
    }

    /// Ends the time to be open, if it is open and no operator opened it: the next call is a
    /// probe. For news that the server has recovered; see
    /// [`RecoveryObserver`](super::RecoveryObserver).
    pub fn end_open_time(&self) {
        self.shared.gate.end_open_time(self.time(Instant::now()));
    }

    fn order(&self, order: Order) {
        let change = self.shared.gate.order(order, self.time(Instant::now()));
        self.notify(change);
    }

    /// True when it looks at how long calls take, and how long that may be.
    pub(super) fn slow_threshold(&self) -> Option<Duration> {
        self.shared.config.slow.map(|slow| slow.threshold)
    }

    /// Lets a call through, or says why not.
    pub(super) fn admit(&self) -> Result<Pass, Error> {
        let gate = &self.shared.gate;
        if let Some(pass) = gate.pass_closed() {
            return Ok(pass);
        }
        let now = self.time(Instant::now());
        let (decision, change) = gate.admit(now);
        self.notify(change);
        decision.map_err(|rejection| self.rejected(rejection, now))
    }

    /// A call that was let through is over.
    pub(super) fn settle(&self, pass: Pass, ending: Ending, now: Instant) {
        let change = self.shared.gate.settle(pass, ending, self.time(now));
        self.notify(change);
    }

    fn rejected(&self, rejection: Rejection, now: Duration) -> Error {
        let (wait, detail) = match rejection {
            Rejection::Open(until) => (
                until.saturating_sub(now),
                "too many requests failed lately; probes are let through after the time given",
            ),
            Rejection::Forced => (self.shared.config.open, "an operator opened it"),
            Rejection::Probing => (
                RETRY_WHILE_PROBING,
                "too many requests failed lately, and probes are under way to see if it is over",
            ),
        };
        Error::new(Reason::CircuitOpen).with_retry_after(wait).with_detail(detail)
    }

    /// Never under the lock: an observer may ask for the status.
    fn notify(&self, change: Option<Change>) {
        if let Some(Change { from, to, cause }) = change
            && !self.shared.observers.is_empty()
        {
            let cause = cause.to_string();
            let event = StateChanged::new("breaker", self.name(), from.name(), to.name(), &cause);
            self.shared.observers.state_changed(&event);
        }
    }

    fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.shared.began)
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
