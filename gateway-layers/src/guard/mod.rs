//! Guards: filters that may have to wait before a request goes on.
//!
//! A [`Guard`] sees the whole request and decides at once where it can. Where it has to ask
//! somebody (a key server, a store of counts), it says so and is asked again with the request when
//! the answer is there. A [`GuardChain`] runs any number of them in one layer, so that a route with
//! identity, limits and permissions has one service and one future for all of it.
//!
//! ```
//! use gateway_core::{Error, FixedResponse, Module, Reason, Request};
//! use gateway_layers::guard::{Checked, Guard, GuardLayer};
//! use tower::ServiceBuilder;
//!
//! /// Takes a request only where somebody who has to be asked first agrees.
//! struct Ask;
//!
//! impl Guard for Ask {
//!     fn check(&self, request: &mut Request) -> Checked {
//!         let path = request.uri().path().to_owned();
//!         Checked::wait(async move {
//!             let agreed = path != "/secret"; // Somebody is asked here, with a deadline.
//!             move |request: &mut Request| {
//!                 request.headers_mut().remove("x-draft");
//!                 if agreed { Checked::Pass } else { Checked::Reject(Reason::Forbidden.into()) }
//!             }
//!         })
//!     }
//! }
//!
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let guarded = Module::from_service(
//!     ServiceBuilder::new().layer(GuardLayer::new(Ask)).service(module),
//! );
//! ```

mod chain;
mod layer;
mod rejected;
mod service;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use gateway_core::{Error, Request, Response, TargetEdits};

pub use self::chain::GuardChain;
pub use self::layer::GuardLayer;
pub use self::rejected::CheckRejected;
pub use self::service::{GuardService, ResponseFuture};
use crate::filter::{Filter, Flow};

/// Looks at or edits a request, may stop it, and may have to wait before it can say so.
///
/// It runs on the request path and must not block.
pub trait Guard: Send + Sync + 'static {
    /// Decides about one request, or says what has to be waited for.
    fn check(&self, request: &mut Request) -> Checked;

    /// Checks whether the request is rejected whatever else becomes known about it. A request that
    /// passes leaves no trace here, and [`check`](Self::check) decides about it later. Asked before
    /// a guard in front of this one waits for something expensive; see [`CheckRejected`]. Default:
    /// it passes.
    fn check_early(&self, request: &mut Request) -> Checked {
        let _ = request;
        Checked::Pass
    }
}

/// What becomes of a request that a guard has seen.
#[must_use]
pub enum Checked {
    /// It goes on, as the guard left it.
    Pass,
    /// It fails; the error becomes a response at the edge of the gateway.
    Reject(Error),
    /// It is answered with this.
    Answer(Response),
    /// It cannot be said yet; see [`wait`](Self::wait).
    Wait(Wait),
}

/// What is waited for: it ends with what is done with the request then.
pub type Wait = Pin<Box<dyn Future<Output = Then> + Send>>;

/// What is done with a request once the waiting is over.
pub type Then = Box<dyn FnOnce(&mut Request) -> Checked + Send>;

impl Checked {
    /// Waits for `asked`, which has a deadline of its own, and does with the request what it ends
    /// with. The future is dropped when the client leaves.
    pub fn wait<F, T>(asked: F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
        T: FnOnce(&mut Request) -> Self + Send + 'static,
    {
        Self::Wait(Box::pin(async move { Box::new(asked.await) as Then }))
    }
}

impl From<Result<(), Error>> for Checked {
    fn from(checked: Result<(), Error>) -> Self {
        checked.map_or_else(Self::Reject, |()| Self::Pass)
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("Pass"),
            Self::Reject(error) => f.debug_tuple("Reject").field(error).finish(),
            Self::Answer(response) => f.debug_tuple("Answer").field(&response.status()).finish(),
            Self::Wait(_) => f.write_str("Wait"),
        }
    }
}

/// A filter is a guard that never waits.
impl<F: Filter> Guard for F {
    fn check(&self, request: &mut Request) -> Checked {
        let (mut head, body) = std::mem::take(request).into_parts();
        let flow = self.apply(&mut head);
        *request = Request::from_parts(head, body);
        match flow {
            Flow::Continue => Checked::Pass,
            Flow::Reject(error) => Checked::Reject(error),
            Flow::Answer(response) => Checked::Answer(response),
        }
    }
}

/// Rewrites and edits the request for the target of its route: the last guard of a route.
impl Guard for TargetEdits {
    fn check(&self, request: &mut Request) -> Checked {
        self.apply(request).into()
    }
}
