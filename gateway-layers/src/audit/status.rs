//! [`SinkStatus`]: how a sink keeps up.

use std::fmt;

/// How a sink keeps up. Every event that is `taken` is `sent`, `failed` or still `queued`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStatus {
    /// What the sink is called; no secrets.
    pub name: String,
    /// Events that wait, those under way among them.
    pub queued: usize,
    /// Their bytes in memory, about.
    pub queued_bytes: usize,
    /// Events that came into the queue.
    pub taken: u64,
    /// Events that found the queue full.
    pub dropped: u64,
    /// Events that the sink took.
    pub sent: u64,
    /// Events that the sink did not take however often it was tried, or rejected.
    pub failed: u64,
    /// Why the latest delivery failed; `None`: it did not.
    pub failure: Option<String>,
}

impl fmt::Display for SinkStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, queued, taken, dropped, sent, failed, .. } = self;
        write!(f, "{name}: taken {taken}, sent {sent}, queued {queued}, dropped {dropped}, ")?;
        write!(f, "failed {failed}")?;
        match &self.failure {
            Some(failure) => write!(f, " ({failure})"),
            None => Ok(()),
        }
    }
}
