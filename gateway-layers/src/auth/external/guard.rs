//! [`ExternalAuth`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::respond::{self, ClientProtocol};
use gateway_core::{Body, Error, Module, Reason, Request, Response};
use http::header::{
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use tokio::time::timeout_at;
use tower_layer::Layer;

use super::allowed::{Allowed, Ambiguous, PrincipalFields};
use super::builder::{ExternalAuthBuilder, MAX_BODY, copied};
use super::cache::{self, Cache, Key};
use super::path::PathTemplate;
use super::question::{OriginalFields, Question};
use crate::auth::forward::Forward;
use crate::guard::{Checked, Guard, GuardLayer, GuardService};
use crate::http_client::{ReadError, whole};

/// Somebody else decides about each request: a [`Guard`], and a layer of its own. Cheap to clone.
/// See the [module](super).
#[derive(Clone)]
#[must_use]
pub struct ExternalAuth {
    settings: Arc<Settings>,
}

pub(super) struct Settings {
    pub(super) module: Module,
    pub(super) path: PathTemplate,
    pub(super) method: Method,
    pub(super) timeout: Duration,
    pub(super) headers: Vec<HeaderName>,
    pub(super) original: OriginalFields,
    pub(super) identity: Forward,
    pub(super) upstream_headers: Arc<[HeaderName]>,
    pub(super) response_headers: Vec<HeaderName>,
    pub(super) rejection_headers: Vec<HeaderName>,
    pub(super) principal: PrincipalFields,
    pub(super) cache: Option<Cache>,
}

/// Why nothing was decided. Nothing of an answer is repeated.
#[derive(Debug, thiserror::Error)]
enum Undecided {
    #[error("the service answered {}", .0.as_u16())]
    Status(StatusCode),
    #[error("the service did not answer in time")]
    Late,
    #[error("the service says in two ways who is calling")]
    Ambiguous,
    #[error("the service's answer broke off: {0}")]
    Broken(Error),
    #[error("the service could not be asked: {0}")]
    Exchange(Error),
}

/// What a service has decided.
enum Decision {
    Allowed(Arc<Allowed>),
    Rejected(Response),
}

impl ExternalAuth {
    /// `module` is asked at `path`, which may have a query, and `{subject}` and `{tenant}` of who is
    /// calling in it: requests of nobody are rejected then.
    pub fn builder(module: Module, path: impl Into<String>) -> ExternalAuthBuilder {
        ExternalAuthBuilder::new(module, path)
    }

    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    /// The fields that upstreams are told by the service and by nobody else.
    pub fn reserved_headers(&self) -> &[HeaderName] {
        &self.settings.upstream_headers
    }

    /// What is done with the request once the service has been asked.
    fn conclude(&self, decided: Result<Decision, Error>, request: &mut Request) -> Checked {
        match decided {
            Ok(Decision::Allowed(allowed)) => {
                allowed.apply(request, &self.settings);
                Checked::Pass
            }
            Ok(Decision::Rejected(answer)) => reject(answer, request),
            Err(error) => Checked::Reject(error),
        }
    }
}

impl Settings {
    async fn ask(&self, question: Question, key: Option<Key>) -> Result<Decision, Error> {
        let Question { request, deadline, is_last } = question;
        let decided = timeout_at(deadline, self.exchange(request)).await;
        let decided = decided.unwrap_or(Err(Undecided::Late));
        match decided {
            Ok(Decision::Allowed(allowed)) => {
                if let (Some(cache), Some(key)) = (&self.cache, key) {
                    cache.keep(key, &allowed);
                }
                Ok(Decision::Allowed(allowed))
            }
            Ok(rejected) => Ok(rejected),
            Err(Undecided::Late) if is_last => Err(Error::new(Reason::RouteTimeout)),
            // The cluster that was called has seen the same deadline pass.
            Err(Undecided::Exchange(cause))
                if is_last && cause.reason() == Reason::RouteTimeout =>
            {
                Err(cause)
            }
            Err(why) => {
                let error = Error::new(Reason::IdentityUnavailable);
                let error = match &why {
                    Undecided::Exchange(cause) => match cause.retry_after() {
                        Some(after) => error.with_retry_after(after),
                        None => error,
                    },
                    _ => error,
                };
                Err(error.with_source(why))
            }
        }
    }

    async fn exchange(&self, request: Request) -> Result<Decision, Undecided> {
        let answer = self.module.call(request).await.map_err(Undecided::Exchange)?;
        let (head, body) = answer.into_parts();
        match head.status.as_u16() {
            200..=299 => {
                let allowed =
                    Allowed::read(&head.headers, self).map_err(|Ambiguous| Undecided::Ambiguous)?;
                // Read, so that the connection can be used again. An answer that breaks off is
                // none.
                match whole(body, MAX_BODY).await {
                    Err(ReadError::Broken(error)) => Err(Undecided::Broken(error)),
                    _ => Ok(Decision::Allowed(Arc::new(allowed))),
                }
            }
            401 | 403 | 302 | 303 | 307 => {
                let mut rejection = Response::new(Body::empty());
                *rejection.status_mut() = head.status;
                let headers = rejection.headers_mut();
                headers.extend(copied(&head.headers, &self.rejection_headers));
                // No less a rejection without it.
                let text = whole(body, MAX_BODY).await.unwrap_or_default();
                if !text.is_empty() {
                    let about = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE];
                    headers.extend(copied(&head.headers, &about));
                    *rejection.body_mut() = Body::full(text);
                }
                Ok(Decision::Rejected(rejection))
            }
            _ => Err(Undecided::Status(head.status)),
        }
    }
}

/// The service's answer, as the caller's protocol can have it.
fn reject(mut answer: Response, request: &Request) -> Checked {
    let reason = match answer.status() {
        StatusCode::FORBIDDEN => Reason::Forbidden,
        _ => Reason::Unauthenticated,
    };
    if ClientProtocol::of(request.method(), request.headers()) == ClientProtocol::Http {
        let error = Error::new(reason).with_detail("rejected by external authorization");
        respond::mark(&mut answer, error);
        return Checked::Answer(answer);
    }
    let challenges = answer.headers().get_all(WWW_AUTHENTICATE).iter().cloned();
    let error = challenges
        .fold(Error::new(reason), |error, challenge| error.with_field(WWW_AUTHENTICATE, challenge));
    Checked::Reject(error)
}

impl Guard for ExternalAuth {
    fn check(&self, request: &mut Request) -> Checked {
        let question = match self.settings.question(request) {
            Ok(question) => question,
            Err(error) => return Checked::Reject(error),
        };
        let cache = self.settings.cache.as_ref();
        let key = cache.map(|_| cache::key(&question.request));
        if let Some(allowed) = cache.zip(key).and_then(|(cache, key)| cache.find(&key)) {
            return self.conclude(Ok(Decision::Allowed(allowed)), request);
        }
        let external = self.clone();
        Checked::wait(async move {
            let decided = external.settings.ask(question, key).await;
            move |request: &mut Request| external.conclude(decided, request)
        })
    }
}

impl<S> Layer<S> for ExternalAuth {
    type Service = GuardService<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardLayer::new(self.clone()).layer(inner)
    }
}

impl fmt::Debug for ExternalAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAuth")
            .field("path", &self.settings.path)
            .field("headers", &self.settings.headers)
            .field("upstream_headers", &self.settings.upstream_headers)
            .finish_non_exhaustive()
    }
}
