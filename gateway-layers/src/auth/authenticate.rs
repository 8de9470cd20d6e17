//! [`Authenticate`]: the guard that wants to know who is calling.

use std::fmt;
use std::sync::Arc;

use gateway_core::forwarded::strip_reserved;
use gateway_core::{Error, Reason, Request, RequestExt};
use http::HeaderName;
use http::header::WWW_AUTHENTICATE;
use tower_layer::Layer;

use super::authenticator::{Authentication, Authenticator, Identity, Pending};
use super::credentials::remove_credentials;
use crate::guard::{Checked, Guard, GuardLayer, GuardService};

/// Wants to know who is calling, by [`Authenticator`]s; a [`Guard`], and a layer of its own. Cheap
/// to clone.
///
/// Whoever is known becomes the request's
/// [`principal`](gateway_core::RequestContext::principal), and the upstream is told what the
/// authenticator says. Requests without credentials fail with
/// [`Reason::Unauthenticated`] and the challenges of all kinds that are taken. Credentials that are
/// invalid are rejected whatever else there is; ones that an authenticator does not
/// [recognize](Authentication::Unrecognized) are left to the next one. Of the kinds that have
/// verified nothing, no credential reaches the upstream.
///
/// Of what only the gateway may say ([`reserved_headers`](Authenticator::reserved_headers)) nothing is left
/// in head or trailers of what the client sent.
#[derive(Clone)]
#[must_use]
pub struct Authenticate {
    settings: Arc<Settings>,
}

#[derive(Clone)]
struct Settings {
    authenticators: Vec<Arc<dyn Authenticator>>,
    owned: Arc<[HeaderName]>,
    all: bool,
    optional: bool,
    strips: bool,
}

impl Authenticate {
    /// By credentials of one kind.
    pub fn new(authenticator: impl Authenticator) -> Self {
        Self::any_of([Arc::new(authenticator) as Arc<dyn Authenticator>])
    }

    /// By credentials of one of these kinds; the first kind that a request has decides.
    pub fn any_of(authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>) -> Self {
        let authenticators: Vec<_> = authenticators.into_iter().collect();
        let owned = authenticators.iter().flat_map(|one| one.reserved_headers().iter().cloned());
        let owned = owned.collect();
        let settings =
            Settings { authenticators, owned, all: false, optional: false, strips: true };
        Self { settings: Arc::new(settings) }
    }

    /// By credentials of all of these kinds. The identity of the first one is the principal, and
    /// the only one that is forwarded: a header of another kind is about another caller.
    pub fn all_of(authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>) -> Self {
        let mut all = Self::any_of(authenticators);
        all.own().all = true;
        all
    }

    /// Whether requests without credentials pass, as nobody. Ones that are not good are rejected
    /// all the same, and so are some where all are wanted. Default: they do not.
    pub fn optional(mut self, optional: bool) -> Self {
        self.own().optional = optional;
        self
    }

    /// Whether what only the gateway may say is removed here. It need not be where the gateway
    /// does it at its door, for all routes:
    /// [`GatewayBuilder::reserved_headers`](gateway_core::GatewayBuilder::reserved_headers). Default: it is.
    pub fn strips(mut self, strips: bool) -> Self {
        self.own().strips = strips;
        self
    }

    /// The fields that nobody else may say.
    pub fn reserved_headers(&self) -> &[HeaderName] {
        &self.settings.owned
    }

    fn own(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    /// Goes on with the authenticator in this place.
    fn go_on(&self, place: usize, mut found: Found, request: &mut Request) -> Checked {
        let Settings { authenticators, all, optional, .. } = &*self.settings;
        for (place, authenticator) in authenticators.iter().enumerate().skip(place) {
            let authentication = match authenticator.authenticate(request) {
                Authentication::Pending(pending) => return self.ask(place, found, pending),
                known => known,
            };
            if let Err(error) = found.note(place, authentication, *all) {
                return Checked::Reject(error);
            }
            if if *all { found.missing && !optional } else { found.principal.is_some() } {
                break;
            }
        }
        let enough = if found.principal.is_some() { !(*all && found.missing) } else { *optional };
        match found.unrecognized.take() {
            Some(error) if found.principal.is_none() => Checked::Reject(error),
            _ if enough => {
                self.admit(&found, request);
                Checked::Pass
            }
            _ => Checked::Reject(self.missing()),
        }
    }

    fn ask(&self, place: usize, mut found: Found, pending: Pending) -> Checked {
        let authenticate = self.clone();
        Checked::wait(async move {
            let authentication = pending.await;
            move |request: &mut Request| {
                let all = authenticate.settings.all;
                if let Authentication::Pending(pending) = authentication {
                    return authenticate.ask(place, found, pending);
                }
                if let Err(error) = found.note(place, authentication, all) {
                    return Checked::Reject(error);
                }
                let known = found.principal.is_some() && !all;
                authenticate.go_on(if known { usize::MAX } else { place + 1 }, found, request)
            }
        })
    }

    /// Makes a request one of the callers that were found. Nothing is removed before all
    /// authenticators have read the request: two may read the same credential.
    fn admit(&self, found: &Found, request: &mut Request) {
        let Some((_, identity)) = &found.principal else { return };
        self.remove_unverified(found, request);
        for (place, identity) in found.verified() {
            if let Some(authenticator) = self.settings.authenticators.get(*place) {
                authenticator.admitted(request, identity);
            }
        }
        let headers = request.headers_mut();
        for (name, value) in &*identity.fields {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(context) = request.context() {
            context.set_principal(Arc::clone(&identity.principal));
        }
    }

    /// Removes the credentials of the kinds that have verified none, and not what another kind has
    /// verified in the same place.
    fn remove_unverified(&self, found: &Found, request: &mut Request) {
        let authenticators = &self.settings.authenticators;
        let verified = |place: usize| found.verified().any(|(own, _)| *own == place);
        let places = |verifies: bool| {
            let all = authenticators.iter().enumerate();
            let some = all.filter(move |(place, _)| verified(*place) == verifies);
            some.flat_map(|(_, one)| one.credential_sources())
        };
        for source in places(false) {
            let shared = places(true)
                .any(|other| other.overlaps(source) && !matches!(other.find(request), Ok(None)));
            if !shared {
                remove_credentials(std::slice::from_ref(source), request);
            }
        }
    }

    fn strip(&self, request: &mut Request) {
        let owned = &self.settings.owned;
        if self.settings.strips && !owned.is_empty() {
            strip_reserved(request.headers_mut(), owned, true);
            request.body_mut().strip_trailers(owned);
        }
    }

    /// There are no credentials.
    fn missing(&self) -> Error {
        let error = Error::new(Reason::Unauthenticated);
        let authenticators = self.settings.authenticators.iter();
        authenticators
            .filter_map(Authenticator::challenge)
            .fold(error, |error, challenge| error.with_field(WWW_AUTHENTICATE, challenge))
    }
}

/// What has been found of a request so far, by the place of the authenticator.
#[derive(Default)]
struct Found {
    principal: Option<(usize, Identity)>,
    /// Where all kinds are required: the other identities.
    others: Vec<(usize, Identity)>,
    missing: bool,
    /// Why the first kind did not take credentials that may be of another kind.
    unrecognized: Option<Error>,
}

impl Found {
    /// Notes what one authenticator has found; the error with which the request is rejected.
    fn note(
        &mut self,
        place: usize,
        authentication: Authentication,
        all: bool,
    ) -> Result<(), Error> {
        match authentication {
            Authentication::Rejected(error) => return Err(error),
            Authentication::Unrecognized(error) if all => return Err(error),
            Authentication::Unrecognized(error) => {
                self.unrecognized.get_or_insert(error);
            }
            Authentication::Known(identity) if self.principal.is_none() => {
                self.principal = Some((place, identity));
            }
            Authentication::Known(identity) => self.others.push((place, identity)),
            Authentication::Missing | Authentication::Pending(_) => self.missing = true,
        }
        Ok(())
    }

    fn verified(&self) -> impl Iterator<Item = &(usize, Identity)> {
        self.principal.iter().chain(&self.others)
    }
}

impl Guard for Authenticate {
    fn check(&self, request: &mut Request) -> Checked {
        self.strip(request);
        self.go_on(0, Found::default(), request)
    }
}

impl<S> Layer<S> for Authenticate {
    type Service = GuardService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardLayer::new(self.clone()).layer(inner)
    }
}

impl fmt::Debug for Authenticate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate")
            .field("authenticators", &self.settings.authenticators.len())
            .field("all", &self.settings.all)
            .field("optional", &self.settings.optional)
            .finish_non_exhaustive()
    }
}
