//! What is decided before the caller is known.

use gateway_core::{Error, Request, RequestContext, RequestExt};

use super::key::KeyPart;
use super::limiter::{Chosen, Counted, RateLimiter};
use super::rule::Level;
use super::store::{Admission, Decided};
use crate::guard::Checked;

impl RateLimiter {
    /// Rejects a request that is over a limit which needs no identity. Charges nothing.
    pub(super) fn decide_early(&self, request: &Request) -> Checked {
        let ask = self.asking(request, false);
        let early: Vec<_> = self.shared.limits.iter().map(|one| one.is_early(request)).collect();
        if !early.contains(&true) {
            return Checked::Pass;
        }
        let charges = early.iter().enumerate().map(|(index, early)| {
            let charge = ask.charge(index);
            if *early { charge } else { charge.unbinding() }
        });
        let charges: Vec<_> = charges.collect();
        let mut levels = vec![Level::default(); charges.len()];
        let decided = ask.run(&charges, &mut levels);
        let chosen = ask.chosen;
        match decided {
            Decided::Now(admission) => {
                let context = ask.subject.context();
                self.settle_early(&chosen, admission, levels, &early, context).into()
            }
            Decided::Later(deciding) => {
                let limiter = self.clone();
                Checked::wait(async move {
                    let (admission, levels) = match deciding.await {
                        Ok(decision) => (Ok(decision.admission), decision.levels),
                        Err(error) => (Err(error), Vec::new()),
                    };
                    move |request: &mut Request| {
                        let context = request.context();
                        limiter.settle_early(&chosen, admission, levels, &early, context).into()
                    }
                })
            }
        }
    }

    /// As [`settle`](Self::settle), where only the `early` limits have decided. What passes, or
    /// could not be counted, is decided about later.
    fn settle_early(
        &self,
        chosen: &Chosen,
        admission: Result<Admission, Error>,
        mut levels: Vec<Level>,
        early: &[bool],
        context: Option<&RequestContext>,
    ) -> Result<(), Error> {
        if !matches!(admission, Ok(Admission::Rejected)) {
            return Ok(());
        }
        // The others count callers, who are not known yet.
        levels.iter_mut().zip(early).filter(|(_, early)| !**early).for_each(|(level, _)| {
            level.fits = true;
        });
        self.settle(chosen, admission, &levels, context)
    }
}

impl Counted {
    /// Whether the limit can be decided before the caller of `request` is known. A header that is
    /// not there may be one that is written once he is.
    fn is_early(&self, request: &Request) -> bool {
        self.early
            && self.key.iter().all(|part| match part {
                KeyPart::Header(name) => request.headers().contains_key(name),
                _ => true,
            })
    }
}
