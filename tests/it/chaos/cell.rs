//! One fault behind one policy, at all of three endpoints or at one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_tests::{Client, Payload, Recorder, Upstream, within};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::faults::{Fault, Kind};
use super::judge::{Case, judge};
use super::policies::Policy;

const ROUNDS: usize = 4;

/// Of a fault that takes all of the time: both protocols of clients once.
const SLOW_ROUNDS: usize = 2;

/// A body that fits into memory and not into one segment.
const BODY: u64 = 5_000;

pub(super) struct Cell {
    index: usize,
    fault: &'static Fault,
    policy: Policy,
    all: bool,
    pub(super) bad: Vec<Upstream>,
}

type Outcomes = Vec<(String, Result<(), String>)>;

impl Cell {
    pub(super) async fn new(
        index: usize,
        fault: &'static Fault,
        policy: Policy,
        all: bool,
    ) -> Self {
        let mut bad = Vec::new();
        for _ in 0..if all { 3 } else { 1 } {
            bad.push(fault.upstream().await);
        }
        Self { index, fault, policy, all, bad }
    }

    fn id(&self) -> String {
        format!("{}-{}", self.index, if self.all { "all" } else { "one" })
    }

    /// Its cluster and its route.
    pub(super) fn document(&self, fine: &[Upstream; 2]) -> String {
        let fine = fine.iter().filter(|_| !self.all);
        let urls: Vec<String> = self.bad.iter().chain(fine).map(Upstream::url).collect();
        let id = self.id();
        format!(
            "[clusters.c{id}]\nendpoints = {urls:?}\nbalance = \"round_robin\"\n\
             outlier_detection = {{ base_ejection_time = \"200ms\", max_ejection_time = \"200ms\" }}\n{}\n\
             [[routes]]\nid = \"r{id}\"\nmatch = {{ prefix = \"/{id}\" }}\n\
             target = {{ cluster = \"c{id}\" }}\npolicy.timeout = \"2500ms\"\n{}",
            self.policy.cluster(),
            self.policy.route(),
        )
    }

    /// Asks, and judges every answer. Gives itself back, so that its upstreams live on.
    pub(super) async fn run(
        self,
        addr: SocketAddr,
        fine: &[Arc<Recorder>; 2],
        spare: &Arc<Recorder>,
        turns: &Semaphore,
    ) -> (Outcomes, Self) {
        let mut outcomes = Vec::new();
        let rounds = if self.fault.is_slow() { SLOW_ROUNDS } else { ROUNDS };
        for round in 0..rounds {
            let _turn = turns.acquire().await.expect("never closed");
            let mut asking = JoinSet::new();
            for method in ["GET", "PUT", "POST"] {
                let mut client = match round % 2 {
                    0 => Client::http1(addr),
                    _ => Client::http2(addr),
                };
                let target = format!("/{}/{method}/{round}", self.id());
                let body = if method == "GET" { Payload::empty() } else { Payload::pattern(BODY) };
                asking.spawn(async move {
                    let reply = client.method(method, &target, body).await;
                    (method, target, reply)
                });
            }
            for (method, target, reply) in asking.join_all().await {
                let sent = |recorder: &Recorder| recorder.seen_for(&target);
                let bad = self.bad.iter().flat_map(|one| sent(one)).collect();
                let case = Case {
                    fault: self.fault,
                    policy: self.policy,
                    all: self.all,
                    method,
                    target: &target,
                    reply: &reply,
                    fine: fine.iter().flat_map(|one| sent(one)).collect(),
                    bad,
                    spare: sent(spare),
                };
                let all = if self.all { "all" } else { "one" };
                let name = format!("{:?}, {all}: {}, {target}", self.policy, self.fault.name);
                outcomes.push((name, judge(&case)));
            }
        }
        (outcomes, self)
    }

    /// Without its fault everything is as before: what was left out is asked again, a breaker
    /// closes, and no permit is missing.
    pub(super) async fn recovers(&self, addr: SocketAddr) {
        if self.all && matches!(self.fault.kind, Kind::Rejects) {
            return;
        }
        self.bad.iter().for_each(Upstream::heal);
        let target = format!("/{}", self.id());
        let mut client = Client::http1(addr);
        let asking = async {
            let mut well = 0;
            while well < 3 {
                let reply = client.get(&target).await;
                well = if reply.status == 200 { well + 1 } else { 0 };
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let what = format!("{:?}: {} recovers, {target}", self.policy, self.fault.name);
        within(Duration::from_secs(5), &what, asking).await;
    }
}
