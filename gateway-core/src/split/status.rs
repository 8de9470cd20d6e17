//! [`SplitStatus`]: what a split does, for people and metrics.

use std::fmt;
use std::sync::Arc;

/// What a split does as of one moment. `Display` is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SplitStatus {
    /// Its entries in their order.
    pub entries: Vec<SplitEntryStatus>,
}

/// What is known about one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SplitEntryStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Its share beside the others.
    pub weight: u32,
    /// How many requests it took, each try of one counted.
    pub taken: u64,
}

impl fmt::Display for SplitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, entry) in self.entries.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{} weight {} took {}", entry.name, entry.weight, entry.taken)?;
        }
        Ok(())
    }
}
