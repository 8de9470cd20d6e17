//! An answer as a client received it, and who made it.

use bytes::Bytes;
use http::response::Parts;
use serde_json::Value;

use crate::framing::{Headers, get, get_all};

/// How an answer came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The protocol's own end of a message was seen.
    Complete,
    /// It was not, for this reason.
    Broken(String),
}

/// An answer with its body, or what there was of it.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status; 0 when the connection or stream ended without a head.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Headers,
    /// The body, or the part that came.
    pub body: Bytes,
    /// Trailer fields.
    pub trailers: Headers,
    /// How it ended.
    pub end: End,
}

impl Reply {
    pub(crate) fn none(reason: &dyn std::error::Error) -> Self {
        let end = End::Broken(chain(reason));
        Self { status: 0, headers: Vec::new(), body: Bytes::new(), trailers: Vec::new(), end }
    }

    pub(crate) fn head(parts: &Parts) -> Self {
        Self {
            status: parts.status.as_u16(),
            headers: lines(&parts.headers),
            body: Bytes::new(),
            trailers: Vec::new(),
            end: End::Complete,
        }
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        get(&self.headers, name)
    }

    /// Every value of a header.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        get_all(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Whether the end of the message was seen.
    pub fn is_complete(&self) -> bool {
        self.end == End::Complete
    }

    /// Whether the gateway says that it made this answer.
    pub fn is_by_gateway(&self) -> bool {
        self.header("x-gateway-origin") == Some("gateway")
    }

    /// The code of the reason that the gateway gave in a problem document.
    pub fn reason(&self) -> Option<String> {
        let problem: Value = serde_json::from_slice(&self.body).ok()?;
        Some(problem["type"].as_str()?.rsplit(':').next()?.to_owned())
    }

    /// Whether [`Reply::assert_by_gateway`] would pass.
    pub fn is_rejection(&self, statuses: &[u16]) -> bool {
        statuses.contains(&self.status)
            && self.is_complete()
            && self.is_by_gateway()
            && self.header("content-type") == Some("application/problem+json")
            && self.header("proxy-status").is_some()
    }

    /// Fails unless this is a whole 200 with that body, from the upstream.
    #[track_caller]
    pub fn assert_ok(&self, body: &str) {
        assert_eq!((self.status, self.text().as_str()), (200, body), "{self:?}");
        assert!(self.is_complete(), "{self:?}");
        assert!(!self.is_by_gateway(), "{self:?}");
    }

    /// Fails unless the gateway made this answer, whole, with one of these statuses, and says so
    /// in all the ways it promised.
    #[track_caller]
    pub fn assert_by_gateway(&self, statuses: &[u16]) {
        assert!(statuses.contains(&self.status), "wanted {statuses:?}: {self:?}");
        assert!(self.is_complete(), "{self:?}");
        assert_problem(self.status, &self.headers, &self.body);
    }
}

/// Fails unless head and body are a problem document of the gateway.
#[track_caller]
pub(crate) fn assert_problem(status: u16, headers: &Headers, body: &[u8]) {
    assert_eq!(get(headers, "x-gateway-origin"), Some("gateway"), "origin in {headers:?}");
    assert_eq!(get(headers, "content-type"), Some("application/problem+json"), "{headers:?}");
    assert!(get(headers, "proxy-status").is_some(), "no Proxy-Status in {headers:?}");
    let text = String::from_utf8_lossy(body);
    let problem: Value = serde_json::from_slice(body).unwrap_or_else(|_| panic!("json: {text}"));
    assert_eq!(problem["status"], Value::from(status), "status of {text}");
    assert!(problem["type"].is_string(), "type of {text}");
}

pub(crate) fn lines(headers: &http::HeaderMap) -> Headers {
    headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect()
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
