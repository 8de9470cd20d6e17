//! [`Shared`]: what all clones of a cluster share, and the one place that recomputes what may be
//! picked.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::available::{Available, PickMode};
use super::builder::can_reach;
use super::{ClusterTimeouts, HostPolicy, ResponseLimits, prober};
use crate::budget::{self, RetryBudget};
use crate::error::BoxError;
use crate::module::Health;
use crate::observe::{Observer, Observers, StateChanged};
use crate::swap::Swap;
use crate::task::Tasks;
use crate::upstream::affinity::Affinity;
use crate::upstream::balance::Balance;
use crate::upstream::connect::Connector;
use crate::upstream::discovery::{self, DiscoveryStatus, Publisher};
use crate::upstream::endpoint::{Endpoint, EndpointSpec};
use crate::upstream::health::{HealthCheck, OutlierDetectionConfig};
use crate::upstream::pool::PoolConfig;
use crate::upstream::sticky::Sticky;

/// What all clones of a cluster share.
pub(in crate::upstream) struct Shared {
    pub(in crate::upstream) name: Arc<str>,
    pub(in crate::upstream) settings: Settings,
    pub(in crate::upstream) connector: Connector,
    pub(in crate::upstream) tasks: Tasks,
    pub(in crate::upstream) observers: Observers,
    /// Tries at another endpoint come from here.
    pub(in crate::upstream) failover: RetryBudget,
    source: Option<Arc<dyn discovery::Erased>>,
    state: Mutex<State>,
    available: Swap<Available>,
    changes: watch::Sender<u64>,
    started: AtomicBool,
    /// One more endpoint may be left out, as of the last change.
    pub(super) may_eject: AtomicBool,
    /// From which endpoints is picked, as everyone was told.
    told: Mutex<PickMode>,
}

/// What is configured.
pub(in crate::upstream) struct Settings {
    pub(in crate::upstream) balance: Arc<dyn Balance>,
    pub(in crate::upstream) host: HostPolicy,
    pub(in crate::upstream) pool: PoolConfig,
    pub(in crate::upstream) timeouts: ClusterTimeouts,
    pub(in crate::upstream) response_limits: ResponseLimits,
    pub(in crate::upstream) health_check: Option<Arc<HealthCheck>>,
    pub(in crate::upstream) outlier_detection: Option<OutlierDetectionConfig>,
    pub(in crate::upstream) panic_threshold: Option<f64>,
    pub(in crate::upstream) slow_start: Duration,
    pub(in crate::upstream) zone: Option<Arc<str>>,
    pub(in crate::upstream) endpoint_limit: usize,
    pub(in crate::upstream) affinity: Option<Affinity>,
    pub(in crate::upstream) sticky: Option<Sticky>,
    pub(in crate::upstream) reserved: Vec<SocketAddr>,
}

/// An endpoint and what is said about it.
#[derive(Clone)]
pub(in crate::upstream) struct Member {
    pub(in crate::upstream) spec: EndpointSpec,
    pub(in crate::upstream) endpoint: Arc<Endpoint>,
}

/// What changes, though not with every request.
pub(super) struct State {
    pub(super) members: Arc<[Member]>,
    published: Option<Instant>,
    failure: Option<String>,
    /// When success rates are compared next.
    pub(super) compare_at: Instant,
}

/// Expired connections are dropped, and left-out endpoints taken back, at least this often.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// And not more often than this, however short what is configured.
const TEND_AT_MOST_EVERY: Duration = Duration::from_millis(20);

impl Shared {
    pub(super) fn new(
        name: Arc<str>,
        settings: Settings,
        connector: Connector,
        observers: Observers,
        source: Option<Arc<dyn discovery::Erased>>,
        predecessor: Option<&Self>,
        endpoints: Vec<EndpointSpec>,
    ) -> Self {
        let before = predecessor.map(Self::members);
        let specs = match &before {
            Some(before) if endpoints.is_empty() && source.is_some() => {
                before.iter().map(|member| member.spec.clone()).collect()
            }
            _ => endpoints,
        };
        let inherited = predecessor.is_some_and(|predecessor| {
            predecessor.settings.pool == settings.pool
                && predecessor.settings.response_limits == settings.response_limits
                && predecessor.connector.same_as(&connector)
        });
        let before = before.filter(|_| inherited).unwrap_or_default();
        let members: Arc<[Member]> = members(&before, specs, &settings).into();
        let now = Instant::now();
        let state = State {
            members: Arc::clone(&members),
            published: None,
            failure: None,
            compare_at: now
                + settings.outlier_detection.map_or(Duration::ZERO, |ejection| ejection.interval),
        };
        let checked = settings.health_check.is_some();
        let available = Available::new(&members, &settings, checked, now);
        let told = Mutex::new(available.mode);
        let shared = Self {
            name,
            settings,
            connector,
            tasks: Tasks::new(),
            observers,
            failover: RetryBudget::new(&failover()),
            source,
            state: Mutex::new(state),
            available: Swap::new(available),
            changes: watch::Sender::new(0),
            started: AtomicBool::new(false),
            may_eject: AtomicBool::new(false),
            told,
        };
        let may_eject = shared.has_room(&shared.lock());
        shared.may_eject.store(may_eject, Ordering::Relaxed);
        shared
    }

    /// What may be picked now.
    pub(in crate::upstream) fn available(&self) -> Arc<Available> {
        self.available.load()
    }

    /// The same for a moment: not to be held across an `.await`.
    pub(in crate::upstream) fn peek(&self) -> arc_swap::Guard<Arc<Available>> {
        self.available.peek()
    }

    /// The endpoints as of now.
    pub(in crate::upstream) fn members(&self) -> Arc<[Member]> {
        Arc::clone(&self.lock().members)
    }

    /// True when there are health checks.
    pub(super) fn is_checked(&self) -> bool {
        self.settings.health_check.is_some()
    }

    pub(super) fn health(&self) -> Health {
        match self.available.peek().mode {
            PickMode::Healthy => Health::Healthy,
            PickMode::Unknown => Health::Unknown,
            PickMode::Ejected | PickMode::Panic | PickMode::Nobody => Health::Unhealthy,
        }
    }

    pub(super) fn discovery_status(&self) -> Option<DiscoveryStatus> {
        let source = self.source.as_ref()?.name().to_owned();
        let state = self.lock();
        Some(DiscoveryStatus { source, published: state.published, failure: state.failure.clone() })
    }

    /// Starts the background tasks, once. They need a runtime, which the builder may not have had.
    pub(in crate::upstream) fn start(self: &Arc<Self>) {
        if self.started.load(Ordering::Relaxed) || self.started.swap(true, Ordering::Relaxed) {
            return;
        }
        self.tasks.spawn("tend cluster", tend(Arc::downgrade(self), self.tend_every()));
        if let Some(source) = &self.source {
            let run = Arc::clone(source).run(Publisher::new(self));
            self.tasks.spawn("discover endpoints", run);
        }
        if let Some(check) = &self.settings.health_check {
            let (cluster, check) = (Arc::downgrade(self), Arc::clone(check));
            let run = prober::run(cluster, check, self.connector.clone(), self.changes.subscribe());
            self.tasks.spawn("check endpoints", run);
        } else {
            // What a predecessor's checks found grows old.
            self.members().iter().for_each(|member| member.endpoint.vitals.forget_probes());
        }
    }

    fn tend_every(&self) -> Duration {
        let mut every = TEND_EVERY.min(self.settings.pool.idle_timeout / 4);
        if let Some(ejection) = &self.settings.outlier_detection {
            every = every.min(ejection.base_ejection_time / 4).min(ejection.interval);
        }
        if !self.settings.slow_start.is_zero() {
            every = every.min(self.settings.slow_start / 10);
        }
        every.max(TEND_AT_MOST_EVERY)
    }

    pub(super) async fn ready(&self) {
        let mut changes = self.changes.subscribe();
        while !self.is_settled() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    pub(super) async fn changed(&self) {
        // The sender lives as long as `self`.
        let _ = self.changes.subscribe().changed().await;
    }

    /// True when the first set was found, and each of its endpoints was probed.
    fn is_settled(&self) -> bool {
        let state = self.lock();
        if self.source.is_some() && state.published.is_none() {
            return false;
        }
        let known = |member: &Member| member.endpoint.health() != Health::Unknown;
        !self.is_checked() || state.members.iter().all(known)
    }

    /// Replaces the endpoints; those that stay keep their state.
    pub(in crate::upstream) fn publish(&self, specs: Vec<EndpointSpec>) {
        let reachable = |spec: &EndpointSpec| {
            let reachable = can_reach(&self.connector, &spec.address);
            if !reachable {
                tracing::warn!(cluster = %self.name, endpoint = %spec.address,
                    "discovered, but the cluster was given no TLS configuration");
            }
            reachable
        };
        let allowed = |spec: &EndpointSpec| {
            let allowed = !discovery::is_forbidden(&spec.address, &self.settings.reserved);
            if !allowed {
                tracing::warn!(cluster = %self.name, endpoint = %spec.address,
                    "discovered, but no address of an upstream: the endpoint is excluded");
            }
            allowed
        };
        let specs = specs.into_iter().filter(allowed).filter(reachable).collect();
        let mut state = self.lock();
        let before = Arc::clone(&state.members);
        state.members = members(&before, specs, &self.settings).into();
        state.published = Some(Instant::now());
        let recovered = state.failure.take().is_some();
        let after = Arc::clone(&state.members);
        self.recompute(state);
        self.report_set(&before, &after);
        if recovered {
            self.report("discovery", &self.name, "failing", "good", "the source answers again");
        }
    }

    fn report_set(&self, before: &[Member], after: &[Member]) {
        let names = |list: &[Member]| -> HashSet<Arc<str>> {
            list.iter().map(|member| Arc::clone(member.endpoint.name())).collect()
        };
        let (before, after) = (names(before), names(after));
        for name in after.difference(&before) {
            self.report("endpoint", name, "absent", "present", "discovered");
        }
        for name in before.difference(&after) {
            self.report("endpoint", name, "present", "absent", "no longer discovered");
        }
    }

    pub(in crate::upstream) fn discovery_failed(&self, error: &BoxError) {
        let error = error.to_string();
        let mut state = self.lock();
        let first = state.failure.is_none();
        state.failure = Some(error.clone());
        drop(state);
        if first {
            self.report("discovery", &self.name, "good", "failing", &error);
        }
    }

    /// Makes anew what may be picked: the one place that does. Called whenever something that it
    /// depends on has changed; ends the change.
    pub(super) fn recompute(&self, state: MutexGuard<'_, State>) {
        let available =
            Available::new(&state.members, &self.settings, self.is_checked(), Instant::now());
        self.available.replace(available);
        self.may_eject.store(self.has_room(&state), Ordering::Relaxed);
        // The order of two changes is the order of their versions.
        drop(state);
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
        self.report_mode();
    }

    /// Tells everyone when it is picked from others than was told last. Of several threads one
    /// does, until there is no more to tell: the last word is never an old one.
    fn report_mode(&self) {
        loop {
            let mut told = match self.told.try_lock() {
                Ok(told) => told,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let available = self.available();
            let (from, to) = (std::mem::replace(&mut *told, available.mode), available.mode);
            if from != to {
                let count = available.count();
                let cause = format!("{count} of {} may be picked", self.members().len());
                self.report("cluster", &self.name, from.name(), to.name(), &cause);
            }
            drop(told);
            if self.available.peek().mode == to {
                return;
            }
        }
    }

    /// What is done now and then.
    fn tend(self: &Arc<Self>) {
        let now = Instant::now();
        let members = self.members();
        let window = self.settings.slow_start;
        let mut warms_up = false;
        for Member { endpoint, .. } in &*members {
            endpoint.http1.sweep();
            endpoint.http2.sweep();
            warms_up |= !window.is_zero() && endpoint.vitals.age(now) < window + TEND_EVERY;
        }
        self.tend_ejections(&members, now);
        if warms_up {
            self.recompute(self.lock());
        }
    }

    /// Tells everyone that something has changed its state.
    pub(super) fn report(
        &self,
        subject: &'static str,
        name: &str,
        from: &'static str,
        to: &'static str,
        cause: &str,
    ) {
        tracing::info!(cluster = %self.name, subject, name, from, to, cause, "state changed");
        let event = StateChanged::new(subject, name, from, to, cause).within(&self.name);
        self.observers.state_changed(&event);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a cluster may send to another endpoint of its own accord: less in quiet times than what a
/// route that was given retries may, because nobody has asked for it.
fn failover() -> budget::RetryBudgetConfig {
    budget::RetryBudgetConfig { min_per_second: 1, ..budget::RetryBudgetConfig::default() }
}

/// Members for `specs`, the first of each address; those that were there before keep their state.
fn members(before: &[Member], specs: Vec<EndpointSpec>, settings: &Settings) -> Vec<Member> {
    let before: HashMap<_, _> =
        before.iter().map(|member| (&member.spec.address, &member.endpoint)).collect();
    let mut members: Vec<Member> = Vec::with_capacity(specs.len());
    let mut seen = HashSet::new();
    for spec in specs {
        if !seen.insert(spec.address.clone()) {
            continue;
        }
        let endpoint = before.get(&spec.address).map_or_else(
            || Arc::new(Endpoint::new(spec.address.clone(), settings.pool)),
            |endpoint| Arc::clone(endpoint),
        );
        let compared =
            settings.outlier_detection.is_some_and(|ejection| ejection.success_rate.is_some());
        endpoint.vitals.compare(compared);
        members.push(Member { spec, endpoint });
    }
    members
}

async fn tend(shared: Weak<Shared>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.tend();
    }
}
