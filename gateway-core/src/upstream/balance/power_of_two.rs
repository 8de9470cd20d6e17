//! Of two endpoints drawn at random, the one with fewer requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Balance, Candidate, Pick, Wanted};
use crate::upstream::Endpoint;

/// Of two endpoints drawn at random, the one with fewer requests in flight: nearly as even as
/// asking all of them, at the price of two, and without the herd that follows a least-loaded one.
#[derive(Debug)]
pub struct PowerOfTwo {
    draws: Arc<Draws>,
}

impl PowerOfTwo {
    /// Draws from `seed` on: the same seed, the same draws.
    pub fn with_seed(seed: u64) -> Self {
        Self { draws: Arc::new(Draws { state: AtomicU64::new(seed) }) }
    }
}

/// Random numbers for any number of threads.
#[derive(Debug)]
struct Draws {
    state: AtomicU64,
}

impl Draws {
    /// Weyl sequence with a strong mixer (SplitMix64): one atomic add, good enough for drawing.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut mixed = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Default for PowerOfTwo {
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self::with_seed(RandomState::new().hash_one(0))
    }
}

impl Balance for PowerOfTwo {
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick> {
        Box::new(OfTwo { draws: Arc::clone(&self.draws), candidates })
    }

    fn name(&self) -> &'static str {
        "power_of_two"
    }
}

struct OfTwo {
    draws: Arc<Draws>,
    candidates: Arc<[Candidate]>,
}

impl Pick for OfTwo {
    fn pick(&self, _: &Wanted<'_>) -> Option<&Arc<Endpoint>> {
        match &*self.candidates {
            [] => None,
            [only] => Some(&only.endpoint),
            several => {
                let drawn = self.draws.draw();
                let count = several.len() as u64;
                let first = (drawn >> 32) % count;
                // One of the others, so that the two differ.
                let second = (first + 1 + (drawn & 0xFFFF_FFFF) % (count - 1)) % count;
                let first = &several.get(usize::try_from(first).ok()?)?.endpoint;
                let second = &several.get(usize::try_from(second).ok()?)?.endpoint;
                Some(if second.in_flight() < first.in_flight() { second } else { first })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::PoolSettings;

    fn candidates(count: usize) -> Arc<[Candidate]> {
        (0..count)
            .map(|index| format!("http://127.0.0.1:{}", 9000 + index).parse().unwrap())
            .map(|address| Arc::new(Endpoint::new(address, PoolSettings::default())))
            .map(|endpoint| Candidate::new(endpoint, 1))
            .collect()
    }

    #[test]
    fn the_busiest_is_never_picked() {
        let candidates = candidates(3);
        let busy = &candidates[1].endpoint;
        let _busy: Vec<_> = (0..5).map(|_| Arc::clone(busy).enter()).collect();
        let pick = PowerOfTwo::with_seed(7).over(Arc::clone(&candidates));
        for _ in 0..1000 {
            assert_ne!(pick.pick(&Wanted::default()).unwrap().name(), busy.name());
        }
    }

    #[test]
    fn idle_endpoints_share_evenly() {
        let candidates = candidates(4);
        let pick = PowerOfTwo::with_seed(7).over(Arc::clone(&candidates));
        let mut counts = [0_u32; 4];
        for _ in 0..4000 {
            let picked = pick.pick(&Wanted::default()).unwrap();
            let at = candidates.iter().position(|one| Arc::ptr_eq(&one.endpoint, picked)).unwrap();
            counts[at] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
