//! [`Adaptive`]: a limit that follows the latency.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::config::AdaptiveConfig;
use super::gate::{Gate, MOST_PERMITS};
use super::limit::between;

/// The baseline goes this share of the way to a window that was faster.
const FALLS: f64 = 0.5;
/// And this one to a slower window in which the limit held nobody back.
const RISES: f64 = 0.01;
/// After so many windows in a row with a queue behind it, the limit is lowered to see what requests
/// take without: a minute of the default window, so that it costs little.
const PROBE_AFTER: u32 = 120;
/// At the least limit there is nothing to lower, and less to wait for.
const PROBE_AT_LEAST_AFTER: u32 = 4;
/// One step makes of the limit no less than this share, smoothing aside.
const STEEPEST: f64 = 0.5;
/// A limit that did not move would not adapt.
const LEAST_SMOOTHING: f64 = 0.01;
/// Failures leave this share of the limit.
const AFTER_FAILURES: f64 = 0.9;
/// One failure in so many requests shrinks the limit.
const FAILING: u32 = 10;

/// The count of a window is in the low bits, so that a sum too large wraps into nothing.
const COUNT_BITS: u32 = 24;

/// What a request says about those who answered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    /// They took so long until the head of the answer.
    Answered(Duration),
    /// They are in trouble.
    Failed,
}

/// Reckons the limit anew after every window. Recording is a few atomics; who ends a window while
/// somebody else does so goes on.
#[derive(Debug)]
pub(super) struct Adaptive {
    settings: AdaptiveConfig,
    began: OnceLock<Instant>,
    /// In microseconds since `began`.
    window_ends: AtomicU64,
    /// How many answers, and the sum of their microseconds above.
    answered: AtomicU64,
    failed: AtomicU32,
    /// The most permits in use.
    peak: AtomicU32,
    estimate: Mutex<Estimate>,
}

impl Adaptive {
    pub(super) fn new(settings: AdaptiveConfig) -> Self {
        let min = between(settings.min, 1, MOST_PERMITS);
        // Also for what is no number.
        let moves = settings.smoothing > LEAST_SMOOTHING;
        let settings = AdaptiveConfig {
            min: min as usize,
            max: between(settings.max, min, MOST_PERMITS) as usize,
            smoothing: if moves { settings.smoothing.min(1.0) } else { LEAST_SMOOTHING },
            tolerance: settings.tolerance.max(1.0),
            window_requests: settings.window_requests.max(1),
            ..settings
        };
        Self {
            estimate: Mutex::new(Estimate::new(settings)),
            settings,
            began: OnceLock::new(),
            window_ends: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            failed: AtomicU32::new(0),
            peak: AtomicU32::new(0),
        }
    }

    /// The limit it begins with.
    pub(super) fn first(&self) -> u32 {
        between(self.settings.min, 1, MOST_PERMITS)
    }

    /// Takes note of one request that ended `now`, and sets the limit of `gate` when a window is
    /// over.
    pub(super) fn record(&self, gate: &Arc<Gate>, sample: Sample, now: Instant) {
        match sample {
            Sample::Answered(latency) => {
                let one = (microseconds(latency) << COUNT_BITS) | 1;
                self.answered.fetch_add(one, Ordering::Relaxed);
            }
            Sample::Failed => {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        let in_use = gate.occupancy().in_use();
        if in_use > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_use, Ordering::Relaxed);
        }
        if let Some(limit) = self.end_window(now) {
            gate.set_limit(limit);
        }
    }

    /// The new limit, when a window is over.
    fn end_window(&self, now: Instant) -> Option<u32> {
        let began = *self.began.get_or_init(|| now);
        let now = microseconds(now.saturating_duration_since(began));
        let ends = self.window_ends.load(Ordering::Relaxed);
        if now < ends {
            return None;
        }
        let mut estimate = self.estimate.try_lock().ok()?;
        let next = now.saturating_add(microseconds(self.settings.window));
        if ends == 0 {
            // The first request opens the first window.
            self.window_ends.store(next, Ordering::Relaxed);
            return None;
        }
        let count = self.answered.load(Ordering::Relaxed) & ((1 << COUNT_BITS) - 1);
        let count = count + u64::from(self.failed.load(Ordering::Relaxed));
        if count < self.settings.window_requests as u64 {
            return None;
        }
        self.window_ends.store(next, Ordering::Relaxed);
        let answered = self.answered.swap(0, Ordering::Relaxed);
        let count = answered & ((1 << COUNT_BITS) - 1);
        let window = Window {
            answered: u32::try_from(count).unwrap_or(u32::MAX),
            mean: (answered >> COUNT_BITS) as f64 / count.max(1) as f64,
            failed: self.failed.swap(0, Ordering::Relaxed),
            peak: self.peak.swap(0, Ordering::Relaxed),
        };
        let limit = estimate.next(&window);
        tracing::debug!(limit, ?window, "a concurrency limit was reckoned anew");
        Some(limit)
    }
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What was seen in one window.
#[derive(Clone, Copy, Debug)]
struct Window {
    answered: u32,
    /// Of the answers' latencies, in microseconds.
    mean: f64,
    failed: u32,
    peak: u32,
}

/// The limit as it is reckoned: no clock, no lock, one window after the other.
#[derive(Debug)]
struct Estimate {
    settings: AdaptiveConfig,
    limit: f64,
    /// What requests take when nothing is in their way, in microseconds.
    baseline: Option<f64>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No queue was seen yet: the limit doubles.
    Starting,
    /// It was held down for so many windows in a row.
    Steady { held_down: u32 },
    /// It is lowered for a moment; the first window still has requests from before.
    Probing { back_to: f64, settled: bool },
}

impl Estimate {
    fn new(settings: AdaptiveConfig) -> Self {
        let limit = settings.min as f64;
        Self { settings, limit, baseline: None, phase: Phase::Starting }
    }

    fn next(&mut self, window: &Window) -> u32 {
        let total = window.answered.saturating_add(window.failed);
        if window.failed > 0 && window.failed.saturating_mul(FAILING) >= total {
            self.phase = Phase::Steady { held_down: 0 };
            self.limit *= AFTER_FAILURES;
        } else if window.answered > 0 {
            self.answered(window);
        }
        self.limit = self.limit.clamp(self.settings.min as f64, self.settings.max as f64);
        self.limit as u32
    }

    /// After a window in which most were answered.
    fn answered(&mut self, window: &Window) {
        if let Phase::Probing { back_to, settled } = self.phase {
            if settled {
                self.baseline = Some(window.mean);
                self.limit = back_to;
                self.phase = Phase::Steady { held_down: 0 };
            } else {
                self.phase = Phase::Probing { back_to, settled: true };
            }
            return;
        }
        let baseline = self.learn(window);
        let gradient = baseline * self.settings.tolerance / window.mean.max(1.0);
        let held_down = match self.phase {
            Phase::Starting if gradient >= 1.0 => {
                self.double(window);
                return;
            }
            Phase::Steady { held_down } if gradient < 1.0 => held_down + 1,
            _ => 0,
        };
        self.phase = Phase::Steady { held_down };
        self.step(gradient, window);
        self.probe(held_down);
    }

    /// The baseline after a window.
    fn learn(&mut self, window: &Window) -> f64 {
        let Some(baseline) = self.baseline else {
            return *self.baseline.insert(window.mean);
        };
        let share = if window.mean < baseline {
            FALLS
        } else if f64::from(window.peak) < self.limit.floor() {
            RISES
        } else {
            0.0
        };
        *self.baseline.insert(baseline + (window.mean - baseline) * share)
    }

    /// Whether so much of the limit is used that more of it would be.
    fn is_used(&self, window: &Window) -> bool {
        f64::from(window.peak) * 2.0 >= self.limit
    }

    fn double(&mut self, window: &Window) {
        if self.is_used(window) {
            self.limit *= 2.0;
        }
    }

    fn step(&mut self, gradient: f64, window: &Window) {
        let target = self.limit * gradient.clamp(STEEPEST, 1.0) + self.limit.sqrt();
        if target < self.limit || self.is_used(window) {
            self.limit += (target - self.limit) * self.settings.smoothing;
        }
    }

    /// Lowers the limit for a moment when it was held down for long: a queue is gone then, and
    /// requests that are slow even so are slow by themselves.
    fn probe(&mut self, held_down: u32) {
        let at_least = self.limit <= self.settings.min as f64;
        let enough = if at_least { PROBE_AT_LEAST_AFTER } else { PROBE_AFTER };
        if held_down < enough {
            return;
        }
        self.phase = Phase::Probing { back_to: self.limit, settled: false };
        // The limit settles where latency is at the tolerance and a little beyond: so far down,
        // and to a half of that, there is no queue.
        self.limit /= 2.0 * self.settings.tolerance;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers `capacity` requests at the same time in `latency` microseconds each; more of them
    /// share what there is.
    #[derive(Clone, Copy)]
    struct Server {
        capacity: f64,
        latency: f64,
    }

    fn settings() -> AdaptiveConfig {
        AdaptiveConfig { min: 5, max: 500, ..AdaptiveConfig::default() }
    }

    /// The usual limit of the last fifty of `windows`, with `demand` requests that want to be under
    /// way.
    fn run(estimate: &mut Estimate, server: Server, demand: f64, windows: usize) -> f64 {
        let mut limits = Vec::new();
        for _ in 0..windows {
            let under_way = demand.min(estimate.limit.floor());
            let mean = server.latency * (under_way / server.capacity).max(1.0);
            let peak = under_way as u32;
            estimate.next(&Window { answered: 100, mean, failed: 0, peak });
            limits.push(estimate.limit);
        }
        let mut last = limits.split_off(windows - 50);
        last.sort_by(f64::total_cmp);
        last[25]
    }

    const SERVER: Server = Server { capacity: 40.0, latency: 10_000.0 };

    #[test]
    fn the_limit_finds_the_capacity_and_stays_there() {
        let mut estimate = Estimate::new(settings());
        for windows in [60, 600, 60_000] {
            let limit = run(&mut estimate, SERVER, 1000.0, windows);
            assert!((40.0..=80.0).contains(&limit), "{limit} after {windows}");
        }
    }

    #[test]
    fn the_limit_follows_a_capacity_that_falls_and_comes_back() {
        let mut estimate = Estimate::new(settings());
        run(&mut estimate, SERVER, 1000.0, 200);
        let limit = run(&mut estimate, Server { capacity: 10.0, ..SERVER }, 1000.0, 200);
        assert!((8.0..=25.0).contains(&limit), "{limit}");
        let limit = run(&mut estimate, SERVER, 1000.0, 400);
        assert!((40.0..=80.0).contains(&limit), "{limit}");
    }

    #[test]
    fn a_server_that_is_slow_by_itself_becomes_the_new_baseline() {
        for factor in [1.4, 1.6, 2.0, 5.0, 100.0] {
            let mut estimate = Estimate::new(settings());
            run(&mut estimate, SERVER, 1000.0, 200);
            let slower = Server { latency: SERVER.latency * factor, ..SERVER };
            let limit = run(&mut estimate, slower, 1000.0, 600);
            assert!((40.0..=80.0).contains(&limit), "{limit} when {factor} times as slow");
        }
    }

    #[test]
    fn a_capacity_below_the_least_limit_keeps_it_low() {
        let mut estimate = Estimate::new(settings());
        let limit = run(&mut estimate, Server { capacity: 2.0, ..SERVER }, 1000.0, 60_000);
        assert!(limit <= 16.0, "{limit}");
    }

    #[test]
    fn an_idle_limit_does_not_grow() {
        let mut estimate = Estimate::new(settings());
        let limit = run(&mut estimate, SERVER, 2.0, 1000);
        assert!(limit <= 5.0, "{limit}");
        let limit = run(&mut estimate, SERVER, 8.0, 1000);
        assert!(limit <= 20.0, "{limit}");
    }

    #[test]
    fn failures_shrink_the_limit_to_its_least_and_it_recovers() {
        let mut estimate = Estimate::new(settings());
        let before = run(&mut estimate, SERVER, 1000.0, 200);
        let failing = Window { answered: 90, mean: SERVER.latency, failed: 10, peak: 50 };
        assert!(f64::from(estimate.next(&failing)) < before);
        for _ in 0..100 {
            estimate.next(&failing);
        }
        assert_eq!(estimate.next(&failing), 5);
        let limit = run(&mut estimate, SERVER, 1000.0, 200);
        assert!((40.0..=80.0).contains(&limit), "{limit}");
    }

    #[test]
    fn settings_that_are_no_numbers_do_no_harm() {
        let settings = AdaptiveConfig { smoothing: f64::NAN, tolerance: f64::NAN, ..settings() };
        let adaptive = Adaptive::new(settings);
        let mut estimate = adaptive.estimate.into_inner().unwrap();
        let limit = run(&mut estimate, SERVER, 1000.0, 600);
        assert!((5.0..=500.0).contains(&limit), "{limit}");
    }

    #[test]
    fn a_few_failures_are_ordinary() {
        let mut estimate = Estimate::new(settings());
        let before = run(&mut estimate, SERVER, 1000.0, 200);
        estimate.next(&Window { answered: 95, mean: SERVER.latency, failed: 5, peak: 50 });
        assert!(estimate.limit >= before);
    }
}
