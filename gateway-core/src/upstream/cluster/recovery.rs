//! Connection probes of endpoints that were ejected because they could not be reached.
//!
//! A process that restarts refuses connections for a moment. Its ejection would outlast that by
//! far, and the next process to restart would leave the cluster without an endpoint.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::shared::Shared;
use crate::error::Reason;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::health::draw;

/// The pause before the first probe of an endpoint that was not ejected lately.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two probes.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Each pause is longer than the one before by this factor: an endpoint is back after at most
/// half of its outage again.
const PAUSE_GROWTH: f64 = 1.5;

/// The gateways of a fleet do not probe in step.
const JITTER: f64 = 0.1;

/// How an ejected endpoint is probed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// The endpoint has refused a connection since it last accepted one. Without that, a
    /// connection that is accepted proves nothing: the failures were of another kind.
    rejected: bool,
    pause: Duration,
}

impl Probe {
    /// The probe of an endpoint whose last failure was `failure`, and that was ejected `before`
    /// times already; `None` where connections say nothing about it.
    pub(super) fn after(failure: Reason, before: u32) -> Option<Self> {
        let rejected = match failure {
            Reason::ConnectFailed | Reason::ConnectTimeout | Reason::TlsFailed => true,
            // It may have been ended, and refuses connections by now.
            Reason::UpstreamClosed => false,
            _ => return None,
        };
        // One that accepts a connection and fails again is not back at once each time.
        let doubled = FIRST_PAUSE.saturating_mul(1 << before.min(8));
        Some(Self { rejected, pause: doubled.min(LONGEST_PAUSE) })
    }
}

impl Shared {
    /// Ends the ejection of `endpoint`, which lasts until `until`, once it can be reached again.
    pub(super) fn watch_recovery(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        until: Instant,
        probe: Probe,
    ) {
        let watch = watch(Arc::downgrade(self), Arc::clone(endpoint), until, probe);
        self.tasks.spawn("probe ejected endpoint", watch);
    }

    fn is_member(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.members().iter().any(|member| Arc::ptr_eq(&member.endpoint, endpoint))
    }

    fn recovered(&self, endpoint: &Arc<Endpoint>, until: Instant) {
        if endpoint.vitals.readmit_reached(until, Instant::now()) && self.is_member(endpoint) {
            self.recompute(self.lock());
            self.report("endpoint", endpoint.name(), "ejected", "in", "it accepts connections");
        }
    }
}

/// Opens one connection after the other until one is accepted, or the ejection has ended.
async fn watch(cluster: Weak<Shared>, endpoint: Arc<Endpoint>, until: Instant, mut probe: Probe) {
    loop {
        sleep(probe.pause.mul_f64(1.0 + JITTER * draw())).await;
        let Some(shared) = cluster.upgrade() else {
            return;
        };
        if !endpoint.vitals.is_ejected_until(until) || !shared.is_member(&endpoint) {
            return;
        }
        let connector = shared.connector.clone();
        let deadline = Instant::now() + shared.settings.timeouts.connect;
        // The task belongs to the cluster, and must not keep it.
        drop(shared);
        let accepted = connector.connect(endpoint.address(), deadline).await.is_ok();
        if accepted {
            if probe.rejected
                && let Some(shared) = cluster.upgrade()
            {
                shared.recovered(&endpoint, until);
            }
            return;
        }
        probe.rejected = true;
        probe.pause = probe.pause.mul_f64(PAUSE_GROWTH).min(LONGEST_PAUSE);
    }
}
