//! Of two endpoints drawn at random, the one with fewer requests in flight.

use std::sync::Arc;

use super::weighted::{Load, Weighted};
use super::{Balance, Candidate, Draws, Pick, PickContext};
use crate::upstream::Endpoint;

/// Of two endpoints drawn at random, the one with fewer requests in flight: nearly as even as
/// asking all of them, at the price of two, and without the herd that follows a least-loaded one.
///
/// Where weights differ they count twice: an endpoint of twice the weight is drawn twice as often,
/// and carries twice as many requests before it is taken to be as busy. The one that was drawn
/// first keeps the request unless the other is clearly less loaded, so that shares hold also while
/// there is little to do.
#[derive(Debug, Default)]
pub struct PowerOfTwo {
    draws: Arc<Draws>,
}

impl PowerOfTwo {
    /// Draws from `seed` on: the same seed, the same draws.
    pub fn with_seed(seed: u64) -> Self {
        Self { draws: Arc::new(Draws::with_seed(seed)) }
    }
}

impl Balance for PowerOfTwo {
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick> {
        let weighted = Weighted::new(&candidates);
        Box::new(OfTwo { draws: Arc::clone(&self.draws), weighted, candidates })
    }

    fn name(&self) -> &'static str {
        "power_of_two"
    }
}

struct OfTwo {
    draws: Arc<Draws>,
    weighted: Weighted,
    candidates: Arc<[Candidate]>,
}

impl Pick for OfTwo {
    fn pick(&self, _: &PickContext<'_>) -> Option<&Arc<Endpoint>> {
        match &*self.candidates {
            [] => None,
            [only] => Some(&only.endpoint),
            several => {
                let (first, second) = self.weighted.two(&self.draws);
                let (first, second) = (several.get(first)?, several.get(second)?);
                Some(if self.prefers(second, first) { &second.endpoint } else { &first.endpoint })
            }
        }
    }
}

impl OfTwo {
    fn prefers(&self, one: &Candidate, other: &Candidate) -> bool {
        if self.weighted.is_even() {
            one.endpoint.in_flight() < other.endpoint.in_flight()
        } else {
            Load::of(one).is_less_than(Load::of(other))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::balance::tests::{busy, candidates, counts};

    #[test]
    fn the_busiest_is_never_picked() {
        let candidates = candidates(&[1, 1, 1]);
        let _busy = busy(&candidates, &[0, 5, 0]);
        assert_eq!(counts(&PowerOfTwo::with_seed(7), &candidates, 1000)[1], 0);
    }

    #[test]
    fn a_heavy_endpoint_carries_more_before_it_is_busy() {
        let candidates = candidates(&[100, 300]);
        let held = busy(&candidates, &[2, 5]);
        assert_eq!(counts(&PowerOfTwo::with_seed(7), &candidates, 100), [0, 100]);
        drop(held);
        let _held = busy(&candidates, &[1, 7]);
        assert_eq!(counts(&PowerOfTwo::with_seed(7), &candidates, 100), [100, 0]);
    }
}
