//! [`ReservedHeaders`]: what nobody but the gateway says to upstreams and modules.

use std::fmt;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, Version};

use crate::forwarded::strip_reserved;
use crate::message::Request;

/// Names a request across systems: only a trusted peer may have given it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The names that are configured as the gateway's own.
pub(super) struct ReservedHeaders {
    names: Arc<[HeaderName]>,
    /// What a peer that is not trusted may not say.
    with_request_id: Box<[HeaderName]>,
}

impl ReservedHeaders {
    pub(super) fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let names: Arc<[HeaderName]> = names.into_iter().collect();
        let with_request_id = names.iter().cloned().chain([REQUEST_ID]).collect();
        Self { names, with_request_id }
    }

    /// Removes them from the head and from trailers that may follow.
    pub(super) fn strip(&self, request: &mut Request, trusted_peer: bool) {
        let unsaid = if trusted_peer { &*self.names } else { &*self.with_request_id };
        strip_reserved(request.headers_mut(), unsaid, trusted_peer);
        if !self.names.is_empty() && may_have_trailers(request.version(), request.headers()) {
            request.body_mut().strip_trailers(&self.names);
        }
    }
}

/// Whether trailers may follow the body: with a length there are none in HTTP/1 (RFC 9112,
/// section 7.1.2).
fn may_have_trailers(version: Version, headers: &HeaderMap) -> bool {
    version > Version::HTTP_11 || !headers.contains_key(CONTENT_LENGTH)
}

impl Default for ReservedHeaders {
    fn default() -> Self {
        Self::new([])
    }
}

impl fmt::Debug for ReservedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names.iter()).finish()
    }
}
