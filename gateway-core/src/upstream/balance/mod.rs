//! [`Balance`]: which endpoint takes a request.
//!
//! A balancer is a pure pick over a list that holds only endpoints that may be picked. It never
//! waits and never locks.

mod power_of_two;
mod round_robin;

use std::fmt;
use std::sync::Arc;

pub use self::power_of_two::PowerOfTwo;
pub use self::round_robin::RoundRobin;
use super::endpoint::Endpoint;

/// Picks one of the endpoints that may be picked.
pub trait Balance: Send + Sync + fmt::Debug + 'static {
    /// The endpoint that takes the next request; `None` only of an empty list.
    fn pick<'a>(&self, endpoints: &'a [Arc<Endpoint>]) -> Option<&'a Arc<Endpoint>>;
}
