//! [`TimeoutLayer`].

use std::time::Duration;

use tower_layer::Layer;

use super::service::Timeout;

/// Gives requests a deadline; see the [module](super).
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct TimeoutLayer {
    timeout: Duration,
    honor_client_deadline: bool,
}

impl TimeoutLayer {
    /// Requests have `timeout` from the moment their head was complete.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, honor_client_deadline: true }
    }

    /// Sets no limit of its own: only a client's own deadline holds.
    pub fn unlimited() -> Self {
        Self::new(Duration::MAX)
    }

    /// Whether a client's `grpc-timeout` and `x-request-deadline-ms` shorten the time. Default:
    /// they do.
    pub fn honor_client_deadline(mut self, honor_client_deadline: bool) -> Self {
        self.honor_client_deadline = honor_client_deadline;
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.timeout, self.honor_client_deadline)
    }
}
