//! The same endpoint for the same key.

use std::sync::Arc;

use super::ring::Ring;
use super::weighted::Weighted;
use super::{Balance, Candidate, Draws, Pick, PickContext};
use crate::upstream::Endpoint;
use crate::upstream::hash::{mix, scaled};

/// An endpoint with fewer requests than this in flight takes more, whatever the others have.
const NEVER_FULL_BELOW: usize = 8;

/// The average load is taken of this many endpoints, others each time.
const ASKED: usize = 32;

/// For another endpoint than the key's, this many points of the ring are looked at.
const MOST_STEPS: usize = 256;

/// How much more than the average an endpoint may carry.
const LOAD: f64 = 1.25;

/// The same endpoint for requests of the same [key](PickContext::hash), as long as it may be picked, in
/// every gateway that knows the same endpoints. When one goes, only its keys move; when one comes,
/// it takes its share from all others. Requests without a key are drawn by weight.
///
/// Endpoints stand on a ring, each at about a hundred points per weight, 65,536 points in all at
/// most: of more, each has half as many, a quarter and so on, and where the number of endpoints
/// crosses that line, keys of others move as well.
///
/// With a bounded [load](Self::load), a key moves on to the next endpoint of the ring while its own
/// has too much to do. Up to eight requests in flight are never too much. The average is that of 32
/// endpoints, others for each request: nearly that of all, at a price that does not grow.
#[derive(Debug)]
pub struct ConsistentHash {
    load: Option<f64>,
    draws: Arc<Draws>,
}

impl ConsistentHash {
    /// The default: a load of 1.25.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many times the average, in relation to its weight, an endpoint may carry; what is below
    /// 1 is taken for 1. `None`: as much as comes. Default: 1.25.
    #[must_use]
    pub fn load(mut self, factor: Option<f64>) -> Self {
        self.load = factor.map(|factor| factor.max(1.0));
        self
    }

    /// Draws for requests without a key from `seed` on: the same seed, the same draws.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.draws = Arc::new(Draws::with_seed(seed));
        self
    }
}

impl Default for ConsistentHash {
    fn default() -> Self {
        Self { load: Some(LOAD), draws: Arc::default() }
    }
}

impl Balance for ConsistentHash {
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick> {
        Box::new(OfKey {
            load: self.load,
            draws: Arc::clone(&self.draws),
            weighted: Weighted::new(&candidates),
            ring: Ring::new(&candidates),
            candidates,
        })
    }

    fn name(&self) -> &'static str {
        "consistent_hash"
    }
}

struct OfKey {
    load: Option<f64>,
    draws: Arc<Draws>,
    weighted: Weighted,
    ring: Ring,
    candidates: Arc<[Candidate]>,
}

impl Pick for OfKey {
    fn pick(&self, wanted: &PickContext<'_>) -> Option<&Arc<Endpoint>> {
        if let [only] = &*self.candidates {
            return Some(&only.endpoint);
        }
        let Some(hash) = wanted.hash else {
            let place = self.weighted.place(self.draws.draw());
            return self.candidates.get(place).map(|candidate| &candidate.endpoint);
        };
        // Mixed once more: the level was chosen by the upper bits.
        let point = self.ring.point(mix(hash));
        let own = self.candidates.get(self.ring.owner(point)?)?;
        if wanted.avoid.is_empty() && !self.may_be_full(own) {
            return Some(&own.endpoint);
        }
        Some(self.walk(wanted, point, own))
    }
}

impl OfKey {
    /// The first endpoint from `point` on that was not tried and is not full; else the first that
    /// was not tried; else the key's own.
    fn walk<'a>(
        &'a self,
        wanted: &PickContext<'_>,
        point: usize,
        own: &'a Candidate,
    ) -> &'a Arc<Endpoint> {
        let usual = self.load_per_weight();
        let mut untried = None;
        let mut last = None;
        for owner in self.ring.owners_from(point).take(MOST_STEPS) {
            if last.replace(owner) == Some(owner) {
                continue;
            }
            let Some(candidate) = self.candidates.get(owner) else {
                continue;
            };
            if wanted.avoids(&candidate.endpoint) {
                continue;
            }
            if !self.is_full(candidate, usual) {
                return &candidate.endpoint;
            }
            untried = untried.or(Some(candidate));
        }
        &untried.unwrap_or(own).endpoint
    }

    /// False when nobody needs to be asked how much the others have.
    fn may_be_full(&self, candidate: &Candidate) -> bool {
        self.load.is_some() && candidate.endpoint.in_flight() >= NEVER_FULL_BELOW
    }

    fn is_full(&self, candidate: &Candidate, usual: f64) -> bool {
        let Some(load) = self.load else {
            return false;
        };
        let most = (load * usual * f64::from(candidate.weight)).ceil();
        self.may_be_full(candidate) && candidate.endpoint.in_flight() as f64 >= most
    }

    /// Requests in flight for each unit of weight, with the one that is to be placed.
    fn load_per_weight(&self) -> f64 {
        let count = self.candidates.len();
        let start = match count {
            0..=ASKED => 0,
            more => scaled(self.draws.draw(), more as u64) as usize,
        };
        let (before, from) = self.candidates.split_at(start);
        let asked = from.iter().chain(before).take(ASKED);
        let (in_flight, weight) = asked.fold((1, 0), |(in_flight, weight), candidate| {
            let more = candidate.endpoint.in_flight();
            (in_flight + more, weight + u64::from(candidate.weight))
        });
        in_flight as f64 / weight.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::context::Attempt;
    use crate::upstream::balance::tests::{busy, candidates};
    use crate::upstream::hash::stable_hash;

    const KEYS: u64 = 20_000;

    fn key(number: u64) -> PickContext<'static> {
        PickContext::default().hash(Some(stable_hash(&number.to_le_bytes())))
    }

    fn owners(candidates: &[Candidate]) -> Vec<Arc<str>> {
        let pick = ConsistentHash::new().over(candidates.into());
        (0..KEYS).map(|number| Arc::clone(pick.pick(&key(number)).unwrap().name())).collect()
    }

    #[test]
    fn only_the_keys_of_the_one_that_goes_move() {
        for count in [2, 10, 100] {
            let all = candidates(&vec![100; count]);
            let gone = Arc::clone(all[count / 2].endpoint.name());
            let rest: Vec<_> =
                all.iter().filter(|one| *one.endpoint.name() != gone).cloned().collect();
            let (before, after) = (owners(&all), owners(&rest));
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
            assert!(moved.clone().all(|(before, _)| *before == gone));
            assert!(moved.count() > 0);
        }
    }

    #[test]
    fn the_order_of_the_endpoints_does_not_matter() {
        let mut all = candidates(&[100, 200, 300, 50]).to_vec();
        let before = owners(&all);
        all.reverse();
        assert_eq!(before, owners(&all));
    }

    #[test]
    fn keys_are_shared_by_weight() {
        for weights in [&[1_u32, 3][..], &[100, 300], &[20_000, 60_000]] {
            let all = candidates(weights);
            let mut counts: HashMap<_, u64> = HashMap::new();
            owners(&all).into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
            let heavy = counts[all[1].endpoint.name()];
            assert!((KEYS * 68 / 100..KEYS * 82 / 100).contains(&heavy), "{weights:?}: {heavy}");
        }
    }

    #[test]
    fn a_thousand_endpoints_all_have_keys() {
        let all = candidates(&vec![100; 1000]);
        let pick = ConsistentHash::new().over(Arc::clone(&all));
        let mut counts: HashMap<_, u32> = HashMap::new();
        for number in 0..100_000 {
            let name = Arc::clone(pick.pick(&key(number)).unwrap().name());
            *counts.entry(name).or_default() += 1;
        }
        assert_eq!(counts.len(), 1000);
        assert!(counts.values().all(|count| (40..200).contains(count)));
    }

    #[test]
    fn a_key_moves_on_while_its_endpoint_has_too_much() {
        let all = candidates(&[100; 4]);
        let pick = ConsistentHash::new().over(Arc::clone(&all));
        let own = Arc::clone(pick.pick(&key(1)).unwrap());
        let place = all.iter().position(|one| Arc::ptr_eq(&one.endpoint, &own)).unwrap();
        let mut loads = [10; 4];
        loads[place] = 12;
        let held = busy(&all, &loads);
        assert!(Arc::ptr_eq(pick.pick(&key(1)).unwrap(), &own), "within 1.25 of the average");
        drop(held);
        loads[place] = 16;
        let _held = busy(&all, &loads);
        let next = Arc::clone(pick.pick(&key(1)).unwrap());
        assert!(!Arc::ptr_eq(&next, &own));
        let without: Vec<_> =
            all.iter().filter(|one| !Arc::ptr_eq(&one.endpoint, &own)).cloned().collect();
        let heir = ConsistentHash::new().over(without.into());
        assert_eq!(heir.pick(&key(1)).unwrap().name(), next.name(), "as if it were gone");
        let unbounded = ConsistentHash::new().load(None).over(Arc::clone(&all));
        assert!(Arc::ptr_eq(unbounded.pick(&key(1)).unwrap(), &own));
    }

    #[test]
    fn no_endpoint_gets_more_than_its_bounded_load() {
        let all = candidates(&[100; 10]);
        let pick = ConsistentHash::new().over(Arc::clone(&all));
        let _held: Vec<_> =
            (0..500).map(|_| Arc::clone(pick.pick(&key(7)).unwrap()).enter()).collect();
        let most = all.iter().map(|one| one.endpoint.in_flight()).max().unwrap();
        assert!(most <= 63, "500 of one key over 10: {most}");
    }

    #[test]
    fn what_was_tried_is_passed_by_on_the_ring() {
        let all = candidates(&[100; 5]);
        let pick = ConsistentHash::new().over(Arc::clone(&all));
        let mut tried = Vec::new();
        for _ in 0..5 {
            let wanted = key(3);
            let picked = pick.pick(&wanted.avoid(&tried)).unwrap();
            assert!(tried.iter().all(|one: &Attempt| one.endpoint != *picked.name()));
            tried.push(Attempt::new("orders".into(), Arc::clone(picked.name())));
        }
        assert!(pick.pick(&key(3).avoid(&tried)).is_some());
    }

    #[test]
    fn requests_without_a_key_are_drawn() {
        let all = candidates(&[100, 300]);
        let counts =
            crate::upstream::balance::tests::counts(&ConsistentHash::new().seed(7), &all, 4000);
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
    }
}
