//! [`ServiceTokenFilter`]: our own token for others.

use std::fmt;

use http::request;
use http::{HeaderName, HeaderValue};

use super::HEADER;
use super::token::{ServiceTokenError, is_token};
use crate::filter::{Filter, Flow};

/// Shows a token of our own to upstreams, in the place of whatever the client has sent.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct ServiceTokenFilter {
    header: HeaderName,
    token: HeaderValue,
}

impl ServiceTokenFilter {
    /// Shows `token` in `x-service-token`.
    ///
    /// # Errors
    ///
    /// When it is shorter than 16 bytes or longer than 1,024, or has other than visible ASCII
    /// characters.
    pub fn new(token: &str) -> Result<Self, ServiceTokenError> {
        let text = || ServiceTokenError::Text("the gateway".to_owned());
        if !is_token(token) {
            return Err(text());
        }
        let mut token = HeaderValue::from_str(token).map_err(|_| text())?;
        // Printed nowhere, and in no table of HTTP/2 that others share.
        token.set_sensitive(true);
        Ok(Self { header: HEADER, token })
    }

    /// Shows it in the field `name`.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }
}

impl Filter for ServiceTokenFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        head.headers.insert(self.header.clone(), self.token.clone());
        Flow::Continue
    }
}

impl fmt::Debug for ServiceTokenFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokenFilter").field("header", &self.header).finish_non_exhaustive()
    }
}
