//! [`Ring`]: places of endpoints on a circle of hashes.

use super::Candidate;
use crate::upstream::hash::{STEP, mix, stable_hash};

/// A ring has this many points at most, and one for each endpoint.
const MOST_POINTS: u64 = 65_536;

/// Endpoints have this many points on average at least, where there is room: with fewer, chance
/// makes shares too uneven.
const FEWEST_POINTS: u64 = 32;

/// How much is multiplied at once where weights are too small for that: in wide steps, because
/// with every step all keys are dealt anew.
const STEP_UP: u64 = 16;

/// Places of endpoints on a circle of hashes; whoever stands next after a hash owns it.
#[derive(Debug)]
pub(super) struct Ring {
    /// In their order,
    positions: Box<[u64]>,
    /// and for each position whose it is.
    owners: Box<[u32]>,
    /// For each value of the upper bits of a hash, the first point that it may belong to.
    starts: Box<[u32]>,
    /// How far a hash is shifted to leave those bits.
    shift: u32,
}

impl Ring {
    /// A ring of `candidates`. Where a candidate stands follows from its name alone.
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let scale = Scale::of(candidates);
        let mut points = Vec::new();
        for (place, candidate) in candidates.iter().enumerate() {
            let mut position = stable_hash(candidate.endpoint.name().as_bytes());
            for _ in 0..scale.points(candidate.weight) {
                position = position.wrapping_add(STEP);
                points.push((mix(position), place as u32));
            }
        }
        points.sort_unstable();
        let bits = points.len().max(2).next_power_of_two().trailing_zeros();
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity(1 << bits);
        let mut next = 0;
        for bucket in 0..1_u64 << bits {
            while points.get(next).is_some_and(|(position, _)| position >> shift < bucket) {
                next += 1;
            }
            starts.push(next as u32);
        }
        Self {
            positions: points.iter().map(|(position, _)| *position).collect(),
            owners: points.iter().map(|(_, owner)| *owner).collect(),
            starts: starts.into(),
            shift,
        }
    }

    /// The point that `hash` belongs to.
    pub(super) fn point(&self, hash: u64) -> usize {
        let start = self.starts.get((hash >> self.shift) as usize).copied().unwrap_or_default();
        let mut point = start as usize;
        while self.positions.get(point).is_some_and(|position| *position < hash) {
            point += 1;
        }
        if point < self.positions.len() { point } else { 0 }
    }

    /// Whose `point` is.
    pub(super) fn owner(&self, point: usize) -> Option<usize> {
        self.owners.get(point).map(|owner| *owner as usize)
    }

    /// The owners of all points from `point` on, once around.
    pub(super) fn owners_from(&self, point: usize) -> impl Iterator<Item = usize> {
        let (before, from) = self.owners.split_at(point.min(self.owners.len()));
        from.iter().chain(before).map(|owner| *owner as usize)
    }
}

/// How many points a weight is.
#[derive(Clone, Copy, Debug)]
struct Scale {
    times: u64,
    halved: u32,
}

impl Scale {
    /// As coarse as can be, so that it is the same after one candidate has gone or come.
    fn of(candidates: &[Candidate]) -> Self {
        let count = candidates.len() as u64;
        let mut scale = Self { times: 1, halved: 0 };
        let weights: u64 = candidates.iter().map(|candidate| u64::from(candidate.weight)).sum();
        while weights * scale.times < count * FEWEST_POINTS {
            scale.times *= STEP_UP;
        }
        let points = |scale: Self| -> u64 {
            candidates.iter().map(|candidate| scale.points(candidate.weight)).sum()
        };
        while points(scale) > MOST_POINTS.max(count) {
            scale.halved += 1;
        }
        scale
    }

    fn points(self, weight: u32) -> u64 {
        ((u64::from(weight) * self.times) >> self.halved).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::balance::tests::candidates;

    proptest! {
        #[test]
        fn a_hash_belongs_to_the_next_point(
            weights in prop::collection::vec(1_u32..300, 1..20),
            hashes in prop::collection::vec(any::<u64>(), 1..50),
        ) {
            let ring = Ring::new(&candidates(&weights));
            for hash in hashes.into_iter().chain([0, u64::MAX]) {
                let expected = ring.positions.partition_point(|position| *position < hash);
                let expected = if expected == ring.positions.len() { 0 } else { expected };
                prop_assert_eq!(ring.point(hash), expected);
            }
        }
    }

    #[test]
    fn a_ring_has_no_more_points_than_it_may() {
        for (count, weight) in [(1, 1), (10, 100), (1000, 100), (1000, 1_000_000), (3, 1_000_000)] {
            let ring = Ring::new(&candidates(&vec![weight; count]));
            assert!(ring.positions.len() <= MOST_POINTS as usize, "{}", ring.positions.len());
            assert!(ring.positions.len() >= count * FEWEST_POINTS as usize);
        }
    }
}
