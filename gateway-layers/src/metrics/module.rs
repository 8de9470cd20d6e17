//! [`MetricsModule`]: answers scrapes.

use std::fmt;
use std::sync::Arc;

use gateway_core::{Body, Error, ModuleService, Outcome, Reason, Request, Response};
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use prometheus_client::collector::Collector;

use super::{CONTENT_TYPE, Metrics};

/// Makes what else is shown, for one scrape.
type More = dyn Fn() -> Vec<Box<dyn Collector>> + Send + Sync;

/// Answers `GET` and `HEAD` with what [`Metrics`] have counted, wherever it is routed to. Put it
/// where strangers cannot ask: it tells names of routes and clusters, and what fails.
#[derive(Clone)]
pub struct MetricsModule {
    metrics: Metrics,
    more: Option<Arc<More>>,
}

impl MetricsModule {
    /// Shows `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        Self { metrics: metrics.clone(), more: None }
    }

    /// Shows what `more` makes for each scrape as well.
    #[must_use]
    pub fn with<F>(mut self, more: F) -> Self
    where
        F: Fn() -> Vec<Box<dyn Collector>> + Send + Sync + 'static,
    {
        self.more = Some(Arc::new(more));
        self
    }

    /// The answer to a scrape.
    pub fn answer(&self) -> Response {
        let more = self.more.as_ref().map(|more| more()).unwrap_or_default();
        let mut response = Response::new(Body::full(self.metrics.encode_with(more)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        *response.status_mut() = StatusCode::OK;
        response
    }
}

impl ModuleService for MetricsModule {
    async fn call(&self, request: Request) -> Outcome {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(self.answer());
        }
        let allowed = vec![Method::GET, Method::HEAD];
        Err(Error::new(Reason::MethodNotAllowed).with_allow(allowed))
    }
}

impl fmt::Debug for MetricsModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsModule").field("metrics", &self.metrics).finish_non_exhaustive()
    }
}
