//! [`HttpProbe`]: a request, and what the answer is to be.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Version};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::StatusRange;
use super::probe::told;
use crate::body::Body;
use crate::upstream::address::{EndpointAddress, Transport};
use crate::upstream::connect::Connector;
use crate::upstream::forward;

/// What probes say who they are.
pub(super) const USER_AGENT: HeaderValue = HeaderValue::from_static("gateway-health");

/// Of an answer's body at most this much is looked at.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// A request, and what the answer is to be. Redirects are not followed.
///
/// `http`, `https` and `unix` endpoints are asked over HTTP/1.1, `h2c` ones over HTTP/2.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HttpProbe {
    /// The method. Default: `GET`.
    pub method: Method,
    /// The path and query. Default: `/healthz`.
    pub path: PathAndQuery,
    /// `Host`. Default: the endpoint's own address.
    pub host: Option<HeaderValue>,
    /// Further fields. `User-Agent` is `gateway-health` unless it is among them.
    pub headers: HeaderMap,
    /// The status is to be in one of these. Default: 200 to 299.
    pub status: Vec<StatusRange>,
    /// The first 64 KiB of the body are to contain this. Default: the body does not matter, and
    /// is not waited for.
    pub body: Option<Bytes>,
}

impl Default for HttpProbe {
    fn default() -> Self {
        Self {
            method: Method::GET,
            path: PathAndQuery::from_static("/healthz"),
            host: None,
            headers: HeaderMap::new(),
            status: vec![StatusRange::SUCCESS],
            body: None,
        }
    }
}

impl HttpProbe {
    /// The method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The path and query.
    #[must_use]
    pub fn path(mut self, path: PathAndQuery) -> Self {
        self.path = path;
        self
    }

    /// `Host`.
    #[must_use]
    pub fn host(mut self, host: HeaderValue) -> Self {
        self.host = Some(host);
        self
    }

    /// Further fields.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The status is to be in one of `ranges`.
    #[must_use]
    pub fn status(mut self, ranges: Vec<StatusRange>) -> Self {
        self.status = ranges;
        self
    }

    /// The first 64 KiB of the body are to contain `text`.
    #[must_use]
    pub fn body(mut self, text: impl Into<Bytes>) -> Self {
        self.body = Some(text.into());
        self
    }

    pub(super) async fn ask(
        &self,
        connector: &Connector,
        address: &EndpointAddress,
        by: Instant,
    ) -> Result<(), String> {
        let version = match address.transport() {
            Transport::H2c => Version::HTTP_2,
            Transport::Http | Transport::Https | Transport::Unix => Version::HTTP_11,
        };
        let answer = forward::send_once(connector, address, self.request(address), version, by);
        let answer = answer.await.map_err(|error| told(&error))?;
        let status = answer.status();
        if !self.status.iter().any(|range| range.contains(status)) {
            let expected: Vec<_> = self.status.iter().map(ToString::to_string).collect();
            return Err(format!("status {}, expected {}", status.as_str(), expected.join(", ")));
        }
        match &self.body {
            Some(expected) => contains(answer.into_body(), expected).await,
            None => Ok(()),
        }
    }

    fn request(&self, address: &EndpointAddress) -> http::Request<Body> {
        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.clone().into();
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        let host = self.host.as_ref().unwrap_or_else(|| address.host_header());
        headers.insert(header::HOST, host.clone());
        // It is asked on a connection of its own each time: what a new client would find.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        request
    }
}

/// Reads until `expected` has come.
async fn contains(mut body: Body, expected: &[u8]) -> Result<(), String> {
    let mut read = BytesMut::new();
    let lacks = |of: &str| Err(format!("`{}` is not in {of}", String::from_utf8_lossy(expected)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| told(&error))?;
        let Ok(data) = frame.into_data() else {
            break;
        };
        // It may have begun in what came before.
        let from = (read.len() + 1).saturating_sub(expected.len());
        let room = (MAX_BODY - read.len()).min(data.len());
        read.extend_from_slice(data.get(..room).unwrap_or_default());
        if memchr::memmem::find(read.get(from..).unwrap_or_default(), expected).is_some() {
            return Ok(());
        }
        if read.len() == MAX_BODY {
            return lacks("the first 64 KiB of its body");
        }
    }
    if expected.is_empty() { Ok(()) } else { lacks("its body") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Error;

    proptest! {
        #[test]
        fn a_text_is_found_however_its_body_is_cut(
            body in "[ab]{0,40}",
            expected in "[ab]{1,4}",
            piece in 1_usize..5,
        ) {
            let pieces: Vec<_> = body.as_bytes().chunks(piece).map(Bytes::copy_from_slice).collect();
            let frames = pieces.into_iter().map(|piece| Ok::<_, Error>(http_body::Frame::data(piece)));
            let frames = futures_util::stream::iter(frames);
            let streamed = Body::new(http_body_util::StreamBody::new(frames));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let found = runtime.block_on(contains(streamed, expected.as_bytes()));
            prop_assert_eq!(found.is_ok(), body.contains(&expected));
        }
    }
}
