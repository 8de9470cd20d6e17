//! [`ApiKeyAuthenticator`].

use crate::auth::credentials::CredentialHandling;
use std::net::IpAddr;
use std::sync::Arc;

use gateway_core::context::RouteInfo;
use gateway_core::{Error, Request, RequestContext, RequestExt};
use http::header::{HeaderName, HeaderValue, WWW_AUTHENTICATE};

use super::fault::ApiKeyRejection;
use super::keys::{ApiKeys, Checked};
use crate::auth::credentials::remove_credentials;
use crate::auth::{
    Authentication, Authenticator, Challenge, CredentialRejection, CredentialSource, Identity,
    find_credential,
};

/// Where keys stand, unless something else is said.
const HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// The scheme of the challenge. It is in no register; who has a key knows where to put it.
const SCHEME: &str = "ApiKey";

/// Knows callers by their [`ApiKeys`]; see the [module](super). Cheap to clone.
#[derive(Clone, Debug)]
#[must_use]
pub struct ApiKeyAuthenticator {
    settings: Arc<Settings>,
}

#[derive(Clone, Debug)]
struct Settings {
    keys: ApiKeys,
    sources: Vec<CredentialSource>,
    credentials: CredentialHandling,
    realm: String,
}

impl ApiKeyAuthenticator {
    /// Holders of `keys`.
    pub fn new(keys: ApiKeys) -> Self {
        let settings = Settings {
            keys,
            sources: vec![CredentialSource::Header(HEADER)],
            credentials: CredentialHandling::Drop,
            realm: "gateway".to_owned(),
        };
        Self { settings: Arc::new(settings) }
    }

    /// Where keys may stand. Default: in `x-api-key` only. A request with two is rejected.
    pub fn from(mut self, sources: impl IntoIterator<Item = CredentialSource>) -> Self {
        self.own().sources = sources.into_iter().collect();
        self
    }

    /// Whether the upstream gets the key. Default: it does not, wherever it stood.
    pub fn credentials(mut self, credentials: CredentialHandling) -> Self {
        self.own().credentials = credentials;
        self
    }

    /// What `WWW-Authenticate` calls what is protected. Default: `gateway`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.own().realm = realm.into();
        self
    }

    /// The keys, to look at them or to share them.
    pub fn keys(&self) -> &ApiKeys {
        &self.settings.keys
    }

    fn own(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl Settings {
    /// What no key of the store is may be the credential of another kind.
    fn judged(&self, known: Result<Identity, ApiKeyRejection>) -> Authentication {
        match known {
            Ok(identity) => Authentication::Known(identity),
            Err(fault @ (ApiKeyRejection::Malformed | ApiKeyRejection::Unknown)) => {
                Authentication::Unrecognized(self.rejected(fault))
            }
            Err(fault) => Authentication::Rejected(self.rejected(fault)),
        }
    }

    fn rejected(&self, fault: ApiKeyRejection) -> Error {
        let error = Error::from(fault);
        if error.reason().status() == http::StatusCode::UNAUTHORIZED {
            error.with_field(WWW_AUTHENTICATE, Challenge::new(SCHEME, &self.realm).value())
        } else {
            error
        }
    }
}

/// From where a key is shown, and on which route.
struct Shown {
    client: Option<IpAddr>,
    route: Option<Arc<RouteInfo>>,
}

impl Shown {
    fn of(request: &Request) -> Self {
        let context = request.context();
        Self {
            client: context.and_then(RequestContext::client_ip),
            route: context.and_then(RequestContext::route).cloned(),
        }
    }

    fn route(&self) -> Option<&str> {
        self.route.as_ref().map(|route| &*route.id)
    }
}

impl Authenticator for ApiKeyAuthenticator {
    fn authenticate(&self, request: &Request) -> Authentication {
        let settings = &self.settings;
        let key = match find_credential(&settings.sources, request) {
            Ok(Some((_, key))) => key,
            Ok(None) => return Authentication::Missing,
            Err(fault) => return Authentication::Rejected(settings.rejected(fault.into())),
        };
        let shown = Shown::of(request);
        match settings.keys.check(key.as_bytes()) {
            Checked::Known(known) => {
                settings.judged(settings.keys.permitted(&known, shown.client, shown.route()))
            }
            Checked::Rejected(fault) => settings.judged(Err(fault)),
            Checked::Waits(lookup) => {
                let settings = Arc::clone(settings);
                Authentication::Pending(Box::pin(async move {
                    let known = lookup.land().await;
                    let permitted = known.and_then(|known| {
                        settings.keys.permitted(&known, shown.client, shown.route())
                    });
                    settings.judged(permitted)
                }))
            }
        }
    }

    fn admitted(&self, request: &mut Request, _: &Identity) {
        if self.settings.credentials == CredentialHandling::Drop {
            remove_credentials(&self.settings.sources, request);
        }
    }

    fn challenge(&self) -> Option<HeaderValue> {
        Some(Challenge::new(SCHEME, &self.settings.realm).value())
    }

    fn credential_sources(&self) -> &[CredentialSource] {
        &self.settings.sources
    }

    fn reserved_headers(&self) -> &[HeaderName] {
        self.settings.keys.shared.forward.names()
    }
}

impl From<CredentialRejection> for ApiKeyRejection {
    fn from(fault: CredentialRejection) -> Self {
        match fault {
            CredentialRejection::Several => Self::Several,
            CredentialRejection::Malformed => Self::Malformed,
        }
    }
}
