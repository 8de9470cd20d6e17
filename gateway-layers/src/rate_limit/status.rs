//! How limits stand: for their operators, and for one request.

use std::sync::Arc;

use super::rule::{Level, Rule};
use super::store::StoreStatus;

/// Limits at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RateLimitStatus {
    /// Their name.
    pub name: String,
    /// Where they are counted.
    pub store: &'static str,
    /// How that is.
    pub store_status: StoreStatus,
    /// Requests that passed.
    pub admitted: u64,
    /// Requests that were over a limit.
    pub rejected: u64,
    /// Requests that were rejected because they could not be counted.
    pub failed: u64,
    /// Each limit.
    pub limits: Vec<LimitStatus>,
}

/// One limit at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Requests that were over it.
    pub over: u64,
    /// They passed all the same.
    pub shadow: bool,
}

/// What would become of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outlook {
    /// It would pass.
    pub admitted: bool,
    /// What is left of each limit; empty when nobody counts, because the store is away.
    pub limits: Vec<LimitOutlook>,
}

/// What is left of a limit for somebody.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimitOutlook {
    /// The limit's name.
    pub name: Arc<str>,
    /// The numbers that hold for him.
    pub rule: Rule,
    /// What is left.
    pub level: Level,
    /// It rejects nobody.
    pub shadow: bool,
}
