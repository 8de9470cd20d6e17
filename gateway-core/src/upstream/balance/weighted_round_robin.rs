//! Each endpoint in its turn, as often as its weight says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Balance, Candidate, Pick, PickContext};
use crate::upstream::Endpoint;
use crate::upstream::hash::STEP;

/// A schedule has no more turns than this, and one for each endpoint: weights that would need more
/// are rounded.
const MOST_TURNS: u64 = 16_384;

/// Each endpoint in its turn, as often as its weight says: the turns of one endpoint are spread
/// evenly between those of the others, so that 5:1 is no burst of five.
///
/// The order is worked out whenever the endpoints change; a pick is one step in it.
#[derive(Debug, Default)]
pub struct WeightedRoundRobin {
    next: Arc<AtomicUsize>,
}

impl Balance for WeightedRoundRobin {
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick> {
        let turns = turns(&candidates);
        Box::new(Schedule { next: Arc::clone(&self.next), turns, candidates })
    }

    fn name(&self) -> &'static str {
        "weighted_round_robin"
    }
}

struct Schedule {
    next: Arc<AtomicUsize>,
    /// Places of candidates.
    turns: Box<[u32]>,
    candidates: Arc<[Candidate]>,
}

impl Pick for Schedule {
    fn pick(&self, _: &PickContext<'_>) -> Option<&Arc<Endpoint>> {
        let place = match self.turns.len() {
            0 => return None,
            1 => 0,
            several => *self.turns.get(self.next.fetch_add(1, Ordering::Relaxed) % several)?,
        };
        self.candidates.get(place as usize).map(|candidate| &candidate.endpoint)
    }
}

/// Each turn stands at a moment between 0 and 1, those of one candidate at equal distances; the
/// first one of each at another moment, so that candidates of one weight do not come in a row.
fn turns(candidates: &[Candidate]) -> Box<[u32]> {
    let mut moments = Vec::new();
    for ((place, _), count) in candidates.iter().enumerate().zip(counts(candidates)) {
        let first = (place as u64).wrapping_mul(STEP) >> 32;
        moments.extend((0..count).map(|turn| (((turn << 32) + first) / count, place as u32)));
    }
    moments.sort_unstable();
    moments.into_iter().map(|(_, place)| place).collect()
}

/// How often each candidate has its turn: one at least.
fn counts(candidates: &[Candidate]) -> impl Iterator<Item = u64> {
    let weights = || candidates.iter().map(|candidate| u64::from(candidate.weight));
    let common = weights().fold(0, common_divisor).max(1);
    let total: u64 = weights().sum::<u64>() / common;
    weights().map(move |weight| {
        let exact = weight / common;
        if total <= MOST_TURNS { exact } else { (exact * MOST_TURNS / total).max(1) }
    })
}

fn common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { common_divisor(other, one % other) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::balance::tests::{candidates, counts};

    #[test]
    fn one_round_is_exactly_the_weights() {
        let candidates = candidates(&[100, 300, 500]);
        assert_eq!(counts(&WeightedRoundRobin::default(), &candidates, 9), [1, 3, 5]);
        assert_eq!(counts(&WeightedRoundRobin::default(), &candidates, 9000), [1000, 3000, 5000]);
    }

    #[test]
    fn a_heavy_endpoint_comes_in_no_burst() {
        let turns = turns(&candidates(&[500, 100, 100]));
        assert_eq!(turns.len(), 7);
        let twice: Vec<_> = turns.iter().chain(&*turns).collect();
        assert!(!twice.windows(5).any(|five| five.iter().all(|turn| **turn == 0)), "{turns:?}");
    }

    #[test]
    fn a_schedule_is_short_whatever_the_weights() {
        let weights: Vec<u32> = (0..1000).map(|place| 999_983 - place * 7).collect();
        let turns = turns(&candidates(&weights));
        assert!((15_000..17_500).contains(&turns.len()), "{}", turns.len());
    }

    proptest! {
        #[test]
        fn everybody_has_a_turn_and_none_is_late(
            weights in prop::collection::vec(1_u32..50, 1..20),
        ) {
            let turns = turns(&candidates(&weights));
            for place in 0..weights.len() {
                let at: Vec<_> =
                    (0..turns.len()).filter(|turn| turns[*turn] as usize == place).collect();
                prop_assert!(!at.is_empty());
                // Evenly spread: never more than every other's rounding away from its distance.
                let even = turns.len() as f64 / at.len() as f64;
                for pair in at.windows(2) {
                    let distance = (pair[1] - pair[0]) as f64;
                    prop_assert!(distance <= even + weights.len() as f64 + 1.0);
                }
            }
        }
    }
}
