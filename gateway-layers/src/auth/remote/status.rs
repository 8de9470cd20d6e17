//! [`RemoteStatus`]: how it goes with a server that knows tokens.

/// How it goes with a server that knows tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteStatus {
    /// Its address without its query, or the path at which a module is asked.
    pub server: String,
    /// Its last answer was of use. True before the first.
    pub well: bool,
    /// What was wrong with it.
    pub failure: Option<String>,
    /// Questions so far.
    pub asked: u64,
    /// Those without an answer of use.
    pub failed: u64,
    /// Known tokens that are kept.
    pub known: usize,
    /// Rejected tokens that are kept.
    pub rejected: usize,
}
