//! Of two endpoints drawn at random, the one with fewer requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Balance;
use crate::upstream::Endpoint;

/// Of two endpoints drawn at random, the one with fewer requests in flight: nearly as even as
/// asking all of them, at the price of two, and without the herd that follows a least-loaded one.
#[derive(Debug)]
pub struct PowerOfTwo {
    state: AtomicU64,
}

impl PowerOfTwo {
    /// Draws from `seed` on: the same seed, the same draws.
    pub fn with_seed(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

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
    fn pick<'a>(&self, endpoints: &'a [Arc<Endpoint>]) -> Option<&'a Arc<Endpoint>> {
        match endpoints {
            [] => None,
            [only] => Some(only),
            several => {
                let drawn = self.draw();
                let count = several.len() as u64;
                let first = (drawn >> 32) % count;
                // One of the others, so that the two differ.
                let second = (first + 1 + (drawn & 0xFFFF_FFFF) % (count - 1)) % count;
                let first = several.get(usize::try_from(first).ok()?)?;
                let second = several.get(usize::try_from(second).ok()?)?;
                Some(if second.in_flight() < first.in_flight() { second } else { first })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::PoolSettings;

    fn endpoints(count: usize) -> Vec<Arc<Endpoint>> {
        (0..count)
            .map(|index| format!("http://127.0.0.1:{}", 9000 + index).parse().unwrap())
            .map(|address| Arc::new(Endpoint::new(address, PoolSettings::default())))
            .collect()
    }

    #[test]
    fn the_busiest_is_never_picked() {
        let endpoints = endpoints(3);
        let _busy: Vec<_> = (0..5).map(|_| endpoints[1].enter()).collect();
        let balance = PowerOfTwo::with_seed(7);
        for _ in 0..1000 {
            assert_ne!(balance.pick(&endpoints).unwrap().name(), endpoints[1].name());
        }
    }

    #[test]
    fn idle_endpoints_share_evenly() {
        let endpoints = endpoints(4);
        let balance = PowerOfTwo::with_seed(7);
        let mut counts = [0_u32; 4];
        for _ in 0..4000 {
            let picked = balance.pick(&endpoints).unwrap();
            let at = endpoints.iter().position(|one| Arc::ptr_eq(one, picked)).unwrap();
            counts[at] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert!(balance.pick(&[]).is_none());
    }
}
