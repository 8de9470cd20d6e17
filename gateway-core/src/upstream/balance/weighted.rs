//! [`Weighted`]: drawing in relation to weights, and comparing loads in relation to them.

use super::{Candidate, Draws};
use crate::upstream::hash::scaled;

/// Draws candidates in relation to their weights, at the same price for any number of them.
///
/// An alias table: every slot holds the same share and is split between two candidates at most.
/// Candidates of one weight need none.
#[derive(Debug)]
pub(super) struct Weighted {
    count: u64,
    slots: Option<Box<[Slot]>>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Numbers below it stay with the slot's own candidate,
    keep: u32,
    /// the others go to this one.
    other: u32,
}

impl Weighted {
    /// For `candidates` in their order.
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let even = candidates.windows(2).all(|pair| match pair {
            [one, other] => one.weight == other.weight,
            _ => true,
        });
        let slots = (!even).then(|| slots(candidates));
        Self { count: candidates.len() as u64, slots }
    }

    /// True when all weights are the same.
    pub(super) const fn is_even(&self) -> bool {
        self.slots.is_none()
    }

    /// The place that `drawn` comes to.
    pub(super) fn place(&self, drawn: u64) -> usize {
        let place = scaled(drawn, self.count) as usize;
        let Some(slots) = &self.slots else {
            return place;
        };
        match slots.get(place) {
            // The place was decided by the upper bits.
            Some(slot) if drawn as u32 >= slot.keep => slot.other as usize,
            _ => place,
        }
    }

    /// Two places that differ, the first in relation to the weights. There are two at least.
    pub(super) fn two(&self, draws: &Draws) -> (usize, usize) {
        let drawn = draws.draw();
        let first = self.place(drawn);
        let others = self.count.saturating_sub(1);
        let (drawn, second) = if self.is_even() {
            (drawn << 32, first)
        } else {
            let drawn = draws.draw();
            (drawn << 32, self.place(drawn))
        };
        if second != first {
            return (first, second);
        }
        let second = first as u64 + 1 + scaled(drawn, others);
        let second = if second < self.count { second } else { second - self.count };
        (first, second as usize)
    }
}

fn slots(candidates: &[Candidate]) -> Box<[Slot]> {
    let count = candidates.len() as u64;
    let total: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
    // In a unit in which `total` is what one slot holds.
    let mut left: Vec<u64> =
        candidates.iter().map(|candidate| u64::from(candidate.weight) * count).collect();
    let mut slots: Vec<Slot> =
        (0..candidates.len()).map(|own| Slot { keep: u32::MAX, other: own as u32 }).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..candidates.len()).partition(|place| left.get(*place).is_some_and(|it| *it < total));
    while let (Some(poor), Some(rich)) = (small.pop(), large.last().copied()) {
        let (Some(has), Some(slot)) = (left.get(poor).copied(), slots.get_mut(poor)) else {
            break;
        };
        *slot = Slot {
            keep: ((u128::from(has) << 32) / u128::from(total.max(1))) as u32,
            other: rich as u32,
        };
        let Some(rest) = left.get_mut(rich) else {
            break;
        };
        *rest = rest.saturating_sub(total - has);
        if *rest < total {
            large.pop();
            small.push(rich);
        }
    }
    slots.into()
}

/// How busy a candidate is at the moment of a pick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    in_flight: u64,
    weight: u64,
}

impl Load {
    pub(super) fn of(candidate: &Candidate) -> Self {
        let in_flight = candidate.endpoint.in_flight() as u64;
        Self { in_flight, weight: u64::from(candidate.weight) }
    }

    /// True when this is clearly less than `other`: as it is, and with one request more.
    ///
    /// Between equal weights both say the same. Between others, the first alone would send the
    /// second request to the lightest endpoint, and the second alone everything to the heaviest
    /// as long as nothing is under way.
    pub(super) fn is_less_than(self, other: Self) -> bool {
        self.in_flight * other.weight < other.in_flight * self.weight
            && (self.in_flight + 1) * other.weight < (other.in_flight + 1) * self.weight
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::balance::tests::candidates;

    proptest! {
        #[test]
        fn slots_hold_exactly_the_weights(weights in prop::collection::vec(1_u32..5000, 1..40)) {
            let candidates = candidates(&weights);
            let weighted = Weighted::new(&candidates);
            let mut shares = vec![0.0; weights.len()];
            let slot = 1.0 / weights.len() as f64;
            for place in 0..weights.len() {
                let (keep, other) = match &weighted.slots {
                    None => (1.0, place),
                    Some(slots) if slots[place].other as usize == place => (1.0, place),
                    Some(slots) => {
                        (f64::from(slots[place].keep) / 2_f64.powi(32), slots[place].other as usize)
                    }
                };
                shares[place] += slot * keep;
                shares[other] += slot * (1.0 - keep);
            }
            let total: u32 = weights.iter().sum();
            for (share, weight) in shares.iter().zip(&weights) {
                let expected = f64::from(*weight) / f64::from(total);
                prop_assert!((share - expected).abs() < 1e-6, "{share} for {expected}");
            }
        }

        #[test]
        fn two_places_differ(weights in prop::collection::vec(1_u32..100, 2..20), seed: u64) {
            let weighted = Weighted::new(&candidates(&weights));
            let draws = Draws::with_seed(seed);
            for _ in 0..50 {
                let (first, second) = weighted.two(&draws);
                prop_assert!(first != second && first < weights.len() && second < weights.len());
            }
        }
    }
}
