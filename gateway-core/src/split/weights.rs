//! [`Weights`]: shares of the entries as ranges of numbers.

use crate::upstream::hash::{mix, scaled};

/// Shares of the entries: one range of all numbers for each, in the order of the entries, so that a
/// change moves the ends of ranges only and with them as few keys as it can.
#[derive(Debug)]
pub(super) struct Weights {
    /// Where the range of each entry ends.
    ends: Box<[u64]>,
}

impl Weights {
    pub(super) fn new(weights: Vec<u32>) -> Self {
        let ends = weights.into_iter().scan(0, |end, weight| {
            *end += u64::from(weight);
            Some(*end)
        });
        Self { ends: ends.collect() }
    }

    /// The entry in whose range `number` is; `None` when nobody has one.
    pub(super) fn place(&self, number: u64) -> Option<usize> {
        let at = scaled(number, *self.ends.last()?);
        self.ends.iter().position(|end| at < *end)
    }

    /// The weights in the order of the entries.
    pub(super) fn each(&self) -> impl Iterator<Item = u32> {
        let before = std::iter::once(&0).chain(&self.ends);
        self.ends.iter().zip(before).map(|(end, before)| (end - before) as u32)
    }
}

/// The number of a key: not its hash as it is, by which clusters share out endpoints.
pub(super) fn scattered(hash: u64) -> u64 {
    mix(!hash)
}
