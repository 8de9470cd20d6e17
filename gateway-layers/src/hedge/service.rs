//! [`Hedge`] and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gateway_core::{Body, Error, Outcome, Request, RequestContext, Response};
use http::{HeaderName, Method, header};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;

use super::config::{Delay, HedgeConfig, MOST_EXTRA};
use super::latency::Latencies;
use crate::head_copy::HeadCopy;
use gateway_core::budget::RetryBudget;

/// A service whose slow requests are sent a second time; see the [module](super).
#[derive(Clone, Debug)]
pub struct Hedge<S> {
    inner: S,
    policy: Arc<Policy>,
}

impl<S> Hedge<S> {
    pub(super) fn new(inner: S, policy: Arc<Policy>) -> Self {
        Self { inner, policy }
    }
}

/// The rules of one layer, and what its services share.
#[derive(Debug)]
pub(super) struct Policy {
    wait: Wait,
    max_extra: u32,
    methods: Vec<Method>,
    budget: RetryBudget,
}

/// The delay of one layer. Clones share what was measured, so that all services of a layer do.
#[derive(Clone, Debug)]
pub(super) enum Wait {
    Fixed(Duration),
    Observed(Arc<Latencies>),
}

impl Wait {
    pub(super) fn of(config: &HedgeConfig) -> Self {
        match config.delay {
            Delay::Fixed(delay) => Self::Fixed(delay),
            Delay::Percentile(share) => {
                Self::Observed(Arc::new(Latencies::new(share, config.min_samples)))
            }
        }
    }
}

impl Policy {
    pub(super) fn new(config: &HedgeConfig, wait: Wait, budget: RetryBudget) -> Self {
        let max_extra = config.max_extra.min(MOST_EXTRA);
        Self { wait, max_extra, methods: config.methods.clone(), budget }
    }

    /// True when copies of `request` may be in flight at the same time (RFC 9110, section 9.2.2).
    ///
    /// An `Idempotency-Key` makes a request safe to repeat after a failure, not to send twice at
    /// once: the copy that comes second is rejected with 409, and might win.
    fn covers(&self, request: &Request) -> bool {
        static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
        let (method, headers) = (request.method(), request.headers());
        let named = || self.methods.contains(method) && !headers.contains_key(&IDEMPOTENCY_KEY);
        self.max_extra > 0
            && (method.is_idempotent() || named())
            && *method != Method::CONNECT
            && !headers.contains_key(header::UPGRADE)
    }

    /// After which time an answer is slow, if that is known.
    fn delay(&self) -> Option<Duration> {
        match &self.wait {
            Wait::Fixed(delay) => Some(*delay),
            Wait::Observed(latencies) => latencies.percentile(),
        }
    }

    fn measures(&self) -> bool {
        matches!(self.wait, Wait::Observed(_))
    }
}

impl<S> Service<Request> for Hedge<S>
where
    S: Service<Request, Response = Response, Error = Error> + Clone,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        self.policy.budget.deposit();
        if !self.policy.covers(&request) {
            return ResponseFuture::new(self.inner.call(request), None, None);
        }
        let meter = self
            .policy
            .measures()
            .then(|| Meter { policy: Arc::clone(&self.policy), started: Instant::now() });
        let Some(delay) = self.policy.delay() else {
            return ResponseFuture::new(self.inner.call(request), meter, None);
        };
        // Taking it says whether it is in memory.
        let Some(body) = request.body_mut().take_full() else {
            return ResponseFuture::new(self.inner.call(request), meter, None);
        };
        let (original, _) = request.into_parts();
        let head = HeadCopy::of(&original);
        let first = Request::from_parts(original, Body::full(body.clone()));
        let inner = self.inner.call(first);
        let extra = Extra {
            // Not ready yet: that is asked for when it is needed.
            service: self.inner.clone(),
            policy: Arc::clone(&self.policy),
            head,
            body,
            delay,
            left: self.policy.max_extra,
            running: Vec::new(),
            failed: None,
        };
        ResponseFuture::new(inner, meter, Some(extra))
    }
}

/// Measures the first try.
#[derive(Debug)]
struct Meter {
    policy: Arc<Policy>,
    started: Instant,
}

impl Meter {
    fn note(&self) {
        if let Wait::Observed(latencies) = &self.policy.wait {
            latencies.note(self.started.elapsed());
        }
    }
}

/// What is needed for extra tries, and those under way.
struct Extra<S: Service<Request>> {
    service: S,
    policy: Arc<Policy>,
    head: HeadCopy,
    body: Bytes,
    delay: Duration,
    /// Tries that may still be begun.
    left: u32,
    // Boxed: they are rare, and would make every call's future larger.
    running: Vec<Pin<Box<S::Future>>>,
    /// What became of the first try, while others run.
    failed: Option<Outcome>,
}

impl<S> Extra<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    /// The first good answer, or the last failure, of those under way.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> Option<Outcome> {
        let mut last = None;
        let mut index = 0;
        while let Some(running) = self.running.get_mut(index) {
            let Poll::Ready(outcome) = running.as_mut().poll(cx) else {
                index += 1;
                continue;
            };
            if is_good(&outcome) {
                return Some(outcome);
            }
            last = Some(outcome);
            drop(self.running.swap_remove(index));
        }
        last
    }

    /// Begins one more try, if it may be.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let context = self.head.context();
        let deadline = context.and_then(RequestContext::deadline);
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Poll::Ready(false);
        }
        if ready!(self.service.poll_ready(cx)).is_err() || !self.policy.budget.withdraw() {
            tracing::debug!("a slow request is not hedged");
            return Poll::Ready(false);
        }
        tracing::debug!(delay = ?self.delay, "a slow request is hedged");
        context.inspect(|context| context.record().hedge());
        let request = Request::from_parts(self.head.again(), Body::full(self.body.clone()));
        self.running.push(Box::pin(self.service.call(request)));
        self.left -= 1;
        Poll::Ready(true)
    }
}

/// True for an outcome that ends the race. An error of one copy (a fast 500, 401 or 429) says
/// little about what the slower one will bring.
fn is_good(outcome: &Outcome) -> bool {
    let Ok(response) = outcome else {
        return false;
    };
    let status = response.status();
    // gRPC says in a trailers-only response how a call failed.
    let grpc = response.headers().get("grpc-status");
    !status.is_client_error() && !status.is_server_error() && grpc.is_none_or(|code| code == "0")
}

pin_project! {
    /// The future of a [`Hedge`].
    pub struct ResponseFuture<S>
    where
        S: Service<Request>,
    {
        // None once it failed while others run.
        #[pin]
        first: Option<S::Future>,
        // None as long as nothing was waited for.
        #[pin]
        sleep: Option<Sleep>,
        meter: Option<Meter>,
        // None when there will be one try only.
        extra: Option<Extra<S>>,
    }
}

impl<S: Service<Request>> ResponseFuture<S> {
    fn new(first: S::Future, meter: Option<Meter>, extra: Option<Extra<S>>) -> Self {
        Self { first: Some(first), sleep: None, meter, extra }
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut this = self.project();
        if let Some(first) = this.first.as_mut().as_pin_mut()
            && let Poll::Ready(outcome) = first.poll(cx)
        {
            this.first.set(None);
            let good = is_good(&outcome);
            if good {
                this.meter.take().inspect(Meter::note);
            }
            match this.extra {
                Some(extra) if !good && !extra.running.is_empty() => extra.failed = Some(outcome),
                _ => {
                    // The losers end here.
                    *this.extra = None;
                    return Poll::Ready(outcome);
                }
            }
        }
        loop {
            let Some(extra) = this.extra else {
                return Poll::Pending;
            };
            if let Some(outcome) = extra.poll_running(cx) {
                if is_good(&outcome) {
                    // The first try would have taken longer than it has.
                    if this.first.is_some() {
                        this.meter.take().inspect(Meter::note);
                    }
                    this.first.set(None);
                    *this.extra = None;
                    return Poll::Ready(outcome);
                }
                if extra.running.is_empty()
                    && let Some(failed) = extra.failed.take()
                {
                    *this.extra = None;
                    return Poll::Ready(failed);
                }
            }
            if extra.left == 0 {
                return Poll::Pending;
            }
            if this.sleep.is_none() {
                this.sleep.set(Some(sleep(extra.delay)));
            }
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
            }
            if !ready!(extra.poll_begin(cx)) {
                extra.left = 0;
                return Poll::Pending;
            }
            this.sleep.set(None);
        }
    }
}

impl<S: Service<Request>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.extra.as_ref().map_or(0, |extra| extra.running.len());
        f.debug_struct("ResponseFuture").field("extra", &running).finish_non_exhaustive()
    }
}
