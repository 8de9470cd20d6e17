//! The copy on its way to the mirror.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use gateway_core::{Body, Request, RequestContext, RequestExt, Tasks};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};
use http_body::Body as _;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::judge::{Subject, judge};
use super::layer::Shared;
use super::report::Count;
use super::tee::{Pieces, Seen};

/// Says that a request is a copy.
pub(super) const COPY: HeaderName = HeaderName::from_static("x-gateway-mirror");

/// Of an answer that nobody compares so many bytes are read, so that its connection can be used
/// again.
const MOST_READ: usize = 256 * 1024;

/// One of the copies that may be under way.
pub(super) struct Slot {
    pub(super) shared: Arc<Shared>,
}

impl Slot {
    pub(super) fn take(shared: &Arc<Shared>) -> Option<Self> {
        let most = shared.settings.in_flight;
        let one_more = |now| (now < most).then_some(now + 1);
        let taken =
            shared.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).is_ok();
        taken.then(|| Self { shared: Arc::clone(shared) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A copy, but for its body.
pub(super) struct Copy {
    tasks: Tasks,
    exchange: Exchange,
}

/// What the task of a copy has. Not the owner of its task, which would never be dropped then.
struct Exchange {
    slot: Slot,
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    context: Option<RequestContext>,
    /// The answer that the client gets; `None` when it is not compared.
    primary: Option<oneshot::Receiver<Seen>>,
}

impl Copy {
    pub(super) fn of(
        request: &Request,
        slot: Slot,
        tasks: Tasks,
        primary: Option<oneshot::Receiver<Seen>>,
    ) -> Self {
        let mut headers = request.headers().clone();
        // The body is there: nobody has to be asked for it.
        headers.remove(header::EXPECT);
        headers.insert(COPY, HeaderValue::from_static("1"));
        let exchange = Exchange {
            slot,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers,
            context: request.context().cloned(),
            primary,
        };
        Self { tasks, exchange }
    }

    /// There will be no copy, because of what `count` counts.
    pub(super) fn skip(self, count: impl FnOnce(&Shared) -> &Count) {
        count(&self.exchange.slot.shared).add(1);
    }

    /// Sends the copy with `body` in the background.
    pub(super) fn send(self, body: Body) {
        let counts = &self.exchange.slot.shared.counts;
        counts.mirrored.add(1);
        if Handle::try_current().is_err() {
            // A body that was dropped after its runtime: everything ends.
            counts.failed.add(1);
            return;
        }
        // Boxed here: what a task is made of moves several times before it runs.
        let run: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(self.exchange.run(body));
        self.tasks.spawn("mirror", run);
    }
}

impl Exchange {
    async fn run(self, body: Body) {
        let began = Instant::now();
        let shared = &self.slot.shared;
        let settings = &shared.settings;
        let deadline = began.checked_add(settings.timeout);
        let subject = Subject {
            route: self.context.as_ref().and_then(|known| Some(Arc::clone(&known.route()?.id))),
            method: self.method.clone(),
            path: self.uri.path().to_owned(),
        };
        let unsettled = Unsettled { shared: Some(shared) };
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers;
        if let Some(context) = self.context {
            // One of its own: neither the record nor the deadline of the request is touched.
            let context = RequestContext::new(Arc::clone(context.connection()), began);
            if let Some(deadline) = deadline {
                context.set_deadline(deadline);
            }
            request.extensions_mut().insert(context);
        }
        let compare = settings.compare.as_ref().zip(self.primary);
        let most = compare.as_ref().map_or(MOST_READ, |(compare, _)| compare.compare_limit);
        let answered = before(deadline, answer(shared, request, began, most)).await;
        let Some(Some(mirror)) = answered else { return };
        unsettled.settle();
        if let Some((settings, primary)) = compare {
            match before(deadline, primary).await {
                Some(Ok(primary)) => judge(shared, settings, &subject, primary, mirror),
                _ => shared.counts.uncompared.add(1),
            }
        }
    }
}

/// The mirror's answer; `None` when it failed.
async fn answer(shared: &Shared, request: Request, began: Instant, most: usize) -> Option<Seen> {
    let outcome = shared.module.call(request).await;
    let failed = |error| tracing::debug!(%error, "a mirror failed");
    let response = outcome.map_err(failed).ok()?;
    let mut seen = Seen::of(&response, began.elapsed());
    seen.body = read(response.into_body(), most).await;
    Some(seen)
}

/// All of `body`, unless it is larger than `most` or breaks off.
async fn read(mut body: Body, most: usize) -> Option<Vec<u8>> {
    let mut pieces = Pieces::new(most);
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        match frame {
            None => return Some(pieces.join()),
            Some(Err(_)) => return None,
            Some(Ok(frame)) => {
                let data: Option<&Bytes> = frame.data_ref();
                if data.is_some_and(|data| !pieces.push(data)) {
                    return None;
                }
            }
        }
    }
}

/// What comes of `future` before `deadline`.
async fn before<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// Counts a copy as failed that ends in any other way than with an answer: late, or in a panic.
struct Unsettled<'a> {
    shared: Option<&'a Shared>,
}

impl Unsettled<'_> {
    fn settle(mut self) {
        self.shared = None;
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared {
            shared.counts.failed.add(1);
        }
    }
}
