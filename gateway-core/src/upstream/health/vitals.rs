//! [`Vitals`]: what is known about one endpoint's health.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::OutlierDetectionConfig;
use crate::error::HealthSignal;
use crate::module::{Health, Streak};

/// What is known about one endpoint's health. Requests write counters; everything else happens
/// when something changes.
#[derive(Debug)]
pub(crate) struct Vitals {
    failures_in_a_row: AtomicU32,
    /// Successes are counted: they are only when somebody compares them.
    compared: AtomicBool,
    /// Since the success rates were compared last.
    successes: AtomicU32,
    failures: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    streak: Streak,
    probed: Option<Probed>,
    ejected: Option<Ejected>,
    ejections: u32,
    /// When it came, or came back: where its slow start begins.
    since: Instant,
}

/// What a probe found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Probed {
    /// When.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
    /// What was wrong; `None`: nothing.
    pub problem: Option<String>,
}

impl Probed {
    /// A probe that was over at `at` after `took`, with what was wrong.
    pub(crate) fn new(at: Instant, took: Duration, problem: Option<String>) -> Self {
        Self { at, took, problem }
    }
}

/// Why, and until when, an endpoint is left out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ejected {
    /// Until then.
    pub until: Instant,
    /// Why.
    pub cause: String,
}

impl Default for Vitals {
    fn default() -> Self {
        Self {
            failures_in_a_row: AtomicU32::new(0),
            compared: AtomicBool::new(false),
            successes: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            state: Mutex::new(State {
                streak: Streak::default(),
                probed: None,
                ejected: None,
                ejections: 0,
                since: Instant::now(),
            }),
        }
    }
}

impl Vitals {
    /// Counts what a request says about the endpoint.
    pub(crate) fn note(&self, signal: HealthSignal) {
        match signal {
            HealthSignal::Success => {
                if self.compared.load(Ordering::Relaxed) {
                    self.successes.fetch_add(1, Ordering::Relaxed);
                }
                // Written only when there is something to write: the line stays shared.
                if self.failures_in_a_row.load(Ordering::Relaxed) > 0 {
                    self.failures_in_a_row.store(0, Ordering::Relaxed);
                }
            }
            HealthSignal::Failure => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
            }
            HealthSignal::Neutral => {}
        }
    }

    /// Counts successes from now on, or not.
    pub(crate) fn compare(&self, compared: bool) {
        self.compared.store(compared, Ordering::Relaxed);
    }

    pub(crate) fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row.load(Ordering::Relaxed)
    }

    /// Successes and failures since this was asked last.
    pub(crate) fn take_counts(&self) -> (u32, u32) {
        (self.successes.swap(0, Ordering::Relaxed), self.failures.swap(0, Ordering::Relaxed))
    }

    pub(crate) fn health(&self) -> Health {
        self.lock().streak.health()
    }

    pub(crate) fn probed(&self) -> Option<Probed> {
        self.lock().probed.clone()
    }

    pub(crate) fn ejected(&self) -> Option<Ejected> {
        self.lock().ejected.clone()
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.lock().ejected.is_some()
    }

    /// For how long it has been there, or back.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.lock().since)
    }

    /// Takes in what a probe found; see [`Streak::take`].
    pub(crate) fn probe(&self, probed: Probed, rise: u32, fall: u32) -> Option<(Health, Health)> {
        let mut state = self.lock();
        let at = probed.at;
        let changed = state.streak.take(probed.problem.is_none(), rise, fall);
        state.probed = Some(probed);
        if changed.is_some_and(|(_, to)| to == Health::Healthy) {
            state.since = at;
        }
        changed
    }

    /// Forgets what probes found, where there are none any more.
    pub(crate) fn forget_probes(&self) {
        let mut state = self.lock();
        state.streak = Streak::default();
        state.probed = None;
    }

    /// Leaves it out, unless it is already. Returns for how long, and how often it was before.
    pub(crate) fn eject(
        &self,
        settings: &OutlierDetectionConfig,
        cause: String,
        now: Instant,
    ) -> Option<(Duration, u32)> {
        let mut state = self.lock();
        if state.ejected.is_some() {
            return None;
        }
        let before = state.ejections;
        let duration = settings.duration(before);
        state.ejections = state.ejections.saturating_add(1);
        state.ejected = Some(Ejected { until: now + duration, cause });
        drop(state);
        self.failures_in_a_row.store(0, Ordering::Relaxed);
        Some((duration, before))
    }

    /// Takes it back when its time is over. True when that was now.
    pub(crate) fn readmit(&self, now: Instant) -> bool {
        self.readmit_if(now, |ejected| now >= ejected.until)
    }

    /// Ends the ejection that lasts until `until`, which a connection has shown to be over. True
    /// when it had not ended before.
    pub(crate) fn readmit_reached(&self, until: Instant, now: Instant) -> bool {
        self.readmit_if(now, |ejected| ejected.until == until)
    }

    /// True while the ejection that lasts until `until` has not ended.
    pub(crate) fn is_ejected_until(&self, until: Instant) -> bool {
        self.lock().ejected.as_ref().is_some_and(|ejected| ejected.until == until)
    }

    /// Takes it back before its time is over, as if it had not been left out. True when it was.
    pub(crate) fn readmit_early(&self, now: Instant) -> bool {
        let early = self.readmit_if(now, |_| true);
        if early {
            let mut state = self.lock();
            state.ejections = state.ejections.saturating_sub(1);
        }
        early
    }

    fn readmit_if(&self, now: Instant, condition: impl FnOnce(&Ejected) -> bool) -> bool {
        let mut state = self.lock();
        if !state.ejected.as_ref().is_some_and(condition) {
            return false;
        }
        state.ejected = None;
        state.since = now;
        drop(state);
        // What it did before, or while it was left out, was paid for.
        self.failures_in_a_row.store(0, Ordering::Relaxed);
        self.take_counts();
        true
    }

    /// Forgives one ejection, when it has been in for a whole `interval`.
    pub(crate) fn forgive(&self, interval: Duration, now: Instant) {
        let mut state = self.lock();
        if state.ejected.is_none() && now.saturating_duration_since(state.since) >= interval {
            state.ejections = state.ejections.saturating_sub(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(good: bool) -> Probed {
        let problem = (!good).then(|| "no".to_owned());
        Probed::new(Instant::now(), Duration::ZERO, problem)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_probe_decides_and_later_ones_need_a_row() {
        let vitals = Vitals::default();
        assert_eq!(vitals.health(), Health::Unknown);
        assert!(vitals.probe(probed(true), 2, 3).is_some());
        for expected in [Health::Healthy, Health::Healthy, Health::Unhealthy] {
            vitals.probe(probed(false), 2, 3);
            assert_eq!(vitals.health(), expected);
        }
        vitals.probe(probed(true), 2, 3);
        assert_eq!(vitals.health(), Health::Unhealthy);
        assert_eq!(vitals.probe(probed(true), 2, 3), Some((Health::Unhealthy, Health::Healthy)));
    }

    #[tokio::test(start_paused = true)]
    async fn ejections_grow_and_are_forgiven() {
        let settings = OutlierDetectionConfig::default();
        let vitals = Vitals::default();
        for expected in [30, 60, 90] {
            let (duration, _) = vitals.eject(&settings, String::new(), Instant::now()).unwrap();
            assert_eq!(duration.as_secs(), expected);
            assert!(vitals.eject(&settings, String::new(), Instant::now()).is_none());
            assert!(!vitals.readmit(Instant::now()));
            tokio::time::advance(duration).await;
            assert!(vitals.readmit(Instant::now()));
        }
        let interval = settings.interval;
        vitals.forgive(interval, Instant::now());
        assert_eq!(vitals.lock().ejections, 3, "it was not in for an interval yet");
        tokio::time::advance(interval).await;
        vitals.forgive(interval, Instant::now());
        let (duration, before) = vitals.eject(&settings, String::new(), Instant::now()).unwrap();
        assert_eq!((duration.as_secs(), before), (90, 2));
        assert_eq!(settings.duration(1000), settings.max_ejection_time);
    }

    #[test]
    fn one_endpoint_always_stays() {
        let settings = |max_ejected_ratio| OutlierDetectionConfig {
            max_ejected_ratio,
            ..OutlierDetectionConfig::default()
        };
        assert_eq!(settings(0.5).most(1), 0);
        assert_eq!(settings(0.5).most(2), 1);
        assert_eq!(settings(0.5).most(3), 1);
        assert_eq!(settings(1.0).most(3), 2);
        assert_eq!(settings(0.0).most(9), 0);
    }

    #[tokio::test]
    async fn a_success_ends_the_row() {
        let vitals = Vitals::default();
        vitals.compare(true);
        vitals.note(HealthSignal::Failure);
        vitals.note(HealthSignal::Failure);
        vitals.note(HealthSignal::Neutral);
        assert_eq!(vitals.failures_in_a_row(), 2);
        vitals.note(HealthSignal::Success);
        assert_eq!(vitals.failures_in_a_row(), 0);
        assert_eq!(vitals.take_counts(), (1, 2));
        assert_eq!(vitals.take_counts(), (0, 0));
    }
}
