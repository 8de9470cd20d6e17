//! [`Draws`]: random numbers for any number of threads.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::upstream::hash::{STEP, mix};

/// Random numbers for any number of threads: good enough for drawing, not for secrets.
#[derive(Debug)]
pub(crate) struct Draws {
    state: AtomicU64,
}

impl Draws {
    /// Draws from `seed` on: the same seed, the same draws.
    pub(crate) const fn with_seed(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// The next number: one atomic addition and a mixer (`SplitMix64`).
    pub(crate) fn draw(&self) -> u64 {
        mix(self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }
}

impl Default for Draws {
    /// Draws from anywhere on.
    fn default() -> Self {
        Self::with_seed(RandomState::new().hash_one(0))
    }
}
