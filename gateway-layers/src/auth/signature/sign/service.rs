//! [`Sign`] and its future.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::Context as Hash;
use gateway_core::{Body, Error, Outcome, Reason, Request, Response, media_type};
use http_body::Body as _;
use pin_project_lite::pin_project;
use tokio::time::timeout;
use tower_service::Service;

use super::super::body::CheckedBody;
use super::super::digest::{CONTENT_DIGEST, Digests};
use super::super::fault::SignatureRejection;
use super::super::verifier::is_empty;
use super::body::Buffered;
use super::layer::Signer;
use super::settings::LargeBodies;

/// A service whose requests are signed; see the [module](super::super).
#[derive(Clone, Debug)]
pub struct Sign<S> {
    inner: S,
    signer: Arc<Signer>,
}

impl<S> Sign<S> {
    pub(super) fn new(inner: S, signer: Arc<Signer>) -> Self {
        Self { inner, signer }
    }
}

impl<S> Service<Request> for Sign<S>
where
    S: Service<Request, Response = Response, Error = Error> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> ResponseFuture<S> {
        if !self.signer.wants_digest() || is_empty(request.body()) {
            return match self.signer.sign(&mut request, false) {
                Ok(()) => ResponseFuture::running(self.inner.call(request)),
                Err(error) => ResponseFuture::rejected(error),
            };
        }
        // The one that is ready waits with the request.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let signer = Arc::clone(&self.signer);
        ResponseFuture::reading(Box::pin(async move {
            let digested = signer.digest(&mut request).await?;
            signer.sign(&mut request, digested)?;
            inner.call(request).await
        }))
    }
}

impl Signer {
    /// Sees to a digest of the body. False: there is none.
    async fn digest(&self, request: &mut Request) -> Result<bool, Error> {
        let settings = &self.settings;
        let limit = settings.body_limit as u64;
        let known = request.body().size_hint().lower();
        if known > limit || is_endless(request) {
            return self.digest_large(request);
        }
        let mut stream = None;
        // What is to happen at the end of the body stays with the request's own.
        let body = mem::take(request.body_mut());
        let body = body.map(|inner| {
            stream = Some(inner);
            Body::empty()
        });
        let reading = Buffered::read(stream.unwrap_or_default(), settings.body_limit);
        let buffered = match timeout(settings.body_timeout, reading).await {
            Ok(read) => read?,
            Err(_) => return Err(Reason::RequestTimeout.into()),
        };
        let digest = buffered.whole().and_then(|pieces| {
            let mut hash = Hash::new(settings.digest.algorithm());
            pieces.for_each(|piece| hash.update(piece));
            settings.digest.field_of(hash.finish().as_ref())
        });
        let nothing = buffered.is_nothing();
        *request.body_mut() = body.map(|_| buffered);
        match digest {
            None => self.digest_large(request),
            Some(_) if nothing => Ok(false),
            Some(digest) => {
                request.headers_mut().insert(CONTENT_DIGEST, digest);
                Ok(true)
            }
        }
    }

    /// A body that is not hashed before it is sent.
    fn digest_large(&self, request: &mut Request) -> Result<bool, Error> {
        if let Ok(Some(digests)) = Digests::read(request.headers()) {
            let body = mem::take(request.body_mut());
            *request.body_mut() = body.map(|inner| {
                CheckedBody::new(inner, digests, || SignatureRejection::DigestWrong.into())
            });
            return Ok(true);
        }
        match self.settings.large_bodies {
            LargeBodies::Uncovered => Ok(false),
            LargeBodies::Reject => Err(Error::new(Reason::BodyTooLarge)
                .with_detail("too large to be signed for the upstream")),
        }
    }
}

/// gRPC and what is derived from it, such as `application/grpc+proto` and `application/grpc-web`.
const GRPC: &str = "application/grpc";

/// True for a body that waits for responses before it ends.
fn is_endless(request: &Request) -> bool {
    media_type::essence(request.headers()).is_some_and(|kind| {
        let start = kind.get(..GRPC.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
    })
}

pin_project! {
    /// The future of [`Sign`].
    pub struct ResponseFuture<S: Service<Request>> {
        #[pin]
        state: State<S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Running { #[pin] inner: F },
        Rejected { error: Option<Error> },
        /// The body is read first.
        Reading { inner: Pin<Box<dyn Future<Output = Outcome> + Send>> },
    }
}

impl<S: Service<Request>> ResponseFuture<S> {
    fn running(inner: S::Future) -> Self {
        Self { state: State::Running { inner } }
    }

    fn rejected(error: Error) -> Self {
        Self { state: State::Rejected { error: Some(error) } }
    }

    fn reading(inner: Pin<Box<dyn Future<Output = Outcome> + Send>>) -> Self {
        Self { state: State::Reading { inner } }
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match self.project().state.project() {
            StateProjection::Running { inner } => inner.poll(cx),
            StateProjection::Rejected { error } => {
                Poll::Ready(Err(error.take().unwrap_or_else(|| Reason::ModuleFailed.into())))
            }
            StateProjection::Reading { inner } => inner.as_mut().poll(cx),
        }
    }
}

impl<S: Service<Request>> std::fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResponseFuture")
    }
}
