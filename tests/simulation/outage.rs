//! All upstreams are gone for a while: nobody storms them, and clients are well again soon after
//! they are back.

use std::time::Duration;

use gateway_core::upstream::health::HealthCheck;
use tokio::time::sleep;

use crate::clients::Clients;
use crate::network::{Behaviour, Network, Presence, Seen};
use crate::simulate;
use crate::stack::{Settings, Stack};
use crate::tally::{Tally, peak};

/// When the upstreams go, and when they are back.
const GONE: Duration = Duration::from_secs(20);
const BACK: Duration = Duration::from_secs(50);

const PER_SECOND: u32 = 100;
const SECOND: Duration = Duration::from_secs(1);

/// What is granted may be sent a backoff later, among what came meanwhile.
const LATE: usize = 4;

/// Beside the requests, ejected endpoints get connection probes, with pauses that grow from 100 ms
/// to 3 s: so many in ten seconds, all three together.
const PROBES: usize = 30;

struct Run {
    tally: Tally,
    /// When upstreams were asked.
    attempts: Vec<Duration>,
    seen: Vec<Seen>,
}

impl Run {
    /// The first of those moments after the upstreams were back.
    fn first(&self, moments: impl Fn(&Seen) -> &[Duration]) -> Duration {
        let all = self.seen.iter().flat_map(|seen| moments(seen).to_vec());
        all.filter(|at| *at >= BACK).min().expect("they are back")
    }

    /// Nobody who came at `from` or later was told anything but a good answer.
    fn is_well_from(&self, from: Duration) {
        let bad = self.tally.bad_since(from);
        assert!(bad.is_empty(), "well from {from:?}? {:?}", bad.last());
    }
}

fn run(seed: u64, presence: Presence, settings: &Settings) -> Run {
    simulate(async {
        let network = Network::new(seed, &[Behaviour::good(5); 3]);
        let stack = Stack::new(&network, seed, settings);
        let clients = Clients::new(PER_SECOND, 75);
        let outage = async {
            sleep(GONE).await;
            network.all(presence);
            sleep(BACK - GONE).await;
            network.all(Presence::Up);
        };
        let (tally, ()) = tokio::join!(biased; clients.run(&stack.module, seed), outage);
        // Who was there all the time saw that they were gone.
        assert!(tally.bad_since(GONE).len() > 1_000, "{:?}", tally.endings());
        Run { tally, attempts: network.attempts(), seen: network.seen() }
    })
}

fn runs(settings: &Settings) -> impl Iterator<Item = Run> {
    let presences = [Presence::Rejects, Presence::Resets].into_iter();
    presences.flat_map(move |presence| (1..3).map(move |seed| run(seed, presence, settings)))
}

#[test]
fn clients_are_well_within_two_seconds_of_the_first_answer() {
    for run in runs(&Settings::default()) {
        run.is_well_from(run.first(|seen| &seen.answered) + 2 * SECOND);
    }
}

#[test]
fn clients_are_well_within_two_seconds_where_the_breaker_asks_every_second() {
    let mut settings = Settings::default();
    settings.breaker.open = SECOND;
    settings.breaker.open_max = SECOND;
    for run in runs(&settings) {
        run.is_well_from(BACK + 2 * SECOND);
    }
}

#[test]
fn clients_are_well_within_two_seconds_of_the_first_good_probe() {
    let mut settings = Settings::default();
    settings.breaker.open = SECOND;
    settings.breaker.open_max = SECOND;
    settings.health_check = Some(HealthCheck::default().interval(SECOND));
    for run in runs(&settings) {
        let probed = run.first(|seen| &seen.probed);
        assert!(probed <= BACK + 2 * SECOND, "{probed:?}");
        run.is_well_from(probed + 2 * SECOND);
    }
}

/// What a budget of ten seconds promises; within these its reserve may be used at once.
#[test]
fn upstreams_get_at_most_three_tenths_more_in_any_ten_seconds() {
    for run in runs(&Settings::default()) {
        let most = PER_SECOND as usize * 13 + LATE + PROBES;
        let peak = peak(&run.attempts, 10 * SECOND);
        assert!(peak <= most, "{peak}");
    }
}

#[test]
fn upstreams_get_at_most_three_tenths_more_in_any_second_where_the_budget_is_of_one() {
    let mut settings = Settings::default();
    settings.budget.window = SECOND;
    for run in runs(&settings) {
        let most = PER_SECOND as usize * 13 / 10 + LATE + PROBES / 10;
        let peak = peak(&run.attempts, SECOND);
        assert!(peak <= most, "{peak}");
        assert!(peak > PER_SECOND as usize * 12 / 10, "the budget is used: {peak}");
    }
}

#[test]
fn upstreams_get_hardly_more_where_the_breaker_counts_failures_in_a_row() {
    let mut settings = Settings::default();
    settings.breaker.consecutive_failures = Some(10);
    for run in runs(&settings) {
        let most = PER_SECOND as usize * 11 / 10 + LATE;
        let peak = peak(&run.attempts, SECOND);
        assert!(peak <= most, "{peak}");
    }
}
