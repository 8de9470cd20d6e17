//! One of three upstreams fails half of its requests, another one is slow: clients notice nothing,
//! and the upstreams get little more than they would.

use crate::clients::Clients;
use crate::network::{Behaviour, Network};
use crate::simulate;
use crate::stack::{Settings, Stack};
use crate::tally::Tally;

const SEEDS: std::ops::Range<u64> = 1..6;

/// How one run went: the clients' side of it, and attempts for each request.
fn run(seed: u64, failing: Behaviour) -> (Tally, f64) {
    simulate(async {
        let network = Network::new(seed, &[Behaviour::good(5), failing, Behaviour::good(100)]);
        let stack = Stack::new(&network, seed, &Settings::default());
        let tally = Clients::new(100, 60).run(&stack.module, seed).await;
        let amplification = network.attempts().len() as f64 / tally.all.len() as f64;
        (tally, amplification)
    })
}

fn is_hidden_from_clients(failing: Behaviour) {
    for seed in SEEDS {
        let (tally, amplification) = run(seed, failing);
        let rate = tally.success_rate();
        assert!(rate >= 0.999, "seed {seed}: {rate}, {:?}", tally.endings());
        assert!(amplification <= 1.25, "seed {seed}: {amplification}");
    }
}

#[test]
fn an_upstream_that_answers_503_half_of_the_time_is_hidden_from_clients() {
    is_hidden_from_clients(Behaviour { unavailable: 0.5, ..Behaviour::good(5) });
}

#[test]
fn an_upstream_that_resets_half_of_its_connections_is_hidden_from_clients() {
    is_hidden_from_clients(Behaviour { resets: 0.5, ..Behaviour::good(5) });
}
