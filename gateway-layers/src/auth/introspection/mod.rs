//! [`Introspection`]: who is calling, by a token that its issuer is asked about (RFC 7662).
//!
//! For tokens that say nothing themselves, and for those that have to be rejected as soon as they
//! are revoked. What all that ask have in common (the cache, the deadline, what happens when the
//! server is away) is told in [`remote`](super::remote).
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::introspection::{ClientCredentials, Introspection};
//! use gateway_layers::auth::remote::RemoteServer;
//! use gateway_layers::auth::{Authenticate, Forward};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = "s3cret";
//! let server = RemoteServer::url("http://127.0.0.1:9000/introspect");
//! let credentials = ClientCredentials::basic("gateway", secret);
//! let tokens = Introspection::new(server, credentials)
//!     .issuer("https://issuer.example")
//!     .audience("orders")
//!     .forward(Forward::new().field(http::HeaderName::from_static("x-user-id"), "sub"))
//!     .build()?;
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let known = Module::from_service(
//!     ServiceBuilder::new().layer(Authenticate::new(tokens)).service(module),
//! );
//! # Ok(())
//! # }
//! ```

mod credentials;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::credentials::ClientCredentials;
use super::remote::{Active, Presentation, RemoteServer, Settings, common_setters};

/// Clocks that differ by this much are one. Default: 60 s.
pub const DEFAULT_SKEW: Duration = Duration::from_secs(60);

/// An issuer that is asked about its tokens, and what it must say of them. See the [module](self).
#[derive(Clone)]
#[must_use]
pub struct Introspection {
    settings: Settings,
}

impl Introspection {
    /// `server` is asked about tokens, by a gateway that says who it is with `credentials`.
    ///
    /// Where neither issuer nor audience are named, a token is good when the server says so: it has
    /// to know then for whom the gateway asks.
    pub fn new(server: RemoteServer, credentials: ClientCredentials) -> Self {
        let mut settings = Settings::new("introspection", server);
        settings.question.presentation = Presentation::Form;
        settings.question.own = credentials.into_value();
        settings.rules.active = Active::Named("active".to_owned());
        settings.rules.standard = true;
        settings.rules.skew = DEFAULT_SKEW;
        Self { settings }
    }

    /// The `iss` that tokens must have. Default: any, or none.
    pub fn issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.settings.rules.issuer = Some(issuer.into());
        self
    }

    /// Tokens are for this one of us: `aud` must be there and name it. Called again, one of them.
    /// Default: any, or none.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.rules.audience.push(audience.into());
        self
    }

    /// How much the clocks of issuer and gateway may differ, in whole seconds. Default: 60 s, at
    /// most 10 minutes.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.settings.rules.skew = skew;
        self
    }

    common_setters!();
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection")
            .field("server", &self.settings.question.server)
            .field("issuer", &self.settings.rules.issuer)
            .field("audience", &self.settings.rules.audience)
            .finish_non_exhaustive()
    }
}
