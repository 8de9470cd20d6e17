//! The policies, and what each of them may add to what a fault does.

/// What stands between a route and its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    Alone,
    Retry,
    RetryTry,
    Hedge,
    Breaker,
    Fallback,
    Limit,
}

impl Policy {
    /// Lines of the cluster's table.
    pub(super) fn cluster(self) -> &'static str {
        match self {
            Self::Breaker => {
                "circuit_breaker = { consecutive_failures = 3, open = \"200ms\", half_open = 1, \
                 probe_timeout = \"1s\" }"
            }
            Self::Limit => "concurrency = { limit = 1, queue = 2, queue_timeout = \"100ms\" }",
            _ => "",
        }
    }

    /// Lines of the route's table.
    pub(super) fn route(self) -> &'static str {
        match self {
            Self::Retry => "policy.retry = { max_retries = 2, backoff = { base = \"5ms\" } }",
            Self::RetryTry => {
                "policy.attempt_timeout = \"700ms\"\n\
                 policy.retry = { max_retries = 2, on = [\"connect\", \"reset\", \"timeout\"] }"
            }
            Self::Hedge => "policy.hedge = { delay = \"50ms\" }",
            Self::Fallback => "policy.fallback = { cluster = \"spare\" }",
            _ => "",
        }
    }

    /// The reasons of its own rejections.
    pub(super) fn rejections(self) -> &'static [&'static str] {
        match self {
            Self::Breaker => &["circuit_open"],
            Self::Limit => &["concurrency_limit", "queue_timeout"],
            _ => &[],
        }
    }

    /// How often a request that may be sent twice is seen at most, over all upstreams.
    ///
    /// Everybody may ask two endpoints by itself or as often as the policy says, and once more on a
    /// fresh connection where a used one had died.
    pub(super) fn sends(self, dies_when_used: bool) -> usize {
        let attempts = match self {
            Self::Retry | Self::RetryTry => 3,
            // Both ask two endpoints, or the cluster does and then the other cluster.
            Self::Hedge => 4,
            Self::Fallback => 3,
            Self::Alone | Self::Breaker | Self::Limit => 2,
        };
        if dies_when_used { attempts * 2 } else { attempts }
    }
}
