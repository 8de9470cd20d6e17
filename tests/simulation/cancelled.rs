//! Clients that give up at any moment leave nothing behind.

use std::time::Duration;

use gateway_layers::circuit_breaker::State;
use tokio::time::sleep;

use crate::clients::Clients;
use crate::network::{Behaviour, Network, Presence};
use crate::simulate;
use crate::stack::{Settings, Stack};

const SECOND: Duration = Duration::from_secs(1);

fn impatient(per_second: u32, seconds: u64, share: f64) -> Clients {
    let mut clients = Clients::new(per_second, seconds);
    clients.give_up = share;
    clients.give_up_within = Duration::from_millis(120);
    clients
}

/// Answers that take their time, with their bodies behind, and fail in every way.
fn upstreams() -> [Behaviour; 3] {
    let body = Duration::from_millis(20);
    let good = Behaviour { body, ..Behaviour::good(20) };
    let failing = Behaviour { unavailable: 0.2, resets: 0.2, ..good };
    [good, failing, Behaviour { body, ..Behaviour::good(80) }]
}

fn assert_idle(stack: &Stack, network: &Network) {
    let endpoints = stack.cluster.endpoints();
    let in_flight: Vec<_> = endpoints.iter().map(|endpoint| endpoint.in_flight()).collect();
    assert_eq!(in_flight, [0; 3], "requests");
    let limit = stack.limit.status();
    assert_eq!((limit.in_use, limit.queued), (0, 0), "permits");
    let connections: usize = endpoints.iter().map(|endpoint| endpoint.connections()).sum();
    assert_eq!(connections, network.connections(), "connections");
}

#[test]
fn requests_permits_and_connections_come_back() {
    for seed in 1..6 {
        simulate(async {
            let network = Network::new(seed, &upstreams());
            let mut settings = Settings { max_retries: 3, ..Settings::default() };
            settings.concurrency.limit = 10;
            settings.concurrency.queue = 10;
            settings.concurrency.queue_timeout = Duration::from_millis(30);
            settings.breaker.open = SECOND;
            settings.breaker.open_max = SECOND;
            let stack = Stack::new(&network, seed, &settings);
            let outage = async {
                for presence in [Presence::Rejects, Presence::Up, Presence::Resets, Presence::Up] {
                    sleep(5 * SECOND).await;
                    network.all(presence);
                }
            };
            let clients = impatient(300, 25, 0.5);
            let (tally, ()) = tokio::join!(biased; clients.run(&stack.module, seed), outage);
            let endings = tally.endings();
            for ending in ["200", "cancelled", "queue_timeout", "circuit_open", "connect_failed"] {
                assert!(endings.contains_key(ending), "{ending} in {endings:?}");
            }
            // What was closed is noticed on both sides.
            sleep(SECOND).await;
            assert_idle(&stack, &network);
        });
    }
}

#[test]
fn probes_that_are_given_up_make_room_for_others() {
    for seed in 1..6 {
        simulate(async {
            let network = Network::new(seed, &[Behaviour::good(300); 3]);
            let mut settings = Settings { attempt_timeout: None, ..Settings::default() };
            settings.breaker.open = SECOND;
            let stack = Stack::new(&network, seed, &settings);
            network.all(Presence::Resets);
            Clients::new(100, 1).run(&stack.module, seed).await;
            assert_eq!(stack.breaker.state(), State::Open);
            network.all(Presence::Up);
            sleep(2 * SECOND).await;
            // None of them waits for as long as an answer takes.
            let given_up = impatient(100, 2, 1.0).run(&stack.module, seed).await;
            assert!(given_up.endings().contains_key("cancelled"), "{:?}", given_up.endings());
            assert_eq!(stack.breaker.state(), State::HalfOpen);
            let patient = Clients::new(1, 3).run(&stack.module, seed).await;
            assert_eq!(patient.endings().get("200"), Some(&3), "{:?}", patient.endings());
            assert_eq!(stack.breaker.state(), State::Closed);
            sleep(SECOND).await;
            assert_idle(&stack, &network);
        });
    }
}
