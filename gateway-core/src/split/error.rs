//! [`SplitError`].

use super::MAX_ENTRIES;

/// Entries or weights of a split do not fit together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// There is nothing to split between.
    #[error("a split without entries, expected one at least")]
    NoEntry,
    /// There are too many entries.
    #[error("a split with {count} entries, expected {MAX_ENTRIES} at most")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// Two entries have one name, or one entry two weights.
    #[error("the entry `{name}` is there twice, expected once")]
    Twice {
        /// The name.
        name: String,
    },
    /// There is no entry of this name.
    #[error("the split has no entry `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// An entry was given no weight.
    #[error("the entry `{name}` is given no weight, expected one for each entry")]
    Missing {
        /// The name.
        name: String,
    },
}
