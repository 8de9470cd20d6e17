//! Whatever comes when: never more passes than is promised, compared with a list of all that
//! passed.

use std::time::{Duration, UNIX_EPOCH};

use proptest::collection::vec;
use proptest::prelude::*;

use super::config::Algorithm;
use super::rule::{Fit, Moment, Rule, State};

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A key with everything that it let through.
struct Model {
    rule: Rule,
    state: State,
    now: u64,
    passed: Vec<(u64, u64)>,
}

impl Model {
    fn new(rule: Rule) -> Self {
        Self { state: State::new(&rule), rule, now: 0, passed: Vec::new() }
    }

    fn moment(&self) -> Moment {
        Moment { nanos: self.now, wall: UNIX_EPOCH }
    }

    fn ask(&mut self, cost: u64) -> Fit {
        let now = self.moment();
        self.state.pass_time(&self.rule, &now);
        let fit = self.state.fit(&self.rule, &now, cost);
        if fit == Fit::Now {
            self.state.take(&self.rule, &now, cost);
            self.passed.push((self.now, cost));
        }
        fit
    }

    /// The most that passed in any time of length `per`: beginning with each that passed, its end
    /// included for a bucket (which promises that), excluded for a window.
    fn most(&self) -> u64 {
        let per = self.rule.per.as_nanos() as u64;
        let closed = self.rule.algorithm == Algorithm::TokenBucket;
        let within = |begin: u64, at: u64| at < begin + per || (closed && at == begin + per);
        let count = |(index, (begin, _)): (usize, &(u64, u64))| {
            let rest = &self.passed[index..];
            rest.iter().take_while(|(at, _)| within(*begin, *at)).map(|(_, cost)| cost).sum()
        };
        self.passed.iter().enumerate().map(count).max().unwrap_or(0)
    }

    fn promised(&self) -> u64 {
        match self.rule.algorithm {
            Algorithm::TokenBucket => self.rule.limit + self.rule.burst,
            _ => self.rule.limit,
        }
    }
}

fn rule() -> impl Strategy<Value = Rule> {
    let algorithm = prop_oneof![Just(Algorithm::TokenBucket), Just(Algorithm::SlidingWindow)];
    let limit = prop_oneof![1_u64..10, 60_u64..70, 100_u64..300];
    (algorithm, limit, 1_u64..200, 1_u64..120_000).prop_map(|(algorithm, limit, burst, per)| {
        Rule::new(algorithm, limit, Duration::from_millis(per), burst).unwrap()
    })
}

/// Steps in thousandths of `per`, and costs.
fn history() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let step = prop_oneof![6 => 0_u64..3, 3 => 0_u64..40, 1 => 0_u64..2500];
    vec((step, prop_oneof![5 => Just(1_u64), 1 => 0_u64..12]), 1..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn never_more_passes_than_is_promised(rule in rule(), history in history()) {
        let mut model = Model::new(rule);
        for (step, cost) in history {
            model.now += step * rule.per.as_nanos() as u64 / 1000;
            model.ask(cost);
        }
        prop_assert!(model.most() <= model.promised(), "{} of {}", model.most(), model.promised());
    }

    #[test]
    fn after_the_time_that_is_told_it_passes_and_not_before(
        rule in rule(),
        history in history(),
        cost in 1_u64..5,
    ) {
        let mut model = Model::new(rule);
        for (step, cost) in history {
            model.now += step * rule.per.as_nanos() as u64 / 1000;
            model.ask(cost);
        }
        match model.ask(cost) {
            Fit::Now => {}
            Fit::Never => prop_assert!(cost > rule.limit.min(rule.burst)),
            Fit::After(wait) => {
                let wait = wait.as_nanos() as u64;
                prop_assert!(wait > 0);
                model.now += wait - 1;
                prop_assert_ne!(model.ask(cost), Fit::Now);
                model.now += 1;
                prop_assert_eq!(model.ask(cost), Fit::Now);
            }
        }
    }

    #[test]
    fn what_is_left_passes_and_no_more(rule in rule(), history in history()) {
        let mut model = Model::new(rule);
        for (step, cost) in history {
            model.now += step * rule.per.as_nanos() as u64 / 1000;
            model.ask(cost);
        }
        let now = model.moment();
        model.state.pass_time(&rule, &now);
        for _ in 0..model.state.left(&rule, &now).0 {
            prop_assert_eq!(model.ask(1), Fit::Now);
        }
        prop_assert_ne!(model.ask(1), Fit::Now);
        // Asked only now: what passed may have moved the step that goes first.
        if let (_, Some(more)) = model.state.left(&rule, &now) {
            let mut later = now;
            later.nanos += more.as_nanos() as u64;
            model.state.pass_time(&rule, &later);
            prop_assert!(model.state.left(&rule, &later).0 > 0);
        }
    }

    #[test]
    fn a_key_that_is_forgotten_is_like_new(rule in rule(), history in history()) {
        let mut model = Model::new(rule);
        for (step, cost) in history {
            model.now += step * rule.per.as_nanos() as u64 / 1000;
            model.ask(cost);
        }
        let now = model.moment();
        let forgotten_at = model.state.forgotten_at(&rule, &now).max(now.nanos);
        let then = Moment { nanos: forgotten_at, ..now };
        model.state.pass_time(&rule, &then);
        prop_assert_eq!(model.state.left(&rule, &then), State::new(&rule).left(&rule, &then));
    }
}

#[test]
fn under_steady_overload_the_limit_passes() {
    for algorithm in [Algorithm::TokenBucket, Algorithm::SlidingWindow] {
        for (limit, per) in [(1, 1), (7, 3), (64, 1), (65, 1), (100, 60), (1000, 1), (50_000, 1)] {
            let rule = Rule::new(algorithm, limit, Duration::from_secs(per), limit).unwrap();
            let mut model = Model::new(rule);
            // Where few may pass, who comes seldom misses the moment.
            let overload = if limit < 100 { 100 } else { 3 };
            let spacing = per * SECOND / (limit * overload) - 7;
            let windows = if limit < 100 { 200 } else { 20 };
            while model.now < windows * per * SECOND {
                model.ask(1);
                model.now += spacing;
            }
            // What a bucket begins with is not the rate.
            let first = if algorithm == Algorithm::TokenBucket { limit } else { 0 };
            let passed = model.passed.len() as u64 - first;
            let share = passed as f64 / (limit * windows) as f64;
            assert!((0.98..=1.0).contains(&share), "{algorithm:?} {limit} in {per} s: {share}");
        }
    }
}
