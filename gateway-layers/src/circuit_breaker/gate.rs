//! [`Gate`]: the machine, with atomics in front of it for the calls that need no decision.

use std::sync::PoisonError;
use std::time::Duration;

use super::cause::Cause;
use super::config::{CircuitBreakerConfig, SlowCalls};
use super::state::{Admission, Change, Machine, Order, State};
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use super::window::{Counts, Window, nanoseconds};

/// What the gate does with calls, in the lowest bits of its word. Above them is the generation.
const KIND_BITS: u32 = 2;
const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;
/// An operator closed it: calls are counted and not judged.
const FORCED_CLOSED: u64 = 3;

/// Lets calls through or not, and counts how they end. Times are passed in.
///
/// While it is closed a call reads one word, and its end is one or two compare-and-swaps; while it
/// is open a call reads two words. The lock is taken to begin and to end a probe, and to change the
/// state.
#[derive(Debug)]
pub(super) struct Gate {
    word: AtomicU64,
    /// While it is not closed: before this time a call is rejected without asking the machine.
    not_before: AtomicU64,
    failures: Window,
    slow: Option<Window>,
    /// Failures in a row: the lower half of the word; the upper half is the generation's.
    streak: AtomicU64,
    machine: Mutex<Machine>,
    conditions: Conditions,
}

/// What opens it.
#[derive(Debug)]
struct Conditions {
    failure_ratio: Option<f64>,
    min_requests: u32,
    consecutive: Option<u32>,
    slow: Option<SlowCalls>,
}

/// A call was let through. It must be [settled](Gate::settle).
#[derive(Debug)]
pub(super) struct Pass {
    generation: u64,
    probe: Option<u64>,
}

impl Pass {
    /// True for a call that shows whether the gate may close.
    pub(super) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// A call was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// It is open until then.
    Open(Duration),
    /// It is open until an operator says otherwise.
    Forced,
    /// As many probes as may be are under way.
    Probing,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Success,
    Slow,
    Failure,
    /// Both.
    SlowFailure,
    /// It says nothing.
    Neither,
}

/// The gate at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshot {
    pub(super) state: State,
    pub(super) forced: bool,
    pub(super) failures: Counts,
    pub(super) slow: Counts,
    pub(super) consecutive: u32,
    pub(super) opened: u64,
    pub(super) since: Duration,
    pub(super) open_until: Option<Duration>,
    pub(super) cause: Option<Cause>,
}

impl Gate {
    pub(super) fn new(config: &CircuitBreakerConfig) -> Self {
        Self {
            word: AtomicU64::new(CLOSED),
            not_before: AtomicU64::new(0),
            failures: Window::new(config.window),
            slow: config.slow.map(|_| Window::new(config.window)),
            streak: AtomicU64::new(0),
            machine: Mutex::new(Machine::new(config)),
            conditions: Conditions {
                failure_ratio: config.failure_ratio,
                min_requests: config.min_requests,
                consecutive: config.consecutive_failures,
                slow: config.slow,
            },
        }
    }

    /// Lets a call through without asking what time it is, which it need not know while it is
    /// closed.
    pub(super) fn pass_closed(&self) -> Option<Pass> {
        let word = self.word.load(Ordering::Acquire);
        let is_closed = matches!(word & ((1 << KIND_BITS) - 1), CLOSED | FORCED_CLOSED);
        is_closed.then_some(Pass { generation: word >> KIND_BITS, probe: None })
    }

    /// Decides about a call.
    pub(super) fn admit(&self, now: Duration) -> (Result<Pass, Rejection>, Option<Change>) {
        if let Some(pass) = self.pass_closed() {
            return (Ok(pass), None);
        }
        // Both words may belong to different states: then this call came while they changed, and
        // either answer is right.
        let not_before = self.not_before.load(Ordering::Relaxed);
        if nanoseconds(now) < not_before {
            let kind = self.word.load(Ordering::Relaxed) & ((1 << KIND_BITS) - 1);
            let rejection = match (kind, not_before) {
                (HALF_OPEN, _) => Rejection::Probing,
                (_, u64::MAX) => Rejection::Forced,
                _ => Rejection::Open(Duration::from_nanos(not_before)),
            };
            return (Err(rejection), None);
        }
        let mut machine = self.lock();
        let (admission, change) = machine.admit(now);
        self.publish(&machine);
        let generation = machine.generation();
        let decision = match admission {
            Admission::Pass => Ok(Pass { generation, probe: None }),
            Admission::Probe(number) => Ok(Pass { generation, probe: Some(number) }),
            Admission::Rejected => Err(match (machine.state(), machine.open_until()) {
                (State::Open, Some(until)) => Rejection::Open(until),
                (State::Open, None) => Rejection::Forced,
                _ => Rejection::Probing,
            }),
        };
        (decision, change)
    }

    /// A call that was let through is over.
    #[allow(clippy::needless_pass_by_value, reason = "a pass is settled once")]
    pub(super) fn settle(&self, pass: Pass, ending: Ending, now: Duration) -> Option<Change> {
        let Pass { generation, probe } = pass;
        let word = self.word.load(Ordering::Acquire);
        if word >> KIND_BITS != generation {
            return None;
        }
        if let Some(number) = probe {
            let succeeds = match ending {
                Ending::Success => Some(true),
                // Closing for what would open it again at once helps nobody.
                Ending::Slow | Ending::Failure | Ending::SlowFailure => Some(false),
                Ending::Neither => None,
            };
            let mut machine = self.lock();
            let change = machine.probe_ended(generation, number, succeeds, now);
            self.publish(&machine);
            return change;
        }
        if ending == Ending::Neither {
            return None;
        }
        let cause = self.count(generation, ending, now)?;
        if word & ((1 << KIND_BITS) - 1) == FORCED_CLOSED {
            return None;
        }
        let mut machine = self.lock();
        let change = machine.trip(generation, cause, now);
        self.publish(&machine);
        change
    }

    /// Counts the end of a call. Returns why the gate is to open, if it is.
    fn count(&self, generation: u64, ending: Ending, now: Duration) -> Option<Cause> {
        let failed = matches!(ending, Ending::Failure | Ending::SlowFailure);
        let slow = matches!(ending, Ending::Slow | Ending::SlowFailure);
        let stamp = self.failures.stamp(generation, now);
        self.failures.add(stamp, failed);
        if let Some(window) = &self.slow {
            window.add(stamp, slow);
        }
        if let Some(limit) = self.conditions.consecutive {
            let streak = self.count_streak(generation, failed);
            if streak >= limit {
                return Some(Cause::Consecutive(streak));
            }
        }
        // Only a bad call opens it: a good one that completes the volume is no reason to.
        let judged = |window: &Window, ratio: f64| {
            let counts = window.sum(stamp);
            let enough = counts.total >= self.conditions.min_requests;
            (enough && counts.ratio() >= ratio).then_some(counts)
        };
        let failures = self.conditions.failure_ratio.filter(|_| failed);
        if let Some(counts) = failures.and_then(|ratio| judged(&self.failures, ratio)) {
            return Some(Cause::failures(counts));
        }
        let condition = self.conditions.slow.filter(|_| slow)?;
        let counts = judged(self.slow.as_ref()?, condition.ratio)?;
        Some(Cause::slow(counts))
    }

    /// Counts failures in a row, and begins anew with a success or another generation.
    fn count_streak(&self, generation: u64, failed: bool) -> u32 {
        let mut word = self.streak.load(Ordering::Relaxed);
        loop {
            let is_newer = ((word >> 32) as u32).wrapping_sub(generation as u32) as i32 > 0;
            if is_newer {
                return 0;
            }
            let streak = streak_of(word, generation);
            let next = if failed { streak.saturating_add(1) } else { 0 };
            if next == streak {
                return next;
            }
            let new = generation << 32 | u64::from(next);
            let relaxed = Ordering::Relaxed;
            match self.streak.compare_exchange_weak(word, new, relaxed, relaxed) {
                Ok(_) => return next,
                Err(changed) => word = changed,
            }
        }
    }

    /// Does what an operator asks for.
    pub(super) fn order(&self, order: Order, now: Duration) -> Option<Change> {
        let mut machine = self.lock();
        let change = machine.order(order, now);
        self.publish(&machine);
        change
    }

    /// Ends the time to be open, if it is open.
    pub(super) fn end_open_time(&self, now: Duration) {
        let mut machine = self.lock();
        machine.end_open_time(now);
        self.publish(&machine);
    }

    pub(super) fn state(&self) -> State {
        match self.word.load(Ordering::Acquire) & ((1 << KIND_BITS) - 1) {
            OPEN => State::Open,
            HALF_OPEN => State::HalfOpen,
            _ => State::Closed,
        }
    }

    pub(super) fn snapshot(&self, now: Duration) -> Snapshot {
        let machine = self.lock();
        let generation = machine.generation();
        let stamp = self.failures.stamp(generation, now);
        Snapshot {
            state: machine.state(),
            forced: machine.is_forced(),
            failures: self.failures.sum(stamp),
            slow: self.slow.as_ref().map(|slow| slow.sum(stamp)).unwrap_or_default(),
            consecutive: streak_of(self.streak.load(Ordering::Relaxed), generation),
            opened: machine.opened(),
            since: machine.since(),
            open_until: machine.open_until(),
            cause: machine.cause(),
        }
    }

    /// Shows the machine's state to those who do not ask it.
    fn publish(&self, machine: &Machine) {
        self.not_before.store(nanoseconds(machine.not_before()), Ordering::Relaxed);
        let kind = match (machine.state(), machine.is_forced()) {
            (State::Closed, false) => CLOSED,
            (State::Closed, true) => FORCED_CLOSED,
            (State::Open, _) => OPEN,
            (State::HalfOpen, _) => HALF_OPEN,
        };
        self.word.store(machine.generation() << KIND_BITS | kind, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the word says about `generation`, whose lower half it keeps.
fn streak_of(word: u64, generation: u64) -> u32 {
    let is_own = (word >> 32) as u32 == generation as u32;
    if is_own { word as u32 } else { 0 }
}
