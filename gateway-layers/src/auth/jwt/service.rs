//! [`Jwt`] and its future.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gateway_core::forwarded::strip_owned;
use gateway_core::{Body, Error, Outcome, Request, RequestExt, Response};
use http::header::AUTHORIZATION;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::cache::VerifiedToken;
use super::layer::{Authorization, Settings};
use super::source::{self, TokenSource};
use super::verifier::{Checked, VerifyError};

/// A service whose callers are known by their token; see the [module](super).
#[derive(Clone, Debug)]
pub struct Jwt<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Jwt<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

/// What is known about a request at once.
enum Judged {
    /// It goes on, as somebody or as nobody.
    Passes,
    Refused(Error),
    /// Keys are on their way.
    Waits(Waited),
}

/// The end of a wait for keys.
type Waited = Pin<Box<dyn Future<Output = Result<Arc<VerifiedToken>, VerifyError>> + Send>>;

impl Settings {
    fn judge(&self, request: &mut Request) -> Judged {
        let (bearer, checked) = match source::find(&self.sources, request) {
            Err(fault) => return Judged::Refused(self.refused(&fault.into())),
            Ok(None) if !self.optional => return Judged::Refused(self.missing()),
            Ok(None) => {
                self.strip(request);
                return Judged::Passes;
            }
            Ok(Some((source, token))) => {
                let checked = match self.verifier.check(token) {
                    Checked::Waits(flight) => {
                        let (verifier, token) = (self.verifier.clone(), token.to_owned());
                        return Judged::Waits(Box::pin(async move {
                            flight.land().await;
                            verifier.check_again(&token)
                        }));
                    }
                    Checked::Verified(token) => Ok(token),
                    Checked::Refused(why) => Err(why),
                };
                (*source == TokenSource::Header, checked)
            }
        };
        let admitted = checked
            .map_err(|why| self.refused(&why))
            .and_then(|token| self.admit(request, &token, bearer));
        match admitted {
            Ok(()) => Judged::Passes,
            Err(error) => Judged::Refused(error),
        }
    }

    /// Makes a request one of the caller that its token says.
    fn admit(
        &self,
        request: &mut Request,
        token: &VerifiedToken,
        bearer: bool,
    ) -> Result<(), Error> {
        if !self.permits(&token.principal) {
            return Err(self.forbidden());
        }
        self.strip(request);
        let headers = request.headers_mut();
        if bearer && self.authorization == Authorization::Drop {
            headers.remove(AUTHORIZATION);
        }
        for (name, value) in &token.fields {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(context) = request.context() {
            context.set_principal(Arc::clone(&token.principal));
        }
        Ok(())
    }

    /// Removes what only we may say, in front of the body and behind it.
    fn strip(&self, request: &mut Request) {
        let owned = self.verifier.owned_fields();
        if owned.is_empty() {
            return;
        }
        strip_owned(request.headers_mut(), owned, true);
        if !http_body::Body::is_end_stream(request.body()) {
            let verifier = self.verifier.clone();
            let body = mem::take(request.body_mut());
            *request.body_mut() = body.map(|inner| StrippedBody { inner, verifier });
        }
    }
}

/// A body whose trailers say nothing that only we may say.
struct StrippedBody {
    inner: Body,
    verifier: super::JwtVerifier,
}

impl http_body::Body for StrippedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let mut frame = frame?;
            if let Some(trailers) = frame.trailers_mut() {
                strip_owned(trailers, self.verifier.owned_fields(), false);
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<S> Service<Request> for Jwt<S>
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> ResponseFuture<S> {
        let state = match self.settings.judge(&mut request) {
            Judged::Passes => State::Running { inner: self.inner.call(request) },
            Judged::Refused(error) => State::Refused { error: Some(error) },
            Judged::Waits(keys) => {
                // The one that is ready waits with the request.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let settings = Arc::clone(&self.settings);
                let waiting = Waiting { keys, settings, inner, request };
                State::Waiting { waiting: Some(Box::new(waiting)) }
            }
        };
        ResponseFuture { state }
    }
}

/// A request whose token is signed by a key that may be on its way.
struct Waiting<S> {
    keys: Waited,
    settings: Arc<Settings>,
    inner: S,
    request: Request,
}

impl<S> Waiting<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    fn go_on(self, checked: Result<Arc<VerifiedToken>, VerifyError>) -> State<S, S::Future> {
        let Self { settings, mut inner, mut request, .. } = self;
        let bearer =
            matches!(source::find(&settings.sources, &request), Ok(Some((TokenSource::Header, _))));
        let admitted = checked
            .map_err(|why| settings.refused(&why))
            .and_then(|token| settings.admit(&mut request, &token, bearer));
        match admitted {
            Ok(()) => State::Running { inner: inner.call(request) },
            Err(error) => State::Refused { error: Some(error) },
        }
    }
}

pin_project! {
    /// The future of a [`Jwt`].
    pub struct ResponseFuture<S: Service<Request>> {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, F> {
        // None once it was handed out.
        Refused {
            error: Option<Error>,
        },
        // None once it was called.
        Waiting {
            waiting: Option<Box<Waiting<S>>>,
        },
        Running {
            #[pin]
            inner: F,
        },
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                Projected::Refused { error } => {
                    return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
                Projected::Running { inner } => return inner.poll(cx),
                Projected::Waiting { waiting: slot } => {
                    let Some(waiting) = slot.as_mut() else { return Poll::Pending };
                    let checked = ready!(waiting.keys.as_mut().poll(cx));
                    match slot.take() {
                        Some(waiting) => waiting.go_on(checked),
                        None => return Poll::Pending,
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S: Service<Request>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
