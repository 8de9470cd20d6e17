//! [`HttpSink`]: events in the body of a POST.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{
    Body, Cluster, ClusterBuilder, ConnectionInfo, EndpointAddress, ModuleService, Request,
    RequestContext,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode, Uri};
use tokio::time::{Instant, timeout};

use super::{AuditSink, SinkConfig, Undelivered};
use crate::audit::event::AuditEvent;
use crate::http_client::url::Url;
use crate::http_client::{hidden, modest, question, whole, with_sources};
use crate::secret::Secret;

/// Connections to the receiver: one batch at a time, and one that has not ended yet.
const MAX_CONNECTIONS: usize = 2;

/// Of an answer so many bytes are read, so that its connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;

/// And for so long.
const READ_FOR: Duration = Duration::from_millis(500);

/// Sends batches as `POST`, each a JSON array of events (`application/json`), to one URL.
///
/// A status from 200 to 299 says that all of it has arrived. After 408, 429, 500 and above, or
/// without an answer, the batch is sent again, not before `Retry-After` (in seconds) has passed. Any
/// other status says that it will never be taken. Redirects are not followed. Since an answer may be
/// lost on its way, events may arrive twice: the receiver drops ids that it knows.
pub struct HttpSink {
    shown: String,
    target: Uri,
    token: Option<HeaderValue>,
    cluster: Cluster,
    connection: Arc<ConnectionInfo>,
    settings: SinkConfig,
}

/// Builds an [`HttpSink`].
#[must_use]
pub struct HttpSinkBuilder {
    url: String,
    token: Option<Secret>,
    cluster: ClusterBuilder,
    settings: SinkConfig,
}

/// Why nothing can be sent as it was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpSinkError {
    /// The address cannot be asked.
    #[error("the receiver cannot be asked: {0}")]
    Url(String),
    /// The token cannot stand in a header field. It is not shown.
    #[error("the token has characters that a header field cannot carry")]
    Token,
}

impl HttpSink {
    /// Begins a sink that sends to `url`, which is `https`, or `http` where the network is trusted.
    /// `https` needs to be told whom to trust: see [`cluster`](HttpSinkBuilder::cluster).
    pub fn builder(url: impl Into<String>) -> HttpSinkBuilder {
        HttpSinkBuilder {
            url: url.into(),
            token: None,
            cluster: Cluster::builder("audit"),
            settings: SinkConfig::default(),
        }
    }

    fn request(&self, events: &[Arc<AuditEvent>]) -> Request {
        let mut text = String::from("[");
        for (index, event) in events.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { "," });
            text.push_str(event.json());
        }
        text.push(']');
        let body = Body::full(text);
        let mut request = question(Method::POST, self.target.clone(), "*/*", body);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        let now = Instant::now();
        let context = RequestContext::new(Arc::clone(&self.connection), now);
        context.set_deadline(now + self.settings.timeout);
        request.extensions_mut().insert(context);
        request
    }
}

impl HttpSinkBuilder {
    /// Shown to the receiver as `Authorization: Bearer`. Default: none.
    pub fn token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// Begins the cluster that connections are made by, and gives it its TLS, as with
    /// `ClusterBuilder::tls` of the core's feature `tls`. Endpoint, pool and timeouts are set here.
    /// Default: without TLS.
    pub fn cluster(mut self, cluster: ClusterBuilder) -> Self {
        self.cluster = cluster;
        self
    }

    /// How much waits, and how it is sent. Default: [`SinkConfig::default`].
    pub fn settings(mut self, settings: SinkConfig) -> Self {
        self.settings = settings;
        self
    }

    /// Builds the sink. Nothing connects before there are events.
    ///
    /// # Errors
    ///
    /// For a URL that cannot be asked, `https` without a TLS configuration, and a token that a
    /// header field cannot carry.
    pub fn build(self) -> Result<HttpSink, HttpSinkError> {
        let wrong = |error: &dyn fmt::Display| HttpSinkError::Url(error.to_string());
        let url = Url::parse(&self.url).map_err(|fault| wrong(&fault))?;
        let address: EndpointAddress = url.origin().parse().map_err(|error| wrong(&error))?;
        let target = url.target().parse().map_err(|error| wrong(&error))?;
        let token = self
            .token
            .map(|token| hidden(&format!("Bearer {}", token.reveal())).ok_or(HttpSinkError::Token));
        let silence: Duration = self.settings.timeout;
        let cluster = modest(self.cluster, silence, 1, MAX_CONNECTIONS).endpoint(address);
        Ok(HttpSink {
            shown: url.shown(),
            target,
            token: token.transpose()?,
            cluster: cluster.build().map_err(|error| wrong(&error))?,
            connection: Arc::new(ConnectionInfo::new(Arc::default(), None, None)),
            settings: self.settings,
        })
    }
}

impl AuditSink for HttpSink {
    fn name(&self) -> String {
        self.shown.clone()
    }

    async fn deliver(&self, events: &[Arc<AuditEvent>]) -> Result<(), Undelivered> {
        let answer = self.cluster.call(self.request(events)).await;
        let answer = answer.map_err(|error| Undelivered::again(with_sources(&error)))?;
        let (head, body) = answer.into_parts();
        // Read, so that the connection can be used again; what it says is nobody's business, and
        // whoever is slow to say it has taken the events all the same.
        let _ = timeout(READ_FOR, whole(body, MAX_ANSWER)).await;
        judged(head.status, &head.headers)
    }

    fn settings(&self) -> SinkConfig {
        self.settings.clone()
    }
}

/// What the receiver said.
fn judged(status: StatusCode, headers: &HeaderMap) -> Result<(), Undelivered> {
    let cause = || format!("answered {}", status.as_u16());
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            Err(later(Undelivered::again(cause()), headers))
        }
        _ if status.is_server_error() => Err(later(Undelivered::again(cause()), headers)),
        _ => Err(Undelivered::never(cause())),
    }
}

/// As late as the receiver asks for (RFC 9110, section 10.2.3).
fn later(failure: Undelivered, headers: &HeaderMap) -> Undelivered {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    match seconds.and_then(|text| text.trim().parse().ok()) {
        Some(seconds) => failure.not_before(Duration::from_secs(seconds)),
        None => failure,
    }
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink").field("url", &self.shown).finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpSinkBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a key where nobody has looked at it yet.
        f.debug_struct("HttpSinkBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
