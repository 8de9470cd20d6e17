//! [`Balance`]: which endpoint takes a request.
//!
//! A balancer makes a [`Pick`] over candidates that never change: whenever one comes, goes, fails
//! or recovers, a new pick is made over those that may be picked then. A pick never waits and
//! never locks.
//!
//! | balancer | picks | looks at |
//! | --- | --- | --- |
//! | [`RoundRobin`] | each in its turn | nothing |
//! | [`WeightedRoundRobin`] | each in its turn, as often as its weight says | weights |
//! | [`Random`] | any | weights |
//! | [`LeastRequests`] | the least busy | weights, requests in flight |
//! | [`PowerOfTwo`] | the less busy of two | weights, requests in flight |
//! | [`PeakEwma`] | the sooner one of two | weights, requests in flight, delays |
//! | [`ConsistentHash`] | the same for the same key | weights, the key, requests in flight |

mod consistent_hash;
mod draws;
mod least_requests;
mod peak_ewma;
mod power_of_two;
mod random;
mod ring;
mod round_robin;
mod weighted;
mod weighted_round_robin;

use std::fmt;
use std::sync::Arc;

pub use self::consistent_hash::ConsistentHash;
pub(crate) use self::draws::Draws;
pub use self::least_requests::LeastRequests;
pub use self::peak_ewma::PeakEwma;
pub use self::power_of_two::PowerOfTwo;
pub use self::random::Random;
pub use self::round_robin::RoundRobin;
pub use self::weighted_round_robin::WeightedRoundRobin;
use super::endpoint::Endpoint;
use crate::context::Attempt;

/// How the endpoint for a request is chosen.
///
/// What is to outlast a change of the candidates (a counter, a seed) belongs into the balancer
/// and is shared with its picks.
pub trait Balance: Send + Sync + fmt::Debug + 'static {
    /// A pick over `candidates`: at least one, none with the weight 0.
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick>;

    /// True when picks look at [`Endpoint::latency`], which is measured only then.
    fn looks_at_latency(&self) -> bool {
        false
    }

    /// What documents call it.
    fn name(&self) -> &'static str;
}

/// Picks one of the candidates that it was made over.
pub trait Pick: Send + Sync + 'static {
    /// The endpoint that takes the request; `None` when none of them may.
    fn pick(&self, wanted: &PickContext<'_>) -> Option<&Arc<Endpoint>>;
}

/// An endpoint that may be picked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Candidate {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its share beside the others: only the relation to theirs matters. Never 0. An endpoint
    /// that has just come or recovered may have less than its configured share for a while.
    pub weight: u32,
}

impl Candidate {
    /// `endpoint` with `weight`; 0 is taken for 1.
    pub fn new(endpoint: Arc<Endpoint>, weight: u32) -> Self {
        Self { endpoint, weight: weight.max(1) }
    }
}

/// What is known of a request when an endpoint is picked for it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PickContext<'a> {
    /// A hash of what the request is to be kept together by; `None`: nothing.
    pub hash: Option<u64>,
    /// What was tried for this request already: any other endpoint is better.
    pub avoid: &'a [Attempt],
}

impl<'a> PickContext<'a> {
    /// Requests with the same `hash` belong together.
    #[must_use]
    pub fn hash(mut self, hash: Option<u64>) -> Self {
        self.hash = hash;
        self
    }

    /// This was tried already.
    #[must_use]
    pub fn avoid(mut self, tried: &'a [Attempt]) -> Self {
        self.avoid = tried;
        self
    }

    /// True when `endpoint` was tried for this request already.
    pub fn avoids(&self, endpoint: &Endpoint) -> bool {
        self.avoid.iter().any(|tried| *tried.endpoint == **endpoint.name())
    }
}

#[cfg(test)]
mod tests;
