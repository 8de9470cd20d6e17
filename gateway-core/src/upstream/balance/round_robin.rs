//! Each endpoint in its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Balance;
use crate::upstream::Endpoint;

/// Each endpoint in its turn.
#[derive(Debug, Default)]
pub struct RoundRobin {
    next: AtomicUsize,
}

impl Balance for RoundRobin {
    fn pick<'a>(&self, endpoints: &'a [Arc<Endpoint>]) -> Option<&'a Arc<Endpoint>> {
        match endpoints {
            [] => None,
            [only] => Some(only),
            several => {
                let turn = self.next.fetch_add(1, Ordering::Relaxed);
                several.get(turn % several.len())
            }
        }
    }
}
