//! [`CheckRejected`]: a second guard for whoever the first does not know.

use std::fmt;
use std::sync::Arc;

use gateway_core::Request;
use http::StatusCode;

use super::{Checked, Guard, Wait};

/// A guard that asks for credentials, and a second one that sees whom it rejects (401): rate limits,
/// so that whoever guesses is counted as everybody else is.
///
/// Where the first guard has to wait (for a password to be verified, for a server that knows the
/// token), the second is asked [early](Guard::check_early): a client that is over a limit by its
/// address costs no verification.
///
/// Who is over a limit hears that, whether the guess was right or wrong: behind the first guard the
/// same limits stand for those whom it knows. Else he hears what the first guard said.
///
/// ```
/// # #[cfg(feature = "jwt")]
/// # fn guarded(
/// #     tokens: gateway_layers::auth::jwt::JwtAuthenticator,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use gateway_layers::auth::Authenticate;
/// use gateway_layers::guard::{CheckRejected, GuardChain};
/// use gateway_layers::rate_limit::{Limit, RateLimiter};
///
/// let limiter = RateLimiter::new(Limit::per_minute(100).by_ip())?;
/// let guards = GuardChain::new()
///     .then(CheckRejected::new(Authenticate::new(tokens), limiter.clone()))
///     .then(limiter);
/// # let _ = guards;
/// # Ok(())
/// # }
/// ```
pub struct CheckRejected<G, C> {
    guard: G,
    second: Arc<C>,
}

impl<G, C> CheckRejected<G, C> {
    /// `guard`, and `second` for whom it rejects with 401.
    pub fn new(guard: G, second: C) -> Self {
        Self { guard, second: Arc::new(second) }
    }
}

impl<G: Guard, C: Guard> Guard for CheckRejected<G, C> {
    fn check(&self, request: &mut Request) -> Checked {
        match self.guard.check(request) {
            // The usual one is not moved about.
            Checked::Pass => Checked::Pass,
            Checked::Wait(wait) => early(&self.second, wait, request),
            first => second_look(&self.second, first, request),
        }
    }
}

/// Waits as the first guard asks, unless the second rejects the request before that.
fn early<C: Guard>(second: &Arc<C>, wait: Wait, request: &mut Request) -> Checked {
    match second.check_early(request) {
        Checked::Pass => second_look(second, Checked::Wait(wait), request),
        Checked::Wait(looking) => {
            let second = Arc::clone(second);
            Checked::wait(async move {
                let then = looking.await;
                move |request: &mut Request| match then(request) {
                    Checked::Pass => second_look(&second, Checked::Wait(wait), request),
                    stop => stop,
                }
            })
        }
        stop => stop,
    }
}

/// What the second guard makes of what the first has said.
fn second_look<C: Guard>(second: &Arc<C>, first: Checked, request: &mut Request) -> Checked {
    match first {
        Checked::Wait(wait) => {
            let second = Arc::clone(second);
            Checked::wait(async move {
                let then = wait.await;
                move |request: &mut Request| second_look(&second, then(request), request)
            })
        }
        rejection if asks_for_credentials(&rejection) => unless(second.check(request), rejection),
        first => first,
    }
}

fn asks_for_credentials(checked: &Checked) -> bool {
    match checked {
        Checked::Reject(error) => error.reason().status() == StatusCode::UNAUTHORIZED,
        Checked::Answer(response) => response.status() == StatusCode::UNAUTHORIZED,
        _ => false,
    }
}

/// `rejection`, unless the second guard stops the request itself.
fn unless(second: Checked, rejection: Checked) -> Checked {
    match second {
        Checked::Pass => rejection,
        Checked::Wait(wait) => Checked::wait(async move {
            let then = wait.await;
            move |request: &mut Request| unless(then(request), rejection)
        }),
        stop => stop,
    }
}

impl<G, C> fmt::Debug for CheckRejected<G, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckRejected").finish_non_exhaustive()
    }
}
