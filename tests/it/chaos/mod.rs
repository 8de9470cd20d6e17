//! Every fault of an upstream behind every policy of a route: what the client may be told, and how
//! often a request may have been sent (hardening 15 to 20, 24, 25, 31).
//!
//! A gateway has one policy and two clusters for each fault: in one all of three endpoints have
//! it, in the other one of three. What is allowed follows from the fault and the policy alone; see
//! [`judge`].

mod cell;
mod faults;
mod judge;
mod policies;

use std::sync::Arc;
use std::time::Duration;

use gateway_tests::{Failures, Gateway, GatewayBuilder, Recorder, Upstream, within};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::cell::Cell;
use self::faults::{FAULTS, well};
use self::policies::Policy;

/// So many rounds of cells at the same time, that no good answer is late by itself.
const TURNS: usize = 16;

/// Runs all faults behind a policy.
async fn all_faults(policy: Policy) {
    let fine = [well().await, well().await];
    let spare = well().await;
    let mut builder = Gateway::to(&fine[0]).and(&fine[1]).knows(&spare).with_admin();
    builder = builder
        .timeout("5s")
        .more(&format!("[clusters.spare]\nendpoints = [{:?}]\nhost = \"spare.test\"", spare.url()));
    let mut cells = Vec::new();
    for (index, fault) in FAULTS.iter().enumerate() {
        for all in [true, false] {
            let cell = Cell::new(index, fault, policy, all).await;
            builder = cell.bad.iter().fold(builder, GatewayBuilder::knows);
            builder = builder.more(&cell.document(&fine));
            cells.push(cell);
        }
    }
    let gateway = builder.start().await;
    let (mut running, turns) = (JoinSet::new(), Arc::new(Semaphore::new(TURNS)));
    for cell in cells {
        let (addr, fine, spare) = (gateway.addr(), fine.each_ref().map(share), share(&spare));
        let turns = Arc::clone(&turns);
        running.spawn(async move { cell.run(addr, &fine, &spare, &turns).await });
    }
    let ended = within(Duration::from_secs(60), "all faults", running.join_all()).await;
    let mut failures = Failures::new();
    let mut cells = Vec::new();
    for (outcomes, cell) in ended {
        cells.push(cell);
        for (name, outcome) in outcomes {
            failures.note(&name, outcome);
        }
    }
    failures.assert_none();
    nothing_is_left(&gateway, policy).await;
    fine.iter().for_each(Upstream::heal);
    for cell in &cells {
        cell.recovers(gateway.addr()).await;
    }
    gateway.assert_quiet().await;
}

/// What an upstream has seen, for tasks of their own.
fn share(upstream: &Upstream) -> Arc<Recorder> {
    upstream.recorder()
}

/// Fails unless every request and every permit came back.
async fn nothing_is_left(gateway: &Gateway, policy: Policy) {
    let admin = gateway.admin();
    let returned = async {
        while admin.in_flight().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(Duration::from_secs(5), "nothing in flight", returned).await;
    let clusters = admin.clusters().await;
    let clusters = clusters.as_array().expect("a list");
    for cluster in clusters {
        let limit = &cluster["concurrency"];
        let free = limit["in_use"] == 0 && limit["queued"] == 0;
        assert!(limit.is_null() || free, "{cluster:#}");
    }
    let limits = clusters.iter().filter(|one| one["concurrency"]["limit"] == 1).count();
    let breakers = clusters.iter().filter(|one| one["circuit_breaker"].is_object()).count();
    let expected = |with| if policy == with { FAULTS.len() * 2 } else { 0 };
    assert_eq!(limits, expected(Policy::Limit));
    assert_eq!(breakers, expected(Policy::Breaker));
}

macro_rules! behind {
    ($($name:ident: $policy:ident,)+) => {$(
        #[tokio::test]
        async fn $name() {
            all_faults(Policy::$policy).await;
        }
    )+};
}

behind! {
    every_fault_behind_a_cluster_alone: Alone,
    every_fault_behind_a_retry: Retry,
    every_fault_behind_a_retry_and_a_try_timeout: RetryTry,
    every_fault_behind_a_hedge: Hedge,
    every_fault_behind_a_breaker: Breaker,
    every_fault_behind_a_fallback: Fallback,
    every_fault_behind_a_concurrency_limit: Limit,
}
