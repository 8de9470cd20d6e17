//! [`ModuleService`]: what the gateway routes to.
//!
//! A module answers requests. One that lives in this process and a cluster of remote endpoints
//! look the same. A module can be written by hand, made of a function ([`module_fn`]) or of any
//! tower `Service` ([`Module::from_service`]), and is a tower `Service` itself.

mod fixed;
mod function;
mod handle;
mod health;
mod monitored;
mod registry;
mod tower;
mod upgrade;

use std::future::{Future, ready};

use http::request;

pub use self::fixed::{FixedResponse, NotFound};
pub use self::function::{ModuleFn, module_fn};
pub use self::handle::{Module, ModuleFuture};
pub use self::health::Health;
pub(crate) use self::health::Streak;
pub use self::monitored::{MonitorConfig, Monitored};
pub use self::registry::Modules;
pub use self::tower::TowerModule;
use crate::context::Metadata;
use crate::message::{Outcome, Request};

/// Something that answers requests.
///
/// ```
/// use gateway_core::{Body, ModuleService, Outcome, Request, Response};
///
/// struct Echo;
///
/// impl ModuleService for Echo {
///     async fn call(&self, request: Request) -> Outcome {
///         Ok(Response::new(request.into_body()))
///     }
/// }
/// ```
pub trait ModuleService: Send + Sync + 'static {
    /// Answers one request. An error becomes a response at the edge of the gateway.
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send;

    /// May this module take the request? Used where several modules could (capability matching);
    /// `metadata` is the route's. Default: yes.
    fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool {
        let _ = (head, metadata);
        true
    }

    /// Is the module well? Default: yes.
    fn health(&self) -> impl Future<Output = Health> + Send {
        ready(Health::Healthy)
    }
}
