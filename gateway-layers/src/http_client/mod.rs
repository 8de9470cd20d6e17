//! What those have in common who ask other servers: over the gateway's own clusters, with a whole
//! answer of limited size. Redirects are never followed: they would lead anywhere.

#[cfg(any(feature = "acme", feature = "audit", feature = "jwt", feature = "introspection"))]
pub(crate) mod url;

use std::error::Error as _;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_core::{Body, ClusterBuilder, ClusterTimeouts, Error, HostPolicy, PoolConfig, Request};
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use http::{Method, Uri};
use http_body::Body as _;

/// Why an answer is not there as a whole.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// It has more bytes than this.
    TooLarge(usize),
    /// It broke off.
    Broken(Error),
}

/// A question of ours, which takes answers of the kind `accept`.
pub(crate) fn question(method: Method, target: Uri, accept: &'static str, body: Body) -> Request {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = target;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(USER_AGENT, HeaderValue::from_static("gateway"));
    request
}

/// Makes `builder` one of a client that asks little: nothing is silent for longer than `silence`,
/// and there are at most so many connections, `idle` of them without a question.
pub(crate) fn modest(
    builder: ClusterBuilder,
    silence: Duration,
    idle: usize,
    connections: usize,
) -> ClusterBuilder {
    let mut timeouts = ClusterTimeouts::default();
    timeouts.idle = silence;
    // Each query has a deadline of its own, and a watch may wait for its response for minutes.
    timeouts.response_head = None;
    let mut pool = PoolConfig::default();
    (pool.idle, pool.total) = (idle, connections);
    builder.host(HostPolicy::Endpoint).timeouts(timeouts).pool(pool)
}

/// The next piece of `body`; its trailers are left away.
pub(crate) async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Error> {
    loop {
        let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await else {
            return Ok(None);
        };
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
}

/// All of `body`, which has at most so many bytes.
pub(crate) async fn whole(mut body: Body, most: usize) -> Result<Bytes, ReadError> {
    if body.size_hint().lower() > most as u64 {
        return Err(ReadError::TooLarge(most));
    }
    let mut whole = BytesMut::new();
    while let Some(data) = next_data(&mut body).await.map_err(ReadError::Broken)? {
        if whole.len() + data.len() > most {
            return Err(ReadError::TooLarge(most));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The error and what it comes from: the code alone does not say who refused the connection.
pub(crate) fn with_sources(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// `text` as a part of a path or query (RFC 3986, section 2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `secret` as the value of a header field that is not printed either.
pub(crate) fn hidden(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_leaves_its_place() {
        assert_eq!(encoded("a-b._~9"), "a-b._~9");
        assert_eq!(encoded("a/b?c=d&e #%ü"), "a%2Fb%3Fc%3Dd%26e%20%23%25%C3%BC");
    }
}
