//! Of two endpoints drawn at random, the one that is likely to answer sooner.

use std::sync::Arc;

use tokio::time::Instant;

use super::weighted::Weighted;
use super::{Balance, Candidate, Draws, Pick, PickContext};
use crate::upstream::Endpoint;
use crate::upstream::latency::{Latency, nanoseconds};

/// An endpoint that has requests, but no answer to show for them, counts at least this share of
/// what the other one takes: it is tried, but not flooded.
const UNPROVEN: f64 = 0.5;

/// Of two endpoints drawn at random, the one that is likely to answer sooner: the moving average of
/// its delays, in which peaks count at once and fade over about ten seconds, times the requests in
/// flight and one more, in relation to its weight.
///
/// An endpoint that has not answered lately is attractive as long as it has nothing to do; while it
/// has, it is taken to be half as slow as the other one at best. The clock is read for each pick.
#[derive(Debug, Default)]
pub struct PeakEwma {
    draws: Arc<Draws>,
}

impl PeakEwma {
    /// Draws from `seed` on: the same seed, the same draws.
    pub fn with_seed(seed: u64) -> Self {
        Self { draws: Arc::new(Draws::with_seed(seed)) }
    }
}

impl Balance for PeakEwma {
    fn over(&self, candidates: Arc<[Candidate]>) -> Box<dyn Pick> {
        let weighted = Weighted::new(&candidates);
        let total: f64 = candidates.iter().map(|candidate| f64::from(candidate.weight)).sum();
        let usual = total / candidates.len().max(1) as f64;
        Box::new(Sooner { draws: Arc::clone(&self.draws), weighted, usual, candidates })
    }

    fn looks_at_latency(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "peak_ewma"
    }
}

struct Sooner {
    draws: Arc<Draws>,
    weighted: Weighted,
    /// The mean weight.
    usual: f64,
    candidates: Arc<[Candidate]>,
}

impl Pick for Sooner {
    fn pick(&self, _: &PickContext<'_>) -> Option<&Arc<Endpoint>> {
        match &*self.candidates {
            [] => None,
            [only] => Some(&only.endpoint),
            several => {
                let (first, second) = self.weighted.two(&self.draws);
                let (first, second) = (several.get(first)?, several.get(second)?);
                let now = nanoseconds(Instant::now());
                let sooner = self.is_sooner(second, first, now);
                Some(if sooner { &second.endpoint } else { &first.endpoint })
            }
        }
    }
}

impl Sooner {
    /// True when `one` is clearly better than `other`: by its load with one request more, and by
    /// what it has already. Between equal weights both say the same; see
    /// [`Load::is_less_than`](super::weighted::Load::is_less_than).
    fn is_sooner(&self, one: &Candidate, other: &Candidate, now: u64) -> bool {
        let (mine, theirs) = (Seen::of(one, now), Seen::of(other, now));
        let (my_delay, their_delay) = if mine.delay == 0.0 && theirs.delay == 0.0 {
            (1.0, 1.0)
        } else {
            (mine.proven(theirs.delay, now), theirs.proven(mine.delay, now))
        };
        if self.weighted.is_even() {
            return my_delay * (mine.in_flight + 1.0) < their_delay * (theirs.in_flight + 1.0);
        }
        // Both sides times both weights, because divisions are slow.
        let (mine_to, theirs_to) = (my_delay * theirs.weight, their_delay * mine.weight);
        mine_to * (mine.in_flight + 1.0) < theirs_to * (theirs.in_flight + 1.0)
            && mine_to * (mine.in_flight * self.usual + mine.weight)
                < theirs_to * (theirs.in_flight * self.usual + theirs.weight)
    }
}

/// A candidate at the moment of a pick.
struct Seen<'a> {
    latency: &'a Latency,
    weight: f64,
    in_flight: f64,
    /// 0: unknown.
    delay: f64,
}

impl<'a> Seen<'a> {
    fn of(candidate: &'a Candidate, now: u64) -> Self {
        let latency = &candidate.endpoint.latency;
        Self {
            latency,
            weight: f64::from(candidate.weight),
            in_flight: candidate.endpoint.in_flight() as f64,
            delay: latency.cost(now),
        }
    }

    /// The delay that is believed beside one of `other`.
    fn proven(&self, other: f64, now: u64) -> f64 {
        if self.in_flight > 0.0 && self.latency.is_stale(now) {
            self.delay.max(other * UNPROVEN)
        } else {
            self.delay
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::upstream::balance::tests::{busy, candidates, counts};

    const MS: Duration = Duration::from_millis(1);

    fn answers(candidates: &[Candidate], delays: &[Duration]) {
        for (candidate, delay) in candidates.iter().zip(delays) {
            candidate.endpoint.latency.observe(*delay, false, Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_slow_one_is_avoided_until_it_is_forgotten() {
        let candidates = candidates(&[1, 1]);
        answers(&candidates, &[MS, 50 * MS]);
        assert_eq!(counts(&PeakEwma::with_seed(7), &candidates, 100), [100, 0]);
        tokio::time::advance(Duration::from_secs(60)).await;
        answers(&candidates, &[MS]);
        assert_eq!(counts(&PeakEwma::with_seed(7), &candidates, 100), [0, 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_one_is_left_when_it_has_too_much_to_do() {
        let candidates = candidates(&[1, 1]);
        answers(&candidates, &[MS, 5 * MS]);
        let held = busy(&candidates, &[3, 0]);
        assert_eq!(counts(&PeakEwma::with_seed(7), &candidates, 100), [100, 0]);
        drop(held);
        let _held = busy(&candidates, &[5, 0]);
        assert_eq!(counts(&PeakEwma::with_seed(7), &candidates, 100), [0, 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_endpoint_is_tried_and_not_flooded() {
        let candidates = candidates(&[1, 1]);
        answers(&candidates, &[MS]);
        let pick = PeakEwma::with_seed(7).over(Arc::clone(&candidates));
        let mut held = Vec::new();
        for _ in 0..99 {
            let picked = pick.pick(&PickContext::default()).unwrap();
            held.push(Arc::clone(picked).enter());
        }
        // It has no answer to show: twice as many as the other one has, and no more.
        let new = candidates[1].endpoint.in_flight();
        assert!((60..=68).contains(&new), "{new}");
    }

    #[tokio::test(start_paused = true)]
    async fn shares_are_the_weights_where_delays_are_the_same() {
        let candidates = candidates(&[100, 300]);
        answers(&candidates, &[MS, MS]);
        let counts = counts(&PeakEwma::with_seed(7), &candidates, 4000);
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_heavy_endpoint_is_left_when_it_is_slow() {
        let candidates = candidates(&[100, 300]);
        answers(&candidates, &[MS, 10 * MS]);
        assert_eq!(counts(&PeakEwma::with_seed(7), &candidates, 100), [100, 0]);
    }
}
