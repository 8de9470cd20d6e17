//! [`RemoteAuthenticator`]: who is calling, by a token that a server knows.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{Clock, Error, Reason, Request, SystemClock};
use http::header::{HeaderName, HeaderValue};

use super::flight::Rejection;
use super::rules::Rules;
use super::server::{Question, RemoteServer};
use super::settings::{RemoteConfig, RemoteError};
use super::status::RemoteStatus;
use super::verifier::{Checked, Verifier};
use crate::auth::authenticator::{Authentication, Authenticator, Identity};
use crate::auth::challenge::Challenge;
use crate::auth::credentials::{
    CredentialHandling, CredentialSource, find_credential, remove_credentials,
};
use crate::auth::fault::TokenRejection;

/// Who is calling, by a token that a server knows: an [`Authenticator`]. Made by
/// [`Introspection`](crate::auth::introspection::Introspection) and
/// [`Delegated`](crate::auth::delegated::Delegated). Clones share all of it.
#[derive(Clone)]
pub struct RemoteAuthenticator {
    shared: Arc<Shared>,
}

struct Shared {
    verifier: Verifier,
    sources: Vec<CredentialSource>,
    credentials: CredentialHandling,
    realm: String,
}

/// What an authenticator is made of.
#[derive(Clone)]
pub(in crate::auth) struct Settings {
    pub(in crate::auth) question: Question,
    pub(in crate::auth) rules: Rules,
    pub(in crate::auth) remote: RemoteConfig,
    pub(in crate::auth) sources: Vec<CredentialSource>,
    pub(in crate::auth) credentials: CredentialHandling,
    pub(in crate::auth) realm: String,
    pub(in crate::auth) clock: Arc<dyn Clock>,
}

impl Settings {
    /// Asks `server` with every default; whoever is known is so by `method`.
    pub(in crate::auth) fn new(method: &'static str, server: RemoteServer) -> Self {
        Self {
            question: Question::new(server),
            rules: Rules::new(method),
            remote: RemoteConfig::default(),
            sources: vec![CredentialSource::bearer()],
            credentials: CredentialHandling::Keep,
            realm: "gateway".to_owned(),
            clock: Arc::new(SystemClock),
        }
    }

    pub(in crate::auth) fn build(self) -> Result<RemoteAuthenticator, RemoteError> {
        let verifier = Verifier::new(self.question, self.rules, self.remote, self.clock)?;
        let shared = Shared {
            verifier,
            sources: self.sources,
            credentials: self.credentials,
            realm: self.realm,
        };
        Ok(RemoteAuthenticator { shared: Arc::new(shared) })
    }
}

impl RemoteAuthenticator {
    /// Says whose `token` is, as it does for a request that carries it.
    ///
    /// # Errors
    ///
    /// That it is rejected, or that nobody can tell.
    pub async fn verify(&self, token: &str) -> Result<Identity, Error> {
        self.outcome(token).await.map_err(|why| self.shared.rejected(why))
    }

    async fn outcome(&self, token: &str) -> Result<Identity, Rejection> {
        match self.shared.verifier.check(token) {
            Checked::Known(identity) => Ok(identity),
            Checked::Rejected(why) => Err(why),
            Checked::Asked(asked) => asked.await,
        }
    }

    /// How it goes with the server.
    pub fn status(&self) -> RemoteStatus {
        self.shared.verifier.status()
    }
}

impl Authenticator for RemoteAuthenticator {
    fn authenticate(&self, request: &Request) -> Authentication {
        let shared = &self.shared;
        let token = match find_credential(&shared.sources, request) {
            Ok(Some((_, token))) => token,
            Ok(None) => return Authentication::Missing,
            Err(fault) => {
                return Authentication::Rejected(shared.rejected(Rejection::Token(fault.into())));
            }
        };
        match shared.verifier.find(token) {
            Some(Checked::Known(identity)) => Authentication::Known(identity),
            Some(Checked::Rejected(why)) => shared.judged(Err(why)),
            // The server is queried once somebody waits for it: a request that is over a limit is
            // rejected before that.
            _ => {
                let (authenticator, token) = (self.clone(), token.to_owned());
                Authentication::Pending(Box::pin(async move {
                    let outcome = authenticator.outcome(&token).await;
                    authenticator.shared.judged(outcome)
                }))
            }
        }
    }

    fn admitted(&self, request: &mut Request, _: &Identity) {
        if self.shared.credentials == CredentialHandling::Drop {
            remove_credentials(&self.shared.sources, request);
        }
    }

    fn challenge(&self) -> Option<HeaderValue> {
        Some(Challenge::new("Bearer", &self.shared.realm).value())
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        &self.shared.sources
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        self.shared.verifier.rules().forward.names()
    }
}

impl Shared {
    /// What the server does not know may be the credential of another kind.
    fn judged(&self, outcome: Result<Identity, Rejection>) -> Authentication {
        use TokenRejection::{Inactive, Issuer, Malformed, TooLarge};
        match outcome {
            Ok(identity) => Authentication::Known(identity),
            Err(why @ Rejection::Token(Inactive | Issuer | Malformed | TooLarge)) => {
                Authentication::Unrecognized(self.rejected(why))
            }
            Err(why) => Authentication::Rejected(self.rejected(why)),
        }
    }

    /// Why a token is of no use.
    fn rejected(&self, why: Rejection) -> Error {
        match why {
            Rejection::Token(fault) => fault.error(&self.realm),
            Rejection::Unavailable(after) => {
                // A client is told whole seconds.
                let after = after.max(Duration::from_secs(1));
                Error::new(Reason::IdentityUnavailable).with_retry_after(after)
            }
        }
    }
}

impl fmt::Debug for RemoteAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteAuthenticator").field(&self.status().server).finish()
    }
}

/// The setters that [`Introspection`](crate::auth::introspection::Introspection) and
/// [`Delegated`](crate::auth::delegated::Delegated) have in common.
macro_rules! common_setters {
    () => {
        /// Where tokens may stand. Default: in `Authorization: Bearer` only. A request with two is
        /// rejected.
        pub fn from(
            mut self,
            sources: impl IntoIterator<Item = $crate::auth::CredentialSource>,
        ) -> Self {
            self.settings.sources = sources.into_iter().collect();
            self
        }

        /// What becomes of a token once it has been verified. Default: the upstream gets it.
        pub fn credentials(mut self, credentials: $crate::auth::CredentialHandling) -> Self {
            self.settings.credentials = credentials;
            self
        }

        /// What `WWW-Authenticate` calls what is protected; quotes, backslashes and what is not
        /// printable are left away. Default: `gateway`.
        pub fn realm(mut self, realm: impl Into<String>) -> Self {
            self.settings.realm = realm.into();
            self
        }

        /// What upstreams are told about who is calling. Default: nothing.
        ///
        /// A token about which something is said that cannot stand in a field as what it is, is
        /// rejected.
        pub fn forward(mut self, forward: $crate::auth::Forward) -> Self {
            self.settings.rules.forward = forward;
            self
        }

        /// The members of the answer that must be there, beside that of the subject. A name with
        /// dots leads into members that hold others, here and below. Default: none.
        pub fn required_claims<N: Into<String>>(
            mut self,
            names: impl IntoIterator<Item = N>,
        ) -> Self {
            self.settings.rules.required = names.into_iter().map(Into::into).collect();
            self
        }

        /// The member that says who it is: a text, or a whole number. It must be there. Default:
        /// `sub`.
        pub fn subject_claim(mut self, name: impl Into<String>) -> Self {
            self.settings.rules.names.subject = name.into();
            self
        }

        /// The members that roles stand in: a list, or one text. Default: `roles`.
        pub fn roles_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
            self.settings.rules.names.roles = names.into_iter().map(Into::into).collect();
            self
        }

        /// The members that scopes stand in: a list, or one text with blanks between. Default:
        /// `scope`.
        pub fn scopes_claims<N: Into<String>>(
            mut self,
            names: impl IntoIterator<Item = N>,
        ) -> Self {
            self.settings.rules.names.scopes = names.into_iter().map(Into::into).collect();
            self
        }

        /// The member that the tier stands in. Default: none.
        pub fn tier_claim(mut self, name: impl Into<String>) -> Self {
            self.settings.rules.names.tier = Some(name.into());
            self
        }

        /// The member that the tenant stands in. Default: none.
        pub fn tenant_claim(mut self, name: impl Into<String>) -> Self {
            self.settings.rules.names.tenant = Some(name.into());
            self
        }

        /// How the server is asked, and for how long its answers hold. Default:
        /// [`RemoteConfig::default`]($crate::auth::remote::RemoteConfig).
        pub fn settings(mut self, settings: $crate::auth::remote::RemoteConfig) -> Self {
            self.settings.remote = settings;
            self
        }

        /// What time it is. Default: the system's.
        pub fn with_clock(mut self, clock: impl gateway_core::Clock) -> Self {
            self.settings.clock = std::sync::Arc::new(clock);
            self
        }

        /// The authenticator.
        ///
        /// # Errors
        ///
        /// What cannot be meant: see [`RemoteError`]($crate::auth::remote::RemoteError).
        pub fn build(
            self,
        ) -> Result<$crate::auth::remote::RemoteAuthenticator, $crate::auth::remote::RemoteError> {
            self.settings.build()
        }
    };
}

pub(in crate::auth) use common_setters;
