//! [`Machine`]: the states of a breaker and what leads from one to another.
//!
//! It has no clock, no lock and no network: times are passed in, as the time since the breaker was
//! made.

use std::fmt;
use std::time::Duration;

use super::cause::Cause;
use super::config::CircuitBreakerConfig;

/// What a breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It lets them through and counts how they end.
    Closed,
    /// It lets none through.
    Open,
    /// It lets a few probes through, and closes or opens by how they end.
    HalfOpen,
}

impl State {
    /// The state's name: `closed`, `open` or `half_open`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A change of state that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) cause: Cause,
}

/// What an operator may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Open,
    Close,
    Reset,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is let through and counted.
    Pass,
    /// It is let through as the probe with this number.
    Probe(u64),
    /// It is rejected.
    Rejected,
}

#[derive(Debug)]
enum Phase {
    Closed,
    /// `None`: until an operator says otherwise.
    Open {
        until: Option<Duration>,
    },
    HalfOpen {
        succeeded: u32,
        running: Vec<Probe>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    number: u64,
    /// It has failed if there is no answer by then.
    until: Duration,
}

/// The states and their rules.
#[derive(Debug)]
pub(super) struct Machine {
    open: Duration,
    open_max: Duration,
    half_open: u32,
    probe_timeout: Duration,
    phase: Phase,
    /// An operator decides, not the calls.
    forced: bool,
    /// One more with each change: what was begun under another one counts for nothing.
    generation: u64,
    since: Duration,
    /// How long it was open the last time; `None` when that does not count any more.
    last_open: Option<Duration>,
    opened: u64,
    probes: u64,
    cause: Option<Cause>,
}

impl Machine {
    /// A closed breaker at the time zero.
    pub(super) fn new(config: &CircuitBreakerConfig) -> Self {
        Self {
            open: config.open,
            open_max: config.open_max,
            half_open: config.half_open,
            probe_timeout: config.probe_timeout,
            phase: Phase::Closed,
            forced: false,
            generation: 0,
            since: Duration::ZERO,
            last_open: None,
            opened: 0,
            probes: 0,
            cause: None,
        }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    pub(super) fn is_forced(&self) -> bool {
        self.forced
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// When it came into its state.
    pub(super) fn since(&self) -> Duration {
        self.since
    }

    /// How often it opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// Why it changed its state the last time.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// Until when it is open; `None` when it is not, or until an operator says otherwise.
    pub(super) fn open_until(&self) -> Option<Duration> {
        match self.phase {
            Phase::Open { until } => until,
            _ => None,
        }
    }

    /// Before this time [`admit`](Self::admit) rejects, unless something else happens first.
    pub(super) fn not_before(&self) -> Duration {
        match &self.phase {
            Phase::Closed => Duration::ZERO,
            Phase::Open { until } => until.unwrap_or(Duration::MAX),
            Phase::HalfOpen { succeeded, running } => {
                if self.has_room(*succeeded, running) {
                    return Duration::ZERO;
                }
                running.iter().map(|probe| probe.until).min().unwrap_or(Duration::ZERO)
            }
        }
    }

    /// Decides about a call.
    pub(super) fn admit(&mut self, now: Duration) -> (Admission, Option<Change>) {
        let mut change = None;
        match &self.phase {
            Phase::Closed => return (Admission::Pass, None),
            Phase::Open { until } => {
                if until.is_none_or(|until| now < until) {
                    return (Admission::Rejected, None);
                }
                let phase = Phase::HalfOpen { succeeded: 0, running: Vec::new() };
                change = self.become_(phase, Cause::OpenTimeOver, now);
            }
            Phase::HalfOpen { running, .. } => {
                if running.iter().any(|probe| now >= probe.until) {
                    return (Admission::Rejected, self.open_again(Cause::ProbeHung, now));
                }
            }
        }
        (self.begin_probe(now), change)
    }

    fn begin_probe(&mut self, now: Duration) -> Admission {
        let Phase::HalfOpen { succeeded, running } = &self.phase else {
            return Admission::Rejected;
        };
        if !self.has_room(*succeeded, running) {
            return Admission::Rejected;
        }
        let probe = Probe { number: self.probes, until: now.saturating_add(self.probe_timeout) };
        self.probes += 1;
        if let Phase::HalfOpen { running, .. } = &mut self.phase {
            running.push(probe);
        }
        Admission::Probe(probe.number)
    }

    fn has_room(&self, succeeded: u32, running: &[Probe]) -> bool {
        succeeded as usize + running.len() < self.half_open as usize
    }

    /// The calls of `generation` went so badly that it opens.
    pub(super) fn trip(&mut self, generation: u64, cause: Cause, now: Duration) -> Option<Change> {
        let is_counted = matches!(self.phase, Phase::Closed) && !self.forced;
        if generation != self.generation || !is_counted {
            return None;
        }
        if now.saturating_sub(self.since) >= self.open_max {
            self.last_open = None;
        }
        self.open_again(cause, now)
    }

    /// The probe `number` of `generation` is over: it succeeded, failed, or says nothing.
    pub(super) fn probe_ended(
        &mut self,
        generation: u64,
        number: u64,
        succeeds: Option<bool>,
        now: Duration,
    ) -> Option<Change> {
        let Phase::HalfOpen { succeeded, running } = &mut self.phase else {
            return None;
        };
        if generation != self.generation {
            return None;
        }
        running.retain(|probe| probe.number != number);
        match succeeds {
            None => None,
            Some(false) => self.open_again(Cause::ProbeFailed, now),
            Some(true) => {
                *succeeded += 1;
                let succeeded = *succeeded;
                if succeeded < self.half_open {
                    return None;
                }
                self.become_(Phase::Closed, Cause::ProbesSucceeded(succeeded), now)
            }
        }
    }

    /// Does what an operator asks for.
    pub(super) fn order(&mut self, order: Order, now: Duration) -> Option<Change> {
        self.forced = order != Order::Reset;
        match order {
            Order::Open => {
                if !matches!(self.phase, Phase::Open { .. }) {
                    self.opened += 1;
                }
                self.become_(Phase::Open { until: None }, Cause::ForcedOpen, now)
            }
            Order::Close => self.become_(Phase::Closed, Cause::ForcedClosed, now),
            Order::Reset => {
                self.last_open = None;
                self.become_(Phase::Closed, Cause::Reset, now)
            }
        }
    }

    /// Ends the open time at `now`, unless an operator opened it: the next call is a probe.
    pub(super) fn end_open_time(&mut self, now: Duration) {
        if let Phase::Open { until: Some(until) } = &mut self.phase {
            *until = now.min(*until);
        }
    }

    fn open_again(&mut self, cause: Cause, now: Duration) -> Option<Change> {
        let doubled = self.last_open.map(|last| last.saturating_mul(2).min(self.open_max));
        let time = doubled.unwrap_or(self.open);
        self.last_open = Some(time);
        self.opened += 1;
        self.become_(Phase::Open { until: Some(now.saturating_add(time)) }, cause, now)
    }

    /// Enters a phase. `None` when the state is the same one, though a generation has begun.
    fn become_(&mut self, phase: Phase, cause: Cause, now: Duration) -> Option<Change> {
        let from = self.state();
        self.phase = phase;
        self.generation += 1;
        self.since = now;
        self.cause = Some(cause);
        let to = self.state();
        (from != to).then_some(Change { from, to, cause })
    }
}

#[cfg(test)]
#[cfg(not(gateway_loom))]
mod tests {
    use super::*;

    const CAUSE: Cause = Cause::Consecutive(5);

    fn machine() -> Machine {
        Machine::new(&CircuitBreakerConfig::default())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn trip(machine: &mut Machine, now: Duration) {
        assert!(machine.trip(machine.generation(), CAUSE, now).is_some());
    }

    fn probe(machine: &mut Machine, now: Duration) -> u64 {
        match machine.admit(now) {
            (Admission::Probe(number), _) => number,
            other => panic!("{other:?}"),
        }
    }

    fn end(machine: &mut Machine, number: u64, succeeds: Option<bool>, now: Duration) {
        machine.probe_ended(machine.generation(), number, succeeds, now);
    }

    fn is_rejected(machine: &mut Machine, now: Duration) -> bool {
        machine.admit(now).0 == Admission::Rejected
    }

    #[test]
    fn an_open_one_rejects_until_its_time_is_over() {
        let mut machine = machine();
        trip(&mut machine, at(100));
        assert_eq!(machine.open_until(), Some(at(105)));
        assert!(is_rejected(&mut machine, at(104)));
        let (admission, change) = machine.admit(at(105));
        assert_eq!(admission, Admission::Probe(0));
        let cause = Cause::OpenTimeOver;
        assert_eq!(change, Some(Change { from: State::Open, to: State::HalfOpen, cause }));
    }

    #[test]
    fn all_probes_must_succeed() {
        let mut machine = machine();
        trip(&mut machine, at(0));
        let probes = [5, 5, 5].map(|now| probe(&mut machine, at(now)));
        assert!(is_rejected(&mut machine, at(5)), "three are let through");
        end(&mut machine, probes[0], Some(true), at(6));
        end(&mut machine, probes[1], Some(true), at(6));
        assert!(is_rejected(&mut machine, at(6)), "three in all, not three at a time");
        assert_eq!(machine.state(), State::HalfOpen);
        end(&mut machine, probes[2], Some(true), at(7));
        assert_eq!(machine.state(), State::Closed);
        assert_eq!(machine.cause(), Some(Cause::ProbesSucceeded(3)));
    }

    #[test]
    fn one_failed_probe_opens_it_for_twice_as_long() {
        let mut machine = machine();
        let mut now = at(0);
        trip(&mut machine, now);
        for expected in [5, 10, 20, 40, 60, 60] {
            let until = machine.open_until().unwrap();
            assert_eq!(until, now + at(expected));
            now = until;
            let number = probe(&mut machine, now);
            end(&mut machine, number, Some(false), now);
        }
        assert_eq!(machine.opened(), 7);
    }

    fn close(machine: &mut Machine, now: Duration) {
        for _ in 0..3 {
            let number = probe(machine, now);
            end(machine, number, Some(true), now);
        }
        assert_eq!(machine.state(), State::Closed);
    }

    #[test]
    fn a_breaker_that_flaps_stays_open_for_longer_and_one_that_held_does_not() {
        let mut machine = machine();
        trip(&mut machine, at(0));
        close(&mut machine, at(5));
        trip(&mut machine, at(64));
        assert_eq!(machine.open_until(), Some(at(64 + 10)));
        close(&mut machine, at(100));
        trip(&mut machine, at(160));
        assert_eq!(machine.open_until(), Some(at(160 + 5)));
    }

    #[test]
    fn a_probe_that_says_nothing_makes_room_for_another() {
        let mut machine = machine();
        trip(&mut machine, at(0));
        for _ in 0..100 {
            let number = probe(&mut machine, at(5));
            end(&mut machine, number, None, at(5));
        }
        assert_eq!(machine.state(), State::HalfOpen);
        close(&mut machine, at(6));
    }

    #[test]
    fn a_probe_without_an_answer_has_failed() {
        let mut machine = machine();
        trip(&mut machine, at(0));
        let hung = probe(&mut machine, at(5));
        for _ in 0..2 {
            let number = probe(&mut machine, at(10));
            end(&mut machine, number, Some(true), at(10));
        }
        assert_eq!(machine.not_before(), at(35));
        assert!(is_rejected(&mut machine, at(34)));
        assert_eq!(machine.state(), State::HalfOpen);
        assert!(is_rejected(&mut machine, at(35)));
        assert_eq!((machine.state(), machine.cause()), (State::Open, Some(Cause::ProbeHung)));
        assert_eq!(machine.open_until(), Some(at(45)));
        let generation = machine.generation() - 1;
        machine.probe_ended(generation, hung, Some(true), at(40));
        assert_eq!(machine.state(), State::Open, "too late");
    }

    #[test]
    fn what_belongs_to_another_generation_changes_nothing() {
        let mut machine = machine();
        let first = machine.generation();
        trip(&mut machine, at(0));
        assert_eq!(machine.trip(first, CAUSE, at(1)), None);
        let old = probe(&mut machine, at(5));
        let generation = machine.generation();
        end(&mut machine, old, Some(false), at(5));
        let young = probe(&mut machine, at(15));
        assert_eq!(machine.probe_ended(generation, old, Some(false), at(15)), None);
        assert_eq!(machine.state(), State::HalfOpen);
        assert_eq!(machine.trip(first, CAUSE, at(15)), None);
        end(&mut machine, young, Some(false), at(15));
        assert_eq!(machine.state(), State::Open);
    }

    #[test]
    fn open_time_can_be_ended_but_not_an_order() {
        let mut machine = machine();
        trip(&mut machine, at(0));
        machine.end_open_time(at(1));
        assert_eq!((machine.state(), machine.not_before()), (State::Open, at(1)));
        close(&mut machine, at(1));
        machine.end_open_time(at(2));
        assert_eq!(machine.state(), State::Closed);
        machine.order(Order::Open, at(3));
        machine.end_open_time(at(4));
        assert!(is_rejected(&mut machine, at(5)));
    }

    #[test]
    fn what_an_operator_says_holds() {
        let mut machine = machine();
        assert!(machine.order(Order::Open, at(1)).is_some());
        assert!(machine.order(Order::Open, at(2)).is_none());
        assert!(is_rejected(&mut machine, at(1_000_000)));
        assert_eq!((machine.opened(), machine.open_until()), (1, None));
        machine.order(Order::Close, at(2));
        assert_eq!(machine.trip(machine.generation(), CAUSE, at(3)), None);
        assert!(machine.is_forced());
        machine.order(Order::Reset, at(3));
        assert!(!machine.is_forced());
        trip(&mut machine, at(4));
        assert_eq!(machine.open_until(), Some(at(9)));
    }
}
