//! [`Fetcher`]: gets a JWK set from where it is.

use std::io;

use bytes::Bytes;
use gateway_core::context::Claim;
use gateway_core::{Body, Cluster, ClusterError, EndpointAddress, ModuleService};
use http::{Method, StatusCode, Uri};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::json;
use super::key_set::{KeySet, KeySetError};
use super::keys::{Keys, Source};
use super::url::Url;
use crate::http_client::{ReadError, modest, question, whole};

/// Connections to one issuer: one fetch at a time, and one that has not ended yet.
const MAX_CONNECTIONS: usize = 4;

/// Why there are no keys. Nothing of an answer is repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("took longer than it may")]
    Late,
    #[error("answered {}", .0.as_u16())]
    Status(StatusCode),
    #[error("is larger than {0} bytes")]
    TooLarge(usize),
    #[error("could not be asked: {0}")]
    Exchange(#[from] gateway_core::Error),
    #[error("has an address that cannot be asked: {0}")]
    Address(String),
    #[error("cannot be read: {0}")]
    File(#[from] io::Error),
    #[error("is no description of this issuer")]
    Description,
    #[error(transparent)]
    Set(#[from] KeySetError),
}

impl From<ReadError> for FetchError {
    fn from(fault: ReadError) -> Self {
        match fault {
            ReadError::TooLarge(most) => Self::TooLarge(most),
            ReadError::Broken(error) => Self::Exchange(error),
        }
    }
}

/// Fetches keys, and keeps what it needs for the next time.
pub(super) struct Fetcher {
    keys: Keys,
    issuer: String,
    clients: Vec<Client>,
}

/// Whom to ask at one origin.
struct Client {
    origin: String,
    cluster: Cluster,
}

impl Fetcher {
    pub(super) fn new(keys: Keys, issuer: &str) -> Self {
        Self { keys, issuer: issuer.to_owned(), clients: Vec::new() }
    }

    /// The keys as they are now.
    pub(super) async fn fetch(&mut self) -> Result<KeySet, FetchError> {
        let within = self.keys.timeout;
        let bytes = timeout(within, self.bytes()).await.map_err(|_| FetchError::Late)??;
        Ok(KeySet::parse(&bytes, self.keys.origin(), self.keys.max_keys)?)
    }

    async fn bytes(&mut self) -> Result<Bytes, FetchError> {
        match self.keys.source.clone() {
            Source::File(path) => {
                let most = self.keys.max_bytes;
                let file = tokio::fs::File::open(path).await?;
                let mut bytes = Vec::new();
                // One more than may be tells that it is too large.
                let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
                file.take(limit).read_to_end(&mut bytes).await?;
                if bytes.len() > most {
                    return Err(FetchError::TooLarge(most));
                }
                if bytes.starts_with(b"\xef\xbb\xbf") {
                    bytes.drain(..3); // A byte order mark, which is no JSON.
                }
                Ok(bytes.into())
            }
            Source::Url(Ok(url)) => self.get(&url).await,
            Source::Discovery(Ok(url)) => {
                let description = self.get(&url).await?;
                let keys = self.described(&url, &description)?;
                self.get(&keys).await
            }
            _ => Err(FetchError::Description),
        }
    }

    /// Where the keys are, by what the issuer says of itself (`OpenID` Connect Discovery 1.0,
    /// sections 3 and 4.3).
    fn described(&self, asked: &Url, description: &[u8]) -> Result<Url, FetchError> {
        let description = json::object(description).ok_or(FetchError::Description)?;
        let text = |name: &str| match description.get(name) {
            Some(Claim::Text(text)) => Ok(&**text),
            _ => Err(FetchError::Description),
        };
        if text("issuer")? != self.issuer {
            return Err(FetchError::Description);
        }
        let keys = Url::parse(text("jwks_uri")?).map_err(|_| FetchError::Description)?;
        // Nobody leads us from a road that is safe to one that is not.
        if asked.is_https() && !keys.is_https() {
            return Err(FetchError::Description);
        }
        Ok(keys)
    }

    /// The whole answer.
    async fn get(&mut self, url: &Url) -> Result<Bytes, FetchError> {
        const ACCEPT: &str = "application/jwk-set+json, application/json";
        let cluster = self.cluster(url)?;
        let target: Uri = url.target().parse().map_err(|_| FetchError::Address(url.shown()))?;
        let request = question(Method::GET, target, ACCEPT, Body::empty());
        let (head, body) = cluster.call(request).await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(FetchError::Status(head.status));
        }
        Ok(whole(body, self.keys.max_bytes).await?)
    }

    fn cluster(&mut self, url: &Url) -> Result<Cluster, FetchError> {
        if let Some(known) = self.clients.iter().find(|known| known.origin == url.origin()) {
            return Ok(known.cluster.clone());
        }
        let unusable = |error: &dyn std::fmt::Display| FetchError::Address(error.to_string());
        let address: EndpointAddress = url.origin().parse().map_err(|error| unusable(&error))?;
        let cluster = self.build(address).map_err(|error| unusable(&error))?;
        // One for the description, one for the keys; an issuer that moves leaves nothing behind.
        if self.clients.len() >= 2 {
            self.clients.remove(1);
        }
        let origin = url.origin().to_owned();
        self.clients.push(Client { origin, cluster: cluster.clone() });
        Ok(cluster)
    }

    fn build(&self, address: EndpointAddress) -> Result<Cluster, ClusterError> {
        let builder = modest((self.keys.cluster)(), self.keys.timeout, 1, MAX_CONNECTIONS);
        builder.endpoint(address).build()
    }
}
