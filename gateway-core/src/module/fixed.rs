//! Modules that give the same answer to everyone.

use std::future::{Future, ready};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::ModuleService;
use crate::body::Body;
use crate::error::Reason;
use crate::message::{Outcome, Request, Response};

/// A fixed answer: status, content type and body.
#[derive(Clone, Debug)]
pub struct FixedResponse {
    status: StatusCode,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

impl FixedResponse {
    /// An answer with `status` and no body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, content_type: None, body: Bytes::new() }
    }

    /// With this body and media type.
    #[must_use]
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.content_type = Some(content_type);
        self.body = body.into();
        self
    }
}

impl ModuleService for FixedResponse {
    fn call(&self, _: Request) -> impl Future<Output = Outcome> + Send {
        let mut response = Response::new(Body::full(self.body.clone()));
        *response.status_mut() = self.status;
        if let Some(content_type) = &self.content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
        }
        ready(Ok(response))
    }
}

/// The module that takes nothing: [`Reason::RouteNotFound`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NotFound;

impl ModuleService for NotFound {
    fn call(&self, _: Request) -> impl Future<Output = Outcome> + Send {
        ready(Err(Reason::RouteNotFound.into()))
    }
}
