//! A run can be repeated.

use std::time::Duration;

use crate::clients::Clients;
use crate::network::{Behaviour, Network, Seen};
use crate::simulate;
use crate::stack::{Settings, Stack};
use crate::tally::Tally;

/// A run with some of everything that chance decides.
fn run(seed: u64) -> (Tally, Vec<Seen>) {
    simulate(async {
        let failing = Behaviour { unavailable: 0.3, resets: 0.2, ..Behaviour::good(5) };
        let slow = Behaviour { body: Duration::from_millis(40), ..Behaviour::good(100) };
        let network = Network::new(seed, &[Behaviour::good(5), failing, slow]);
        let mut settings = Settings::default();
        settings.concurrency.limit = 3;
        settings.concurrency.queue = 1;
        let stack = Stack::new(&network, seed, &settings);
        let mut clients = Clients::new(200, 20);
        clients.give_up = 0.2;
        clients.give_up_within = Duration::from_millis(200);
        let tally = clients.run(&stack.module, seed).await;
        (tally, network.seen())
    })
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (tally, seen) = run(7);
    let endings = tally.endings();
    for ending in ["200", "cancelled", "concurrency_limit"] {
        assert!(endings.contains_key(ending), "{ending} in {endings:?}");
    }
    let (again, seen_again) = run(7);
    assert_eq!(endings, again.endings());
    assert!(tally == again, "not only their sums");
    assert!(seen == seen_again, "also for the upstreams");
}

#[test]
fn another_seed_gives_another_run() {
    let ((one, _), (other, _)) = (run(7), run(8));
    assert_ne!(one.endings(), other.endings());
}
