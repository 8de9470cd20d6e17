//! [`RemoteServer`]: who is asked about tokens, and how.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::{
    Body, Cluster, ClusterBuilder, ConnectionInfo, EndpointAddress, Error, HealthSignal, Module,
    Request, RequestContext,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use tokio::time::Instant;

use super::settings::{RemoteConfig, RemoteError};
use crate::http_client::url::Url;
use crate::http_client::{ReadError, encoded, hidden, modest, question, whole};

/// Most bytes of an answer: 64 KiB. What is said about a caller is told in a few.
pub const MAX_ANSWER: usize = 64 * 1024;

/// Connections without a question that are kept, at most.
const MAX_IDLE: usize = 16;

/// A server that knows tokens: at an address of its own, or a module, which may be a cluster with
/// its pool, health, breaker and TLS.
#[derive(Clone)]
#[must_use]
pub struct RemoteServer {
    place: Place,
    cluster: Arc<dyn Fn() -> ClusterBuilder + Send + Sync>,
}

#[derive(Clone)]
enum Place {
    Url(Result<Url, &'static str>),
    Module(Module, String),
}

impl RemoteServer {
    /// The server at `url`, which is `https`, or `http` where the network is trusted. `https`
    /// needs to be told whom to trust: see [`cluster`](Self::cluster).
    pub fn url(url: &str) -> Self {
        Self::new(Place::Url(Url::parse(url)))
    }

    /// `module`, asked at `path`, which may have a query.
    pub fn module(module: Module, path: impl Into<String>) -> Self {
        Self::new(Place::Module(module, path.into()))
    }

    fn new(place: Place) -> Self {
        Self { place, cluster: Arc::new(|| Cluster::builder("identity")) }
    }

    /// How connections to a URL are made: `make` begins a cluster, and gives it its TLS, as with
    /// `ClusterBuilder::tls` of the core's feature `tls`. Endpoint, pool and timeouts are set here.
    /// Default: without TLS.
    pub fn cluster(mut self, make: impl Fn() -> ClusterBuilder + Send + Sync + 'static) -> Self {
        self.cluster = Arc::new(make);
        self
    }

    /// What it is called where status is shown: no query, which may hold a key.
    pub(super) fn name(&self) -> String {
        match &self.place {
            Place::Url(Ok(url)) => url.shown(),
            Place::Url(Err(_)) => "no URL".to_owned(),
            Place::Module(_, path) => path.split('?').next().unwrap_or_default().to_owned(),
        }
    }

    fn connect(&self, settings: &RemoteConfig) -> Result<(Module, Uri), RemoteError> {
        let wrong = |error: &dyn fmt::Display| RemoteError::Server(error.to_string());
        let (module, target) = match &self.place {
            Place::Module(module, path) => (module.clone(), path.as_str()),
            Place::Url(url) => {
                let url = url.as_ref().map_err(|fault| wrong(fault))?;
                let address: EndpointAddress =
                    url.origin().parse().map_err(|error| wrong(&error))?;
                let connections = settings.concurrency;
                let idle = connections.min(MAX_IDLE);
                let builder = modest((self.cluster)(), settings.timeout, idle, connections);
                let cluster = builder.endpoint(address).build().map_err(|error| wrong(&error))?;
                (Module::new(cluster), url.target())
            }
        };
        let possible = target.starts_with('/') && target.is_ascii();
        let path = possible.then(|| target.parse().ok()).flatten();
        Ok((module, path.ok_or_else(|| wrong(&"its path does not begin with `/`"))?))
    }
}

impl fmt::Debug for RemoteServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteServer").field(&self.name()).finish()
    }
}

/// How a token is shown to a server.
#[derive(Clone, Debug)]
pub(in crate::auth) enum Presentation {
    /// As RFC 7662, section 2.1, says.
    Form,
    Bearer,
    Header(HeaderName),
    Cookie(String),
    Json(String),
}

/// Credentials that no field can carry.
#[derive(Clone, Copy, Debug)]
pub(in crate::auth) struct Unsendable;

/// What a server is asked.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Question {
    pub(in crate::auth) server: RemoteServer,
    pub(in crate::auth) method: Method,
    pub(in crate::auth) presentation: Presentation,
    /// The gateway's own credentials, marked as not to be printed.
    pub(in crate::auth) own: Result<Option<HeaderValue>, Unsendable>,
    /// Statuses that say that the token is not good.
    pub(in crate::auth) rejections: Vec<StatusCode>,
}

impl Question {
    /// A POST to `server` with the token in `Authorization`.
    pub(super) fn new(server: RemoteServer) -> Self {
        Self {
            server,
            method: Method::POST,
            presentation: Presentation::Bearer,
            own: Ok(None),
            rejections: Vec::new(),
        }
    }
}

/// Why nothing is known of a token. Nothing of an answer is repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it does not answer in time")]
    Late,
    #[error("too many questions wait for their turn")]
    Busy,
    #[error("it rejects the gateway: {}", .0.as_u16())]
    Unwelcome(StatusCode),
    #[error("it answered {}", .0.as_u16())]
    Status(StatusCode),
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("its answer is not JSON by its content type")]
    ContentType,
    #[error("its answer cannot be read as it must be: {0}")]
    Unusable(&'static str),
    #[error("it cannot be asked: {0}")]
    Exchange(Error),
    #[error("the token cannot be shown to it")]
    Unshowable,
}

impl Fault {
    /// True when it says that the server is away, whatever it is asked.
    pub(super) fn is_death(&self) -> bool {
        match self {
            Self::Late | Self::Exchange(_) | Self::Unwelcome(_) => true,
            Self::Status(status) => HealthSignal::of_status(*status) == HealthSignal::Failure,
            _ => false,
        }
    }

    /// True when it says nothing about the server.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Busy | Self::Unshowable)
    }
}

impl From<Error> for Fault {
    /// Whichever of the deadlines is noticed first says the same.
    fn from(error: Error) -> Self {
        match error.reason().status() {
            StatusCode::GATEWAY_TIMEOUT => Self::Late,
            _ => Self::Exchange(error),
        }
    }
}

impl From<ReadError> for Fault {
    fn from(fault: ReadError) -> Self {
        match fault {
            ReadError::TooLarge(most) => Self::TooLarge(most),
            ReadError::Broken(error) => error.into(),
        }
    }
}

/// What a server says about a token.
pub(super) enum Answer {
    /// This, as JSON.
    Says(Bytes),
    /// That it is not good.
    Rejects,
}

/// Asks one server.
pub(super) struct Asker {
    question: Question,
    own: Option<HeaderValue>,
    module: Module,
    target: Uri,
    connection: Arc<ConnectionInfo>,
    timeout: Duration,
}

impl Asker {
    pub(super) fn new(question: Question, settings: &RemoteConfig) -> Result<Self, RemoteError> {
        let (module, target) = question.server.connect(settings)?;
        let own = question.own.clone().map_err(|Unsendable| RemoteError::Credentials)?;
        let connection = Arc::new(ConnectionInfo::new(Arc::default(), None, None));
        Ok(Self { question, own, module, target, connection, timeout: settings.timeout })
    }

    /// Asks about `token`; whoever waits has a deadline.
    pub(super) async fn ask(&self, token: &str) -> Result<Answer, Fault> {
        let request = self.request(token).ok_or(Fault::Unshowable)?;
        let (head, body) = self.module.call(request).await?.into_parts();
        let status = head.status;
        if self.question.rejections.contains(&status) {
            // Read, so that the connection can be used again; what it says is nobody's business.
            let _ = whole(body, MAX_ANSWER).await;
            return Ok(Answer::Rejects);
        }
        match status {
            StatusCode::OK if !is_json(&head.headers) => Err(Fault::ContentType),
            StatusCode::OK => Ok(Answer::Says(whole(body, MAX_ANSWER).await?)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Fault::Unwelcome(status)),
            _ => Err(Fault::Status(status)),
        }
    }

    fn request(&self, token: &str) -> Option<Request> {
        let Question { method, presentation, .. } = &self.question;
        let (field, kind, body) = match presentation {
            Presentation::Form => {
                let form = format!("token={}&token_type_hint=access_token", encoded(token));
                (None, Some("application/x-www-form-urlencoded"), Body::full(form))
            }
            Presentation::Json(name) => {
                let object = serde_json::Map::from_iter([(name.clone(), token.into())]);
                let text = serde_json::Value::Object(object).to_string();
                (None, Some("application/json"), Body::full(text))
            }
            Presentation::Bearer => {
                (Some((AUTHORIZATION, hidden(&format!("Bearer {token}"))?)), None, Body::empty())
            }
            Presentation::Header(name) => {
                (Some((name.clone(), hidden(token)?)), None, Body::empty())
            }
            Presentation::Cookie(name) => {
                (Some((COOKIE, hidden(&format!("{name}={token}"))?)), None, Body::empty())
            }
        };
        let mut asked = question(method.clone(), self.target.clone(), "application/json", body);
        let headers = asked.headers_mut();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if let Some(own) = &self.own {
            headers.insert(AUTHORIZATION, own.clone());
        }
        if let Some((name, value)) = field {
            headers.insert(name, value);
        }
        let now = Instant::now();
        let context = RequestContext::new(Arc::clone(&self.connection), now);
        context.set_deadline(now + self.timeout);
        asked.extensions_mut().insert(context);
        Some(asked)
    }
}

/// Whether an answer says once that it is JSON (RFC 8259, section 11, and RFC 6839, section 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Ok(text) = line.to_str() else { return false };
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let rest = kind.strip_prefix("application/");
    rest.is_some_and(|rest| rest == "json" || rest.ends_with("+json"))
}
