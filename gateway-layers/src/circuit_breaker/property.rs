//! Any history of calls, outcomes, cancellations and passing time keeps the rules, compared with a
//! model that keeps every outcome and counts it again each time.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::config::CircuitBreakerConfig;
use super::gate::{Ending, Gate, Pass};
use super::state::State;
use super::window::BUCKETS;

#[derive(Clone, Debug)]
enum Event {
    Begin,
    /// The call at this place among those under way ends so.
    End(usize, Ending),
    Wait(Duration),
}

fn event() -> impl Strategy<Value = Event> {
    let ending = prop_oneof![
        3 => Just(Ending::Success),
        4 => Just(Ending::Failure),
        1 => Just(Ending::Neither),
    ];
    prop_oneof![
        6 => Just(Event::Begin),
        6 => (any::<prop::sample::Index>(), ending)
            .prop_map(|(index, ending)| Event::End(index.index(64), ending)),
        2 => (0_u64..1500).prop_map(|time| Event::Wait(Duration::from_millis(time))),
        1 => (0_u64..70).prop_map(|time| Event::Wait(Duration::from_secs(time))),
    ]
}

fn config() -> impl Strategy<Value = CircuitBreakerConfig> {
    let consecutive = prop_oneof![3 => Just(None), 1 => (1_u32..8).prop_map(Some)];
    (1_u32..=4, 1_u32..12, prop_oneof![Just(0.1), Just(0.5), Just(1.0)], consecutive).prop_map(
        |(half_open, min_requests, ratio, consecutive)| CircuitBreakerConfig {
            half_open,
            min_requests,
            failure_ratio: Some(ratio),
            consecutive_failures: consecutive,
            ..CircuitBreakerConfig::default()
        },
    )
}

struct Call {
    pass: Pass,
    /// The number of the state it began in.
    era: u64,
}

/// A gate, and everything that happened to it.
struct Model {
    config: CircuitBreakerConfig,
    gate: Gate,
    now: Duration,
    /// One more with each change of state.
    era: u64,
    state: State,
    calls: Vec<Call>,
    /// What the calls of this era ended with, and in which bucket.
    counted: Vec<(u64, bool)>,
    /// Probes of this era that began and did not say nothing.
    probes: u32,
}

impl Model {
    fn new(config: CircuitBreakerConfig) -> Self {
        let gate = Gate::new(&config);
        let (now, state) = (Duration::ZERO, State::Closed);
        Self { config, gate, now, era: 0, state, calls: vec![], counted: vec![], probes: 0 }
    }

    fn bucket(&self) -> u64 {
        (self.now.as_nanos() / (self.config.window.as_nanos() / u128::from(BUCKETS))) as u64
    }

    fn enter(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.era += 1;
            self.counted.clear();
            self.probes = 0;
        }
    }

    fn begin(&mut self) -> bool {
        let (decision, change) = self.gate.admit(self.now);
        if let Some(change) = change {
            assert_ne!(change.from, State::Closed, "a call that begins opens nothing");
            self.enter(change.to);
        }
        assert_eq!(self.gate.state(), self.state);
        let admitted = decision.is_ok();
        match self.state {
            State::Closed => assert!(admitted),
            State::Open => assert!(!admitted),
            State::HalfOpen => {
                self.probes += u32::from(admitted);
                assert!(self.probes <= self.config.half_open, "{} probes", self.probes);
            }
        }
        let era = self.era;
        self.calls.extend(decision.ok().map(|pass| Call { pass, era }));
        admitted
    }

    fn end(&mut self, index: usize, ending: Ending) {
        if self.calls.is_empty() {
            return;
        }
        let Call { pass, era } = self.calls.swap_remove(index % self.calls.len());
        let before = self.state;
        let expected = if era == self.era { self.expected(ending) } else { before };
        let change = self.gate.settle(pass, ending, self.now);
        assert_eq!(change.map_or(before, |change| change.to), expected);
        assert_eq!(self.gate.state(), expected);
        self.enter(expected);
    }

    /// The state after a call of this era has ended.
    fn expected(&mut self, ending: Ending) -> State {
        if self.state == State::HalfOpen {
            match ending {
                Ending::Neither => self.probes -= 1,
                Ending::Failure => return State::Open,
                _ => self.counted.push((0, false)),
            }
            let all = self.counted.len() == self.config.half_open as usize;
            return if all { State::Closed } else { State::HalfOpen };
        }
        if ending == Ending::Neither {
            return self.state;
        }
        let failed = ending == Ending::Failure;
        self.counted.push((self.bucket(), failed));
        let oldest = (self.bucket() + 1).saturating_sub(BUCKETS);
        let window: Vec<_> = self.counted.iter().filter(|(at, _)| *at >= oldest).collect();
        let failures = window.iter().filter(|(_, failed)| *failed).count();
        let in_a_row = self.counted.iter().rev().take_while(|(_, failed)| *failed).count();
        let enough = window.len() >= self.config.min_requests as usize;
        let ratio = self.config.failure_ratio.unwrap();
        let too_many = enough && failures as f64 / window.len() as f64 >= ratio;
        let streak =
            self.config.consecutive_failures.is_some_and(|limit| in_a_row >= limit as usize);
        if failed && (too_many || streak) { State::Open } else { State::Closed }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Begin => drop(self.begin()),
            Event::End(index, ending) => self.end(*index, *ending),
            Event::Wait(time) => self.now += *time,
        }
    }

    /// Whatever is still under way hangs; new calls succeed at once.
    fn recovers(&mut self) -> bool {
        let hung = std::mem::take(&mut self.calls);
        for _ in 0..2 {
            self.now += self.config.open_max.max(self.config.probe_timeout);
            for _ in 0..=self.config.half_open {
                if self.begin() {
                    self.end(0, Ending::Success);
                }
            }
        }
        self.calls = hung;
        self.gate.state() == State::Closed
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// It opens exactly when the model does, so never under the volume; it lets no more probes
    /// through than it may; what began in another state changes nothing.
    #[test]
    fn a_breaker_does_what_its_rules_say(config in config(), events in vec(event(), 0..400)) {
        let mut model = Model::new(config);
        for event in &events {
            model.apply(event);
        }
    }

    #[test]
    fn no_history_leaves_it_open_for_ever(config in config(), events in vec(event(), 0..200)) {
        let mut model = Model::new(config);
        for event in &events {
            model.apply(event);
        }
        prop_assert!(model.recovers(), "{:?}", model.gate);
    }
}
