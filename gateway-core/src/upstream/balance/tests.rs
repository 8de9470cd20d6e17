//! What all balancers have in common.

use super::*;
use crate::upstream::PoolConfig;
use crate::upstream::endpoint::InFlight;

/// A candidate for each weight.
pub(super) fn candidates(weights: &[u32]) -> Arc<[Candidate]> {
    let address = |place| format!("http://10.0.{}.{}:80", place / 250, place % 250);
    weights
        .iter()
        .enumerate()
        .map(|(place, weight)| {
            let address = address(place).parse().unwrap();
            Candidate::new(Arc::new(Endpoint::new(address, PoolConfig::default())), *weight)
        })
        .collect()
}

/// Gives each candidate as many requests as `loads` says.
pub(super) fn busy(candidates: &[Candidate], loads: &[usize]) -> Vec<InFlight> {
    let loads = candidates.iter().zip(loads);
    loads.flat_map(|(one, load)| (0..*load).map(|_| Arc::clone(&one.endpoint).enter())).collect()
}

/// How often each candidate is picked.
pub(super) fn counts(balance: &dyn Balance, candidates: &Arc<[Candidate]>, picks: u32) -> Vec<u32> {
    let pick = balance.over(Arc::clone(candidates));
    let mut counts = vec![0; candidates.len()];
    for _ in 0..picks {
        let picked = pick.pick(&PickContext::default()).unwrap();
        let place = candidates.iter().position(|one| Arc::ptr_eq(&one.endpoint, picked)).unwrap();
        counts[place] += 1;
    }
    counts
}

fn weighted() -> Vec<Box<dyn Balance>> {
    vec![
        Box::new(WeightedRoundRobin::default()),
        Box::new(Random::with_seed(7)),
        Box::new(LeastRequests::with_seed(7)),
        Box::new(PowerOfTwo::with_seed(7)),
        Box::new(PeakEwma::with_seed(7)),
        Box::new(ConsistentHash::new().seed(7)),
    ]
}

#[test]
fn idle_endpoints_share_evenly() {
    for count in [2_usize, 4, 40] {
        let candidates = candidates(&vec![100; count]);
        for balance in weighted() {
            let counts = counts(&*balance, &candidates, 1000 * count as u32);
            let even = counts.iter().all(|count| (850..1150).contains(count));
            assert!(even, "{} of {count}: {counts:?}", balance.name());
        }
    }
}

#[test]
fn idle_endpoints_share_by_weight() {
    for (count, others) in [(4_u32, 2), (40, 38)] {
        let mut weights = vec![100; others];
        weights.extend([300, 50]);
        let candidates = candidates(&weights);
        for balance in weighted() {
            let picks = 10 * weights.iter().sum::<u32>();
            let counts = counts(&*balance, &candidates, picks);
            let (heavy, light) = (counts[others], counts[others + 1]);
            let name = balance.name();
            assert!((2700..3300).contains(&heavy), "{name} of {count}: {counts:?}");
            assert!((400..600).contains(&light), "{name} of {count}: {counts:?}");
        }
    }
}

#[test]
fn one_endpoint_is_always_picked() {
    let candidates = candidates(&[5]);
    for balance in weighted() {
        assert_eq!(counts(&*balance, &candidates, 3), [3]);
    }
}

#[test]
fn the_same_seed_draws_the_same() {
    let candidates = candidates(&[100, 300, 100, 50]);
    let sequence = |balance: &dyn Balance| -> Vec<_> {
        let pick = balance.over(Arc::clone(&candidates));
        (0..50).map(|_| Arc::clone(pick.pick(&PickContext::default()).unwrap().name())).collect()
    };
    for (one, other) in weighted().iter().zip(weighted()) {
        assert_eq!(sequence(&**one), sequence(&*other), "{}", one.name());
    }
    assert_ne!(sequence(&Random::with_seed(1)), sequence(&Random::with_seed(2)));
}

#[test]
fn requests_under_way_are_spread_by_weight() {
    let candidates = candidates(&[100, 300, 600]);
    for balance in [
        &LeastRequests::with_seed(7) as &dyn Balance,
        &PowerOfTwo::with_seed(7),
        &PeakEwma::with_seed(7),
    ] {
        let pick = balance.over(Arc::clone(&candidates));
        let _held: Vec<_> = (0..1000)
            .map(|_| Arc::clone(pick.pick(&PickContext::default()).unwrap()).enter())
            .collect();
        let loads: Vec<_> = candidates.iter().map(|one| one.endpoint.in_flight()).collect();
        let near = loads
            .iter()
            .zip([100_usize, 300, 600])
            .all(|(load, fair)| load.abs_diff(fair) <= fair / 10 + 5);
        assert!(near, "{}: {loads:?}", balance.name());
    }
}
