//! [`FallbackConfig`]: which failures are fallen back from.

use gateway_core::Reason;
use gateway_core::replay::REPLAY_LIMIT;
use http::StatusCode;

/// Which failures are fallen back from, and with what.
///
/// ```
/// use gateway_layers::fallback::{FallbackConfig, FailureKind};
///
/// let mut config = FallbackConfig::default();
/// config.on = vec![FailureKind::Connect, FailureKind::Unavailable];
/// config.statuses = vec![http::StatusCode::SERVICE_UNAVAILABLE];
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackConfig {
    /// The failures without an answer. Default: all kinds.
    pub on: Vec<FailureKind>,
    /// The answers with these statuses. Default: 502, 503 and 504.
    pub statuses: Vec<StatusCode>,
    /// Whether a module is asked to do again what may have been done already: a request with a
    /// method like POST, which is not idempotent (RFC 9110, section 9.2.2), after a failure that
    /// does not exclude that it arrived. Default: it is not, and the failure stands. A fixed answer
    /// does nothing and is given for any method.
    pub any_method: bool,
    /// A request's body is kept for a module up to this size. Default: 64 KiB. When a larger one
    /// has been sent already, the failure stands.
    pub replay_limit: usize,
}

impl Default for FallbackConfig {
    fn default() -> Self {
        Self {
            on: FailureKind::ALL.to_vec(),
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            any_method: false,
            replay_limit: REPLAY_LIMIT,
        }
    }
}

/// A kind of failure that can be fallen back from. What a client did wrong is of no kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// `connect`: no connection came about, or no secure one.
    Connect,
    /// `reset`: the connection ended before the answer.
    Reset,
    /// `invalid`: the answer is not HTTP, or breaks a limit.
    Invalid,
    /// `timeout`: the answer took too long, by the gateway's own time. A client's shorter deadline
    /// is no failure.
    Timeout,
    /// `unavailable`: nobody could be asked. No endpoint, an open circuit, all busy, a queue full
    /// or too slow, a module that is not well.
    Unavailable,
    /// `failed`: a module in this process failed or panicked.
    Failed,
}

impl FailureKind {
    /// Every kind there is.
    pub const ALL: &'static [Self] = &[
        Self::Connect,
        Self::Reset,
        Self::Invalid,
        Self::Timeout,
        Self::Unavailable,
        Self::Failed,
    ];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Invalid => "invalid",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }

    /// The kind with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The kind of failures for this reason; `None` for what a client did or the gateway decided.
    pub const fn of(reason: Reason) -> Option<Self> {
        Some(match reason {
            Reason::ConnectFailed | Reason::ConnectTimeout | Reason::TlsFailed => Self::Connect,
            Reason::UpstreamClosed | Reason::UpstreamIncomplete => Self::Reset,
            Reason::UpstreamProtocol
            | Reason::UpstreamHeadersTooLarge
            | Reason::UpstreamUpgrade
            | Reason::UpstreamInterim => Self::Invalid,
            Reason::AttemptTimeout
            | Reason::ResponseHeadTimeout
            | Reason::StreamIdle
            | Reason::RouteTimeout => Self::Timeout,
            Reason::NoEndpoint
            | Reason::PendingOverflow
            | Reason::PendingTimeout
            | Reason::CircuitOpen
            | Reason::ConcurrencyLimit
            | Reason::QueueTimeout
            | Reason::EndpointsBusy
            | Reason::StickyEndpointGone
            | Reason::ModuleUnhealthy => Self::Unavailable,
            Reason::ModuleFailed | Reason::Panicked => Self::Failed,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::HealthSignal;

    use super::*;

    #[test]
    fn words_are_found_again() {
        for kind in FailureKind::ALL {
            assert_eq!(FailureKind::from_name(kind.name()), Some(*kind));
        }
        assert_eq!(FailureKind::from_name("Connect"), None);
    }

    #[test]
    fn every_failure_of_a_server_has_a_kind_and_no_failure_of_a_client() {
        for &reason in Reason::ALL {
            let kind = FailureKind::of(reason);
            if reason.health_signal() == HealthSignal::Failure {
                assert!(kind.is_some(), "{reason}");
            }
            if reason.status().is_client_error() {
                assert_eq!(kind, None, "{reason}");
            }
        }
        assert_eq!(FailureKind::of(Reason::LoadShed), None, "more work is no help");
        assert_eq!(FailureKind::of(Reason::RewriteFailed), None);
    }
}
