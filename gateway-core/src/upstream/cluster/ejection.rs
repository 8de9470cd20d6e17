//! Which endpoints of a cluster are left out because of the requests they had.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::available::is_healthy;
use super::recovery;
use super::shared::{Member, Shared, State};
use crate::error::{HealthSignal, Reason};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::health::{OutlierDetectionConfig, SuccessRateConfig};

impl Shared {
    /// Counts how an attempt ended; `failure` is the reason, where no response came.
    pub(in crate::upstream) fn note(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        signal: HealthSignal,
        failure: Option<Reason>,
    ) {
        endpoint.vitals.note(signal);
        // What cannot be done is not tried: a request takes no lock for it.
        if signal == HealthSignal::Failure && self.may_eject.load(Ordering::Relaxed) {
            self.eject_if_due(endpoint, failure, Instant::now());
        }
    }

    /// Leaves `endpoint` out when it failed too often in a row, the last time for `failure`.
    fn eject_if_due(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        failure: Option<Reason>,
        now: Instant,
    ) {
        let Some(settings) = &self.settings.outlier_detection else {
            return;
        };
        let failures = endpoint.vitals.failures_in_a_row();
        if settings.consecutive_failures.is_some_and(|most| failures >= most) {
            let cause = format!("{failures} failures in a row");
            self.eject(settings, endpoint, failure, &cause, now);
        }
    }

    /// Leaves `endpoint` out, unless as many are as may be.
    fn eject(
        self: &Arc<Self>,
        settings: &OutlierDetectionConfig,
        endpoint: &Arc<Endpoint>,
        failure: Option<Reason>,
        cause: &str,
        now: Instant,
    ) {
        let state = self.lock();
        let is_member = state.members.iter().any(|one| Arc::ptr_eq(&one.endpoint, endpoint));
        if !is_member || !self.has_room(&state) {
            return;
        }
        let ejected = endpoint.vitals.eject(settings, cause.to_owned(), now);
        let Some((duration, before)) = ejected else {
            return;
        };
        self.recompute(state);
        if let Some(probe) = failure.and_then(|failure| recovery::Probe::after(failure, before)) {
            self.watch_recovery(endpoint, now + duration, probe);
        }
        let cause = format!("{cause}; for {duration:?}");
        self.report("endpoint", endpoint.name(), "in", "ejected", &cause);
    }

    /// True when one more may be left out: their share allows it, and somebody who is well stays.
    pub(super) fn has_room(&self, state: &State) -> bool {
        let Some(settings) = &self.settings.outlier_detection else {
            return false;
        };
        let members = || state.members.iter();
        let ejected = members().filter(|one| one.endpoint.vitals.is_ejected()).count();
        let well = members().filter(|one| is_healthy(one, self.is_checked())).count();
        ejected < settings.most(state.members.len()) && well > 1
    }

    /// Takes back whose time is over, and leaves out who is due.
    pub(super) fn tend_ejections(self: &Arc<Self>, members: &[Member], now: Instant) {
        // Also without settings of its own: a predecessor may have had some.
        let back: Vec<_> =
            members.iter().filter(|member| member.endpoint.vitals.readmit(now)).collect();
        self.take_back(&back, "its time is over");
        let Some(settings) = &self.settings.outlier_detection else {
            return;
        };
        for member in members {
            // Answers that broke off in their body are counted, but not looked at on the way.
            self.eject_if_due(&member.endpoint, None, now);
        }
        self.revive(settings, members, now);
        if !self.comparison_is_due(settings, now) {
            return;
        }
        if let Some(rates) = &settings.success_rate {
            self.compare(settings, rates, members, now);
        }
        members.iter().for_each(|one| one.endpoint.vitals.forgive(settings.interval, now));
    }

    /// Says who is in again, once they can be picked.
    fn take_back(&self, back: &[&Member], cause: &str) {
        if back.is_empty() {
            return;
        }
        self.recompute(self.lock());
        for member in back {
            self.report("endpoint", member.endpoint.name(), "ejected", "in", cause);
        }
    }

    /// Takes everyone back when all who are in fail as well: somebody who is left out may have
    /// recovered meanwhile, and having failed together says little about each.
    fn revive(&self, settings: &OutlierDetectionConfig, members: &[Member], now: Instant) {
        let Some(most) = settings.consecutive_failures else {
            return;
        };
        let mut well = members.iter().filter(|one| is_healthy(one, self.is_checked())).peekable();
        let fails = |one: &Member| one.endpoint.vitals.failures_in_a_row() >= most;
        if well.peek().is_none() || !well.all(fails) {
            return;
        }
        let back: Vec<_> =
            members.iter().filter(|member| member.endpoint.vitals.readmit_early(now)).collect();
        self.take_back(&back, "all others fail as well");
    }

    fn comparison_is_due(&self, settings: &OutlierDetectionConfig, now: Instant) -> bool {
        let mut state = self.lock();
        let due = now >= state.compare_at;
        if due {
            state.compare_at = now + settings.interval;
        }
        due
    }

    /// Leaves out those whose success rate is far below the others', the worst first.
    fn compare(
        self: &Arc<Self>,
        settings: &OutlierDetectionConfig,
        rates: &SuccessRateConfig,
        members: &[Member],
        now: Instant,
    ) {
        let mut compared = Vec::with_capacity(members.len());
        for member in members {
            let (successes, failures) = member.endpoint.vitals.take_counts();
            let total = successes.saturating_add(failures);
            if total > 0 && total >= rates.min_requests && is_healthy(member, self.is_checked()) {
                compared.push((&member.endpoint, f64::from(successes) / f64::from(total)));
            }
        }
        compared.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        let sorted: Vec<f64> = compared.iter().map(|(_, rate)| *rate).collect();
        for ((endpoint, rate), expected) in compared.iter().zip(rates.expected(&sorted)) {
            if *rate < expected {
                let cause = format!(
                    "{:.1} % of its requests succeeded, the others' let expect {:.1} %",
                    rate * 100.0,
                    expected * 100.0
                );
                self.eject(settings, endpoint, None, &cause, now);
            }
        }
    }
}
