//! The endpoint with the fewest requests in flight.

use std::sync::Arc;

use super::weighted::{Load, Weighted};
use super::{Balance, Candidate, Draws, Pick, PickContext};
use crate::upstream::Endpoint;
use crate::upstream::hash::{STEP, mix};

/// Up to this many endpoints, all of them are looked at.
const MOST_LOOKED_AT: usize = 16;

/// Of more endpoints, this many are drawn.
const DRAWN: u64 = 4;

/// The endpoint with the fewest requests in flight, in relation to its weight. Up to 16 endpoints
/// are all looked at; of more, the best of four that are drawn, because looking at a thousand
/// counters for each request costs more than the difference is worth.
///
/// The search begins at an endpoint that is drawn in relation to the weights, and leaves it for a
/// clearly less loaded one only: those that have nothing to do share by weight.
#[derive(Debug, Default)]
pub struct LeastRequests {
    draws: Arc<Draws>,
}

impl LeastRequests {
    /// Draws from `seed` on: the same seed, the same draws.
    pub fn with_seed(seed: u64) -> Self {
        Self { draws: Arc::new(Draws::with_seed(seed)) }
    }
}

impl Balance for LeastRequests {
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick> {
        let weighted = Weighted::new(&candidates);
        Box::new(Least { draws: Arc::clone(&self.draws), weighted, candidates })
    }

    fn name(&self) -> &'static str {
        "least_requests"
    }
}

struct Least {
    draws: Arc<Draws>,
    weighted: Weighted,
    candidates: Arc<[Candidate]>,
}

impl Pick for Least {
    fn pick(&self, _: &PickContext<'_>) -> Option<&Arc<Endpoint>> {
        let count = self.candidates.len();
        if count < 2 {
            return self.candidates.first().map(|only| &only.endpoint);
        }
        let drawn = self.draws.draw();
        let first = self.weighted.place(drawn);
        let mut best = Best::new(self.candidates.get(first)?);
        if count <= MOST_LOOKED_AT {
            let (before, rest) = self.candidates.split_at(first);
            rest.iter().for_each(|next| best.or(next));
            before.iter().for_each(|next| best.or(next));
        } else {
            for turn in 1..DRAWN {
                let drawn = mix(drawn.wrapping_add(turn.wrapping_mul(STEP)));
                best.or(self.candidates.get(self.weighted.place(drawn))?);
            }
        }
        Some(&best.candidate.endpoint)
    }
}

/// The least loaded so far.
struct Best<'a> {
    candidate: &'a Candidate,
    load: Load,
}

impl<'a> Best<'a> {
    fn new(candidate: &'a Candidate) -> Self {
        Self { candidate, load: Load::of(candidate) }
    }

    fn or(&mut self, next: &'a Candidate) {
        let load = Load::of(next);
        if load.is_less_than(self.load) {
            *self = Self { candidate: next, load };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::balance::tests::{busy, candidates, counts};

    #[test]
    fn of_a_few_the_least_busy_is_always_found() {
        let candidates = candidates(&[1; 8]);
        let _busy = busy(&candidates, &[3, 2, 4, 1, 2, 9, 2, 2]);
        assert_eq!(counts(&LeastRequests::with_seed(7), &candidates, 100)[3], 100);
    }

    #[test]
    fn of_many_the_busy_half_is_rarely_picked() {
        let candidates = candidates(&[1; 100]);
        let loads: Vec<_> = (0..100).map(|place| if place < 50 { 5 } else { 0 }).collect();
        let _busy = busy(&candidates, &loads);
        let counts = counts(&LeastRequests::with_seed(7), &candidates, 10_000);
        let of_busy: u32 = counts[..50].iter().sum();
        assert!((450..800).contains(&of_busy), "1 in 16 is expected: {of_busy}");
    }

    #[test]
    fn load_is_in_relation_to_the_weight() {
        let candidates = candidates(&[100, 400]);
        let _busy = busy(&candidates, &[2, 6]);
        assert_eq!(counts(&LeastRequests::with_seed(7), &candidates, 100), [0, 100]);
    }
}
