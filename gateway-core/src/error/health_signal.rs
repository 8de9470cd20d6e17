//! [`HealthSignal`]: the side that a failure is blamed on.

use http::StatusCode;

use super::{Error, GrpcStatus};

/// What an outcome says about whoever answered, or was to answer: what a circuit breaker and the
/// ejection of endpoints count.
///
/// Failures are what a server in trouble does: connections refused or broken, answers that are
/// late or no HTTP, and the statuses 502, 503 and 504. A 500 is an application's answer to one
/// request, and what a client did wrong, or left behind, says nothing about the server. That a
/// request ran out of time says so only where the time was the gateway's own
/// ([`RequestContext::is_overdue`](crate::RequestContext::is_overdue)), not a client's hurry.
///
/// For a gRPC call its status decides: see [`of_grpc`](Self::of_grpc).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthSignal {
    /// It answers.
    Success,
    /// It is in trouble.
    Failure,
    /// Nothing follows.
    Neutral,
}

impl HealthSignal {
    /// What an answer or a failure says.
    pub fn of<B>(outcome: Result<&http::Response<B>, &Error>) -> Self {
        match outcome {
            Ok(response) => Self::of_status(response.status()),
            Err(error) => error.reason().health_signal(),
        }
    }

    /// What a status says.
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            502..=504 => Self::Failure,
            _ => Self::Success,
        }
    }

    /// The signal of a gRPC status.
    ///
    /// Failures are the statuses of a server in trouble: `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`,
    /// `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS`. `UNKNOWN` is what an exception of the application
    /// becomes, as the status 500 is over HTTP, and like the other statuses a response. A call that
    /// was `CANCELLED` says nothing.
    pub const fn of_grpc(status: GrpcStatus) -> Self {
        match status {
            GrpcStatus::DeadlineExceeded
            | GrpcStatus::ResourceExhausted
            | GrpcStatus::Internal
            | GrpcStatus::Unavailable
            | GrpcStatus::DataLoss => Self::Failure,
            GrpcStatus::Cancelled => Self::Neutral,
            _ => Self::Success,
        }
    }
}
