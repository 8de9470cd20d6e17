//! Any endpoint, in relation to the weights.

use std::sync::Arc;

use super::weighted::Weighted;
use super::{Balance, Candidate, Draws, Pick, PickContext};
use crate::upstream::Endpoint;

/// Any endpoint, in relation to the weights, however busy it is.
#[derive(Debug, Default)]
pub struct Random {
    draws: Arc<Draws>,
}

impl Random {
    /// Draws from `seed` on: the same seed, the same draws.
    pub fn with_seed(seed: u64) -> Self {
        Self { draws: Arc::new(Draws::with_seed(seed)) }
    }
}

impl Balance for Random {
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick> {
        let weighted = Weighted::new(&candidates);
        Box::new(OfAll { draws: Arc::clone(&self.draws), weighted, candidates })
    }

    fn name(&self) -> &'static str {
        "random"
    }
}

struct OfAll {
    draws: Arc<Draws>,
    weighted: Weighted,
    candidates: Arc<[Candidate]>,
}

impl Pick for OfAll {
    fn pick(&self, _: &PickContext<'_>) -> Option<&Arc<Endpoint>> {
        let place = match &*self.candidates {
            [_] => 0,
            _ => self.weighted.place(self.draws.draw()),
        };
        self.candidates.get(place).map(|candidate| &candidate.endpoint)
    }
}
