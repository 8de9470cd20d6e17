//! Each endpoint in its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Balance, Candidate, Pick, PickContext};
use crate::upstream::Endpoint;

/// Each endpoint in its turn, whatever its weight.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: Arc<AtomicUsize>,
}

impl Balance for RoundRobin {
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick> {
        Box::new(Turns { next: Arc::clone(&self.next), candidates })
    }

    fn name(&self) -> &'static str {
        "round_robin"
    }
}

struct Turns {
    next: Arc<AtomicUsize>,
    candidates: Arc<[Candidate]>,
}

impl Pick for Turns {
    fn pick(&self, _: &PickContext<'_>) -> Option<&Arc<Endpoint>> {
        let turn = match self.candidates.len() {
            0 => return None,
            1 => 0,
            several => self.next.fetch_add(1, Ordering::Relaxed) % several,
        };
        self.candidates.get(turn).map(|candidate| &candidate.endpoint)
    }
}
