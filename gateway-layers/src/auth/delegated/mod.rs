//! [`Delegated`]: who is calling, by a token that another service verifies in its own way.
//!
//! For systems in which one service knows the users: each request's token is shown to it at an
//! address such as `POST /auth/verify`, and what it answers says who is calling. What all that ask
//! have in common (the cache, the deadline, what happens when the service is away) is told in
//! [`remote`](mod@super::remote).
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::delegated::{Delegated, Presentation};
//! use gateway_layers::auth::remote::RemoteServer;
//! use gateway_layers::auth::{Authenticate, Forward};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let users = Module::new(FixedResponse::new(http::StatusCode::UNAUTHORIZED));
//! # let tasks = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let tokens = Delegated::new(RemoteServer::module(users, "/auth/verify"))
//!     .send(Presentation::Json("token".to_owned()))
//!     .subject_claim("user.id")
//!     .roles_claims(["user.roles"])
//!     .forward(Forward::new().field(http::HeaderName::from_static("x-user-id"), "subject"))
//!     .build()?;
//! let known = Module::from_service(
//!     ServiceBuilder::new().layer(Authenticate::new(tokens)).service(tasks),
//! );
//! # Ok(())
//! # }
//! ```

use std::fmt;

use http::{HeaderName, Method, StatusCode};

use super::remote::{self, Active, RemoteServer, Settings, common_setters};

/// How a token is shown to the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Presentation {
    /// `Authorization: Bearer TOKEN` (RFC 6750, section 2.1).
    #[default]
    Bearer,
    /// As the value of this field.
    Header(HeaderName),
    /// As the cookie of this name.
    Cookie(String),
    /// As the member of this name of a JSON object, which is the body.
    Json(String),
}

/// A service that verifies tokens in its own way, and what its answers mean. See the
/// [module](self).
///
/// A token is good where the answer is a 200 with a JSON object that says who it is. Where members
/// called `active` or `valid` stand in it, they must be true.
#[derive(Clone)]
#[must_use]
pub struct Delegated {
    settings: Settings,
}

impl Delegated {
    /// `server` verifies tokens.
    pub fn new(server: RemoteServer) -> Self {
        let mut settings = Settings::new("delegated", server);
        settings.question.rejections = vec![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        Self { settings }
    }

    /// The method of the question. Default: `POST`.
    pub fn method(mut self, method: Method) -> Self {
        self.settings.question.method = method;
        self
    }

    /// How a token is shown to the service. Default: as a bearer token in `Authorization`.
    pub fn send(mut self, presentation: Presentation) -> Self {
        self.settings.question.presentation = match presentation {
            Presentation::Bearer => remote::Presentation::Bearer,
            Presentation::Header(name) => remote::Presentation::Header(name),
            Presentation::Cookie(name) => remote::Presentation::Cookie(name),
            Presentation::Json(name) => remote::Presentation::Json(name),
        };
        self
    }

    /// The statuses that say that a token is not good; all others but 200 say that the service
    /// cannot tell. Default: 401 and 403.
    pub fn rejected_statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.settings.question.rejections = statuses.into_iter().collect();
        self
    }

    /// The member that says whether the token is good: it must be there, and true. Default: any of
    /// `active` and `valid` that is there must be true.
    pub fn active_claim(mut self, name: impl Into<String>) -> Self {
        self.settings.rules.active = Active::Named(name.into());
        self
    }

    /// The member that says when the token ends, in seconds since 1970; `None`: none does. An
    /// answer is not kept for longer. Default: `exp`, where it is there.
    pub fn expires_claim(mut self, name: Option<String>) -> Self {
        self.settings.rules.expires = name;
        self
    }

    common_setters!();
}

impl fmt::Debug for Delegated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delegated")
            .field("server", &self.settings.question.server)
            .finish_non_exhaustive()
    }
}
