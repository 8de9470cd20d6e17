//! [`Draws`]: chance, from a seed.

use std::time::Duration;

/// Random numbers that are the same for the same seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    state: u64,
}

impl Draws {
    /// Draws from `seed` on; `purpose` keeps those apart that begin with one seed.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        let mut draws = Self { state: seed };
        let state = draws.next() ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Self { state }
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// Any part of `most`.
    pub(crate) fn part_of(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.fraction())
    }

    /// Around `mean`: half of it for certain, the rest exponential, as service times are.
    pub(crate) fn around(&mut self, mean: Duration) -> Duration {
        let rest = -(1.0 - self.fraction()).ln();
        mean.mul_f64(0.5 + 0.5 * rest)
    }
}
