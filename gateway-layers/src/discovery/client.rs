//! [`Client`]: how registries are asked, over the gateway's own clusters.

use std::time::Duration;

use bytes::Bytes;
use gateway_core::upstream::health::OutlierDetectionConfig;
use gateway_core::{
    Body, Cluster, ClusterBuilder, ClusterError, EndpointAddress, ModuleService, Request,
};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use tokio::time::timeout;

use super::failure::Failure;
use crate::http_client::{modest, next_data, question, whole};

/// The largest answer, and the longest line of a stream: 32 MiB. Ten thousand endpoints take up
/// to 3 KiB each where a registry tells all that it knows of them.
pub(super) const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// So much of a rejection is repeated.
const MAX_SAID: usize = 200;

/// Connections to one peer: one question at a time, and one that has not ended yet.
const MAX_CONNECTIONS: usize = 8;

/// Asks the endpoints of one registry.
pub(super) struct Client {
    cluster: Cluster,
}

/// A question.
pub(super) struct Ask {
    request: Request,
}

impl Ask {
    pub(super) fn get(target: &str) -> Result<Self, Failure> {
        Self::new(Method::GET, target, Body::empty())
    }

    #[cfg(feature = "etcd")]
    pub(super) fn post(target: &str, json: impl Into<Bytes>) -> Result<Self, Failure> {
        Self::new(Method::POST, target, Body::full(json))
    }

    fn new(method: Method, target: &str, body: Body) -> Result<Self, Failure> {
        let uri: Uri = target.parse().map_err(|_| Failure::Other("no valid target".to_owned()))?;
        Ok(Self { request: question(method, uri, "application/json", body) })
    }

    pub(super) fn header(mut self, name: HeaderName, value: Option<&HeaderValue>) -> Self {
        if let Some(value) = value {
            self.request.headers_mut().insert(name, value.clone());
        }
        self
    }
}

impl Client {
    /// A client made of `builder`, which says how connections are made. Nothing it asks for is
    /// silent for longer than `silence`.
    pub(super) fn new(
        builder: ClusterBuilder,
        addresses: &[EndpointAddress],
        silence: Duration,
    ) -> Result<Self, ClusterError> {
        let mut ejection = OutlierDetectionConfig::default();
        (ejection.consecutive_failures, ejection.base_ejection_time) =
            (Some(1), Duration::from_secs(10));
        // The next question goes to another member, where there is one.
        let builder = modest(builder, silence, 2, MAX_CONNECTIONS).outlier_detection(ejection);
        let add =
            |builder: ClusterBuilder, address: &EndpointAddress| builder.endpoint(address.clone());
        Ok(Self { cluster: addresses.iter().fold(builder, add).build()? })
    }

    /// The whole answer, if it is there in time.
    pub(super) async fn fetch(
        &self,
        ask: Ask,
        within: Duration,
    ) -> Result<(HeaderMap, Bytes), Failure> {
        let exchange = async {
            let answer = self.cluster.call(ask.request).await?;
            let (head, body) = answer.into_parts();
            if head.status != StatusCode::OK {
                return Err(rejection(head.status, body).await);
            }
            Ok((head.headers, whole(body, MAX_ANSWER).await?))
        };
        timeout(within, exchange).await.map_err(|_| Failure::Late(within))?
    }

    /// The answer's body as it comes, if its head is there in time.
    #[cfg(any(feature = "etcd", feature = "kubernetes"))]
    pub(super) async fn open(&self, ask: Ask, within: Duration) -> Result<Body, Failure> {
        let exchange = async {
            let answer = self.cluster.call(ask.request).await?;
            let (head, body) = answer.into_parts();
            match head.status {
                StatusCode::OK => Ok(body),
                status => Err(rejection(status, body).await),
            }
        };
        timeout(within, exchange).await.map_err(|_| Failure::Late(within))?
    }
}

/// What the peer said beside its status, as far as it is one readable line.
async fn rejection(status: StatusCode, mut body: Body) -> Failure {
    let mut said = Vec::new();
    while said.len() < MAX_SAID {
        match next_data(&mut body).await {
            Ok(Some(data)) => said.extend(data.iter().take(MAX_SAID)),
            _ => break,
        }
    }
    said.truncate(MAX_SAID);
    let readable = |letter: char| if letter.is_control() { ' ' } else { letter };
    let said: String = String::from_utf8_lossy(&said).trim().chars().map(readable).collect();
    Failure::Status { status, said }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{FakeServer, Reply};
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn client(server: &FakeServer) -> Client {
        Client::new(Cluster::builder("test"), &[server.address()], SOON).unwrap()
    }

    #[tokio::test]
    async fn an_answer_comes_whole() {
        let server = FakeServer::start(async |asked| {
            Reply::json(format!("{} {}", asked.method, asked.target))
        })
        .await;
        let ask = Ask::get("/v1/a?b=c").unwrap();
        let (_, text) = client(&server).fetch(ask, SOON).await.unwrap();
        assert_eq!(text, "GET /v1/a?b=c");
    }

    #[tokio::test]
    async fn a_rejection_says_what_was_said_in_one_line() {
        let server = FakeServer::start(async |_| {
            Reply::status(403, format!("denied\r\n{}", "x".repeat(1000)))
        })
        .await;
        let failed = client(&server).fetch(Ask::get("/").unwrap(), SOON).await.unwrap_err();
        let text = failed.to_string();
        assert!(text.starts_with("answered 403 Forbidden: denied  xxx"), "{text}");
        assert!(text.len() < 300, "{text}");
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut() {
        let server = FakeServer::start(async |_| Reply::endless("x".repeat(1024 * 1024))).await;
        let failed = client(&server).fetch(Ask::get("/").unwrap(), 6 * SOON).await.unwrap_err();
        assert!(matches!(failed, Failure::TooLarge(MAX_ANSWER)), "{failed}");
    }

    #[tokio::test]
    async fn silence_is_not_waited_for() {
        let server = FakeServer::start(async |_| Reply::Hang).await;
        let within = Duration::from_millis(50);
        let failed = client(&server).fetch(Ask::get("/").unwrap(), within).await.unwrap_err();
        assert!(matches!(failed, Failure::Late(_)), "{failed}");
    }

    #[tokio::test]
    async fn nobody_there_is_said() {
        let server = FakeServer::start(async |_| Reply::Hang).await;
        let client = client(&server);
        drop(server);
        let failed = client.fetch(Ask::get("/").unwrap(), SOON).await.unwrap_err().to_string();
        assert!(failed.contains("connect_failed: "), "{failed}");
    }
}
