//! [`Authenticate`]: the guard that wants to know who is calling.

use std::fmt;
use std::sync::Arc;

use gateway_core::forwarded::strip_owned;
use gateway_core::{Error, Reason, Request, RequestExt};
use http::HeaderName;
use http::header::WWW_AUTHENTICATE;
use tower_layer::Layer;

use super::authenticator::{Authentication, Authenticator, Identity, Pending};
use crate::guard::{Checked, Guard, GuardLayer, GuardService};

/// Wants to know who is calling, by [`Authenticator`]s; a [`Guard`], and a layer of its own. Cheap
/// to clone.
///
/// Whoever is known becomes the request's
/// [`principal`](gateway_core::RequestContext::principal), and the upstream is told what the
/// authenticator says. Requests without credentials fail with
/// [`Reason::Unauthenticated`] and the challenges of all kinds that are taken, and credentials that
/// are not good are refused whatever else there is.
///
/// Of what only the gateway may say ([`owned_fields`](Authenticator::owned_fields)) nothing is left
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
        let owned = authenticators.iter().flat_map(|one| one.owned_fields().iter().cloned());
        let owned = owned.collect();
        let settings =
            Settings { authenticators, owned, all: false, optional: false, strips: true };
        Self { settings: Arc::new(settings) }
    }

    /// By credentials of all of these kinds. Whom the first one knows is the principal.
    pub fn all_of(authenticators: impl IntoIterator<Item = Arc<dyn Authenticator>>) -> Self {
        let mut all = Self::any_of(authenticators);
        all.own().all = true;
        all
    }

    /// Whether requests without credentials pass, as nobody. Ones that are not good are refused
    /// all the same, and so are some where all are wanted. Default: they do not.
    pub fn optional(mut self, optional: bool) -> Self {
        self.own().optional = optional;
        self
    }

    /// Whether what only the gateway may say is removed here. It need not be where the gateway
    /// does it at its door, for all routes:
    /// [`GatewayBuilder::owned_fields`](gateway_core::GatewayBuilder::owned_fields). Default: it is.
    pub fn strips(mut self, strips: bool) -> Self {
        self.own().strips = strips;
        self
    }

    /// The fields that nobody else may say.
    pub fn owned_fields(&self) -> &[HeaderName] {
        &self.settings.owned
    }

    fn own(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }

    /// Goes on with the authenticator in this place.
    fn go_on(&self, place: usize, mut found: Found, request: &mut Request) -> Checked {
        let Settings { authenticators, all, optional, .. } = &*self.settings;
        for (place, authenticator) in authenticators.iter().enumerate().skip(place) {
            match authenticator.authenticate(request) {
                Authentication::Missing => found.missing = true,
                Authentication::Refused(error) => return Checked::Refuse(error),
                Authentication::Pending(pending) => return self.ask(place, found, pending),
                Authentication::Known(identity) => {
                    admit(authenticator, request, &identity);
                    found.known = true;
                }
            }
            if if *all { found.missing && !optional } else { found.known } {
                break;
            }
        }
        let Found { known, missing } = found;
        let enough = if known { !(*all && missing) } else { *optional };
        if enough { Checked::Pass } else { Checked::Refuse(self.missing()) }
    }

    fn ask(&self, place: usize, mut found: Found, pending: Pending) -> Checked {
        let authenticate = self.clone();
        Checked::wait(async move {
            let answer = pending.await;
            move |request: &mut Request| {
                let identity = match answer {
                    Ok(identity) => identity,
                    Err(error) => return Checked::Refuse(error),
                };
                let settings = &authenticate.settings;
                if let Some(authenticator) = settings.authenticators.get(place) {
                    admit(authenticator, request, &identity);
                }
                found.known = true;
                let next = if settings.all { place + 1 } else { usize::MAX };
                authenticate.go_on(next, found, request)
            }
        })
    }

    fn strip(&self, request: &mut Request) {
        let owned = &self.settings.owned;
        if self.settings.strips && !owned.is_empty() {
            strip_owned(request.headers_mut(), owned, true);
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

/// What has been found of a request so far.
#[derive(Clone, Copy, Default)]
struct Found {
    known: bool,
    missing: bool,
}

/// Makes a request one of this caller.
fn admit(authenticator: &Arc<dyn Authenticator>, request: &mut Request, identity: &Identity) {
    authenticator.admitted(request, identity);
    let headers = request.headers_mut();
    for (name, value) in &*identity.fields {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(context) = request.context() {
        context.set_principal(Arc::clone(&identity.principal));
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
