//! [`Client`]: how an authority is spoken to, over the gateway's own clusters: with deadlines, with
//! answers of limited size, and never by redirects.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_core::{
    Body, Clock, Cluster, ConnectionInfo, EndpointAddress, Module, Request, RequestContext,
    media_type,
};
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::ClientConfig;
use tokio::time::Instant;

use crate::http_client::url::Url;
use crate::http_client::{ReadError, modest, question, whole, with_sources};

/// For one question and its whole answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Most bytes of an answer: a chain has a few KiB.
const MAX_ANSWER: usize = 1024 * 1024;

/// Servers that one authority consists of, at most.
const MOST_ORIGINS: usize = 8;

/// Connections to one of them. Questions come one after the other.
const CONNECTIONS: usize = 2;

type Exchanged = Result<BytesResponse, instant_acme::Error>;

/// A client for one conversation. Clones are the same.
#[derive(Clone)]
pub(super) struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    tls: Arc<ClientConfig>,
    clock: Arc<dyn Clock>,
    connection: Arc<ConnectionInfo>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    origins: HashMap<String, Module>,
    latest: Latest,
}

/// What became of the latest question, as far as the answer itself does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Latest {
    /// There was no answer of an authority.
    pub(super) away: bool,
    /// How long it wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("leads to {0}, expected an https URL")]
    Address(&'static str),
    #[error("leads to more than {MOST_ORIGINS} servers")]
    Scattered,
    #[error("cannot be asked: {0}")]
    Exchange(String),
    #[error("does not answer in time")]
    Late,
    #[error("answered with more than {0} bytes")]
    TooLarge(usize),
    #[error("answered {}", .0.as_u16())]
    Status(StatusCode),
    #[error("cannot be connected to: {0}")]
    Cluster(String),
}

impl From<gateway_core::Error> for Fault {
    fn from(error: gateway_core::Error) -> Self {
        match error.reason().status() {
            StatusCode::GATEWAY_TIMEOUT => Self::Late,
            _ => Self::Exchange(with_sources(&error)),
        }
    }
}

impl Client {
    /// One that believes in the authority as `tls` says.
    pub(super) fn new(tls: Arc<ClientConfig>, clock: Arc<dyn Clock>) -> Self {
        let connection = Arc::new(ConnectionInfo::new(Arc::default(), None, None));
        Self { shared: Arc::new(Shared { tls, clock, connection, state: Mutex::default() }) }
    }

    /// What became of the latest question.
    pub(super) fn latest(&self) -> Latest {
        self.shared.lock().latest
    }
}

impl Shared {
    /// Where `url` leads, and what is asked for there.
    fn place(&self, url: &Uri) -> Result<(Module, Uri), Fault> {
        let url = Url::parse(&url.to_string()).map_err(Fault::Address)?;
        if !url.is_https() {
            return Err(Fault::Address("http"));
        }
        let target = url.target().parse().map_err(|_| Fault::Address("no path"))?;
        let mut state = self.lock();
        if let Some(module) = state.origins.get(url.origin()) {
            return Ok((module.clone(), target));
        }
        if state.origins.len() >= MOST_ORIGINS {
            return Err(Fault::Scattered);
        }
        let address: EndpointAddress =
            url.origin().parse().map_err(|_| Fault::Address("no address"))?;
        let builder = Cluster::builder("acme").tls(Arc::clone(&self.tls));
        let cluster = modest(builder, TIMEOUT, CONNECTIONS, CONNECTIONS).endpoint(address).build();
        let module = Module::new(cluster.map_err(|error| Fault::Cluster(error.to_string()))?);
        state.origins.insert(url.origin().to_owned(), module.clone());
        Ok((module, target))
    }

    async fn exchange(
        &self,
        asked: http::Request<BodyWrapper<bytes::Bytes>>,
    ) -> Result<http::Response<bytes::Bytes>, Fault> {
        let (head, body) = asked.into_parts();
        let (module, target) = self.place(&head.uri)?;
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let body = if body.is_empty() { Body::empty() } else { Body::full(body) };
        let mut request: Request = question(head.method, target, "*/*", body);
        if let Some(kind) = head.headers.get(CONTENT_TYPE) {
            request.headers_mut().insert(CONTENT_TYPE, kind.clone());
        }
        let now = Instant::now();
        let context = RequestContext::new(Arc::clone(&self.connection), now);
        context.set_deadline(now + TIMEOUT);
        request.extensions_mut().insert(context);
        let asking = async {
            let (head, body) = module.call(request).await?.into_parts();
            self.lock().latest.retry_after = retry_after(&head.headers, &*self.clock);
            let body = whole(body, MAX_ANSWER).await.map_err(|fault| match fault {
                ReadError::TooLarge(most) => Fault::TooLarge(most),
                ReadError::Broken(error) => error.into(),
            })?;
            Ok((head, body))
        };
        let (head, body) =
            tokio::time::timeout(TIMEOUT, asking).await.unwrap_or(Err(Fault::Late))?;
        // What explains itself is a rejection; what does not is trouble of the server, or of
        // somebody on the way.
        if !head.status.is_success() && !is_problem(&head.headers) {
            return Err(Fault::Status(head.status));
        }
        Ok(http::Response::from_parts(head, body))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: http::Request<BodyWrapper<bytes::Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Exchanged> + Send>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            shared.lock().latest = Latest::default();
            match shared.exchange(request).await {
                Ok(answer) => Ok(BytesResponse::from(answer.map(Full::new))),
                Err(fault) => {
                    shared.lock().latest.away = true;
                    Err(instant_acme::Error::Other(fault.into()))
                }
            }
        })
    }
}

/// RFC 8555, section 6.7.
fn is_problem(headers: &HeaderMap) -> bool {
    media_type::is(headers, "application/problem+json")
}

/// RFC 9110, section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap, clock: &dyn Clock) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(clock.now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::HeaderValue;

    use super::*;

    struct Epoch;

    impl Clock for Epoch {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        for (text, seconds) in [
            ("120", Some(120)),
            ("Thu, 01 Jan 1970 00:01:00 GMT", Some(60)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            assert_eq!(retry_after(&headers, &Epoch).map(|wait| wait.as_secs()), seconds, "{text}");
        }
    }
}
