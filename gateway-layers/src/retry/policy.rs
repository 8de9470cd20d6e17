//! [`Policy`]: what may be retried, and when.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_core::replay::is_idempotent;
use gateway_core::{Clock, Outcome, Request, grpc};
use http::{Method, StatusCode, header};
use http_body::Body as _;

use super::condition::{Condition, Conditions};
use super::config::{Backoff, MOST_RETRIES, RetryConfig};
use super::retry_after;
use gateway_core::budget::RetryBudget;

/// The rules of one layer, and what its services share.
pub(super) struct Policy {
    pub(super) max_retries: u32,
    on: Conditions,
    statuses: Vec<StatusCode>,
    methods: Vec<Method>,
    backoff: Backoff,
    pub(super) max_wait: Duration,
    pub(super) replay_limit: usize,
    pub(super) budget: RetryBudget,
    random: AtomicU64,
    clock: Arc<dyn Clock>,
}

/// After which failures a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// After any of those that were asked for.
    Any,
    /// After those that left nothing behind.
    Unsent,
}

/// A failure that may be retried.
#[derive(Debug)]
pub(super) struct Failure {
    /// The wait that whoever failed asked for.
    pub(super) retry_after: Option<Duration>,
}

impl Policy {
    pub(super) fn new(
        config: &RetryConfig,
        budget: RetryBudget,
        seed: u64,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            max_retries: config.max_retries.min(MOST_RETRIES),
            on: Conditions::new(&config.on),
            statuses: config.statuses.clone(),
            methods: config.methods.clone(),
            backoff: config.backoff,
            max_wait: config.max_wait,
            replay_limit: config.replay_limit,
            budget,
            random: AtomicU64::new(seed),
            clock,
        }
    }

    /// After which failures `request` may be sent again; `None` when after none, so that nothing
    /// needs to be kept of it.
    pub(super) fn scope(&self, request: &Request) -> Option<Scope> {
        let (method, headers) = (request.method(), request.headers());
        let large = request.body().size_hint().lower() > self.replay_limit as u64;
        let tunnel = *method == Method::CONNECT || headers.contains_key(header::UPGRADE);
        if self.max_retries == 0 || large || tunnel {
            return None;
        }
        if is_idempotent(method, headers) || self.methods.contains(method) {
            return Some(Scope::Any);
        }
        self.on.may_be_unsent().then_some(Scope::Unsent)
    }

    /// True when every try has a share of the request's time.
    pub(super) fn divides_time(&self) -> bool {
        self.on.contains(Condition::Timeout)
    }

    /// `outcome`, of a gRPC call or not, as a failure that may be retried.
    pub(super) fn failure(&self, outcome: &Outcome, scope: Scope, call: bool) -> Option<Failure> {
        match outcome {
            Err(error) => {
                let allowed = scope == Scope::Any || error.is_unsent();
                (allowed && self.on.hold_for(error))
                    .then(|| Failure { retry_after: error.retry_after() })
            }
            Ok(response) => {
                let status = grpc::effective_status(call, response);
                let asked_for =
                    self.statuses.contains(&status) || self.on.hold_for_answer(response);
                (scope == Scope::Any && asked_for).then(|| Failure {
                    retry_after: retry_after::asked_for(response.headers(), &*self.clock),
                })
            }
        }
    }

    /// The wait before the retry that follows on `retries` others.
    pub(super) fn backoff(&self, retries: u32) -> Duration {
        self.backoff.wait(retries, self.draw())
    }

    /// Weyl sequence with a strong mixer (SplitMix64): one atomic add, good enough for spreading.
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut mixed = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("max_retries", &self.max_retries)
            .field("on", &self.on)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
