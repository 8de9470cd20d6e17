//! The probes of a cluster's endpoints: who is asked when, and what follows.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::available::is_healthy;
use super::shared::{Member, Shared};
use crate::module::Health;
use crate::task::Tasks;
use crate::upstream::connect::Connector;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::health::{HealthCheck, Probed, draw};

/// First probes are spread over this time: short, as until the last of them the endpoints that
/// are known to be healthy have all the requests.
const FIRST_WITHIN: Duration = Duration::from_millis(100);

/// Probes the endpoints of a cluster for as long as there is one.
pub(super) async fn run(
    cluster: Weak<Shared>,
    check: Arc<HealthCheck>,
    connector: Connector,
    mut changes: watch::Receiver<u64>,
) {
    let permits = Semaphore::new(check.concurrency.clamp(1, Semaphore::MAX_PERMITS));
    let prober = Arc::new(Prober {
        cluster,
        check,
        connector,
        permits,
        searching: watch::Sender::new(false),
    });
    let mut rounds = HashMap::new();
    loop {
        changes.mark_unchanged();
        let Some(cluster) = prober.cluster.upgrade() else {
            return;
        };
        let members = cluster.members();
        let searching = cluster.is_searching(&members);
        drop(cluster);
        prober.searching.send_if_modified(|was| std::mem::replace(was, searching) != searching);
        prober.follow(&members, &mut rounds);
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// What the probes of one cluster share.
struct Prober {
    cluster: Weak<Shared>,
    check: Arc<HealthCheck>,
    connector: Connector,
    permits: Semaphore,
    /// The cluster has no healthy endpoint.
    searching: watch::Sender<bool>,
}

/// The probes of one endpoint, one after the other. They end with it.
struct Round {
    endpoint: Arc<Endpoint>,
    _tasks: Tasks,
}

impl Prober {
    /// Begins with those that are new, ends with those that are gone.
    fn follow(self: &Arc<Self>, members: &[Member], rounds: &mut HashMap<Arc<str>, Round>) {
        let mut before = std::mem::take(rounds);
        for member in members {
            let endpoint = &member.endpoint;
            let name = Arc::clone(endpoint.name());
            let round = before.remove(&name);
            let same = round.filter(|round| Arc::ptr_eq(&round.endpoint, endpoint));
            let round = same.unwrap_or_else(|| {
                let tasks = Tasks::new();
                let (prober, endpoint) = (Arc::clone(self), Arc::clone(endpoint));
                tasks.spawn("probe endpoint", prober.go_round(Arc::clone(&endpoint)));
                Round { endpoint, _tasks: tasks }
            });
            rounds.insert(name, round);
        }
    }

    async fn go_round(self: Arc<Self>, endpoint: Arc<Endpoint>) {
        let mut searching = self.searching.subscribe();
        // Over a reload the round goes on where it was.
        let latest = endpoint.vitals.probed();
        let mut begun = latest.and_then(|probed| probed.at.checked_sub(probed.took));
        loop {
            self.wait(&endpoint, begun, &mut searching).await;
            let Ok(permit) = self.permits.acquire().await else {
                return;
            };
            let started = Instant::now();
            begun = Some(started);
            let asked =
                self.check.probe.ask(&self.connector, endpoint.address(), self.check.timeout);
            let found = asked.await;
            drop(permit);
            let Some(cluster) = self.cluster.upgrade() else {
                return;
            };
            let now = Instant::now();
            cluster.probed(&endpoint, Probed::new(now, now - started, found.err()));
        }
    }

    /// Waits until the next probe is due, which may be sooner once nobody is healthy any more.
    async fn wait(
        &self,
        endpoint: &Endpoint,
        begun: Option<Instant>,
        searching: &mut watch::Receiver<bool>,
    ) {
        let draw = draw();
        let first = Instant::now() + FIRST_WITHIN.mul_f64(draw.abs());
        loop {
            let searches = *searching.borrow_and_update();
            let due = begun
                .map_or(first, |begun| begun + self.check.pause(endpoint.health(), searches, draw));
            tokio::select! {
                () = sleep_until(due) => return,
                // The sender is `self`'s own.
                _ = searching.changed() => {}
            }
        }
    }
}

impl Shared {
    /// True when there are health checks and none of `members` is well by them.
    fn is_searching(&self, members: &[Member]) -> bool {
        self.is_checked() && !members.iter().any(|member| is_healthy(member, true))
    }

    /// Takes in what a probe of `endpoint` found.
    pub(super) fn probed(&self, endpoint: &Arc<Endpoint>, probed: Probed) {
        let Some(check) = &self.settings.health_check else {
            return;
        };
        let problem = probed.problem.clone();
        let recovers = problem.is_none() && endpoint.health() == Health::Unhealthy;
        let state = self.lock();
        // Whoever answers at all is better than nobody.
        let rise = if recovers && self.is_searching(&state.members) { 1 } else { check.rise };
        let Some((from, to)) = endpoint.vitals.probe(probed, rise, check.fall) else {
            return;
        };
        if !state.members.iter().any(|member| Arc::ptr_eq(&member.endpoint, endpoint)) {
            return;
        }
        self.recompute(state);
        let cause = problem.as_deref().unwrap_or("it answers as it should");
        self.report("endpoint", endpoint.name(), from.name(), to.name(), cause);
    }
}
