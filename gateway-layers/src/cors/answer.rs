//! The CORS fields of an answer.

use std::sync::Arc;

use gateway_core::ResponseEdit;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::filter::Cors;

/// Fields that only the gateway says where a route has CORS.
const OWNED: [HeaderName; 7] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_METHODS,
    header::ACCESS_CONTROL_ALLOW_HEADERS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

/// What becomes of the answer to a request that was no preflight.
pub(super) struct Answer {
    pub(super) cors: Arc<Cors>,
    /// The request's origin, where it is allowed.
    pub(super) origin: Option<HeaderValue>,
}

impl ResponseEdit for Answer {
    fn edit(&self, headers: &mut HeaderMap) {
        for name in &OWNED {
            headers.remove(name);
        }
        if let Some(origin) = &self.origin {
            self.cors.allow(origin, headers);
            if let Some(names) = &self.cors.expose {
                headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
            }
        }
        vary_by_origin(headers);
    }
}

/// Puts `Origin` to what the answer varies by, in one line: some caches read only the first.
pub(super) fn vary_by_origin(headers: &mut HeaderMap) {
    const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
    let lines = headers.get_all(header::VARY).iter();
    let mut lines = lines.map(HeaderValue::as_bytes).filter(|line| !line.trim_ascii().is_empty());
    let Some(first) = lines.next() else {
        headers.insert(header::VARY, ORIGIN);
        return;
    };
    let joined = lines.fold(first.to_vec(), |joined, line| [&joined, line].join(&b", "[..]));
    let said = |name: &[u8]| name.eq_ignore_ascii_case(b"origin") || name == b"*";
    if joined.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(said) {
        return;
    }
    let joined = [&joined[..], ORIGIN.as_bytes()].join(&b", "[..]);
    headers.insert(header::VARY, HeaderValue::from_bytes(&joined).unwrap_or(ORIGIN));
}
