//! [`Registry`]: services register themselves and are found by what they take.
//!
//! ```text
//!  service                         gateway                              client
//!     │  POST /services               │                                    │
//!     ├──────────────────────────────►│ token, address allowed, room       │
//!     │◄──────────────────────────────┤ id, secret, lease     (pending)    │
//!     │  GET /health                  │                                    │
//!     │◄──────────────────────────────┤ the gateway's own check            │
//!     ├──────────────────────────────►│ 200                   (active)     │
//!     │  PUT /services/ID/heartbeat   │            GET /resources/users    │
//!     ├──────────────────────────────►│◄───────────────────────────────────┤
//!     │◄──────────────────────────────┤ the least loaded service that is   │
//!     │        the request            │ well and takes `users`             │
//! ```
//!
//! - [`RegistryModule`] is the HTTP API, behind tokens.
//! - [`RegistrySource`] feeds the endpoints of a cluster: those of one service, or of all that
//!   take something.
//! - [`CapabilityModule`] forwards each request to a service that takes it.
//! - [`Registry`] does the same for the program itself, and takes modules of this process beside
//!   services at addresses.
//!
//! ```
//! use gateway_core::{FixedResponse, Gateway, Module, Route, RouteMatch};
//! use gateway_layers::registry::{
//!     AllowList, Capabilities, CapabilityModule, Registry, RegistryModule, ServiceTokens,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::builder().allow(AllowList::new(["10.0.0.0/8"])?).build();
//! let api = RegistryModule::new(&registry, ServiceTokens::new(["a-token-of-16-bytes-or-more"])?);
//! let resources = CapabilityModule::new(&registry).param("resource_type", "type");
//! let gateway = Gateway::builder()
//!     .route(Route::new("registry", Module::new(api)).matching(RouteMatch::prefix("/registry")?))
//!     .route(
//!         Route::new("resources", Module::new(resources))
//!             .matching(RouteMatch::path("/resources/{type}")?),
//!     )
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! A module of this process, found in the same way:
//!
//! ```
//! # use gateway_core::context::Metadata;
//! # use gateway_core::{FixedResponse, Module};
//! # use gateway_layers::registry::{Capabilities, Registry, RegistryError};
//! # async fn example(registry: &Registry) -> Result<(), RegistryError> {
//! let users = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let takes = Capabilities::new().with("resource_type", ["users"]);
//! registry.register_service("users", users, takes, Metadata::default()).await?;
//! # Ok(())
//! # }
//! ```

mod address;
mod api;
mod capability;
mod capable;
mod check;
mod error;
mod query;
mod registration;
#[allow(clippy::module_inception, reason = "the handle, by its name")]
mod registry;
mod secret;
mod settings;
mod shared;
mod source;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod upkeep;
mod view;

pub use self::address::{AddressError, AllowError, AllowList, Resolve, SystemResolver};
pub use self::api::RegistryModule;
pub use self::capability::Capabilities;
pub use self::capable::{CapabilityModule, Choice};
pub use self::check::Check;
pub use self::error::{Fault, RegistryError};
pub use self::registration::{Place, Record, Registration};
pub use self::registry::{Registered, Registry, RegistryBuilder};
pub use self::secret::RegistrationSecret;
pub use self::settings::{CheckConfig, LeaseConfig, RegistryLimits};
pub use self::source::RegistrySource;
pub use self::state::InstanceState;
pub use self::store::{Loaded, MemoryStore, RegistryStore, Stored};
#[cfg(feature = "redis")]
pub use self::store::{RedisStore, RedisStoreError};
pub use self::token::{ServiceToken, ServiceTokens, TokenError};
pub use self::view::InstanceStatus;
