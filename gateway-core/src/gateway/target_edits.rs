//! [`TargetEdits`]: the rewrite and the header edits of a route, applied behind its policies.

use std::borrow::Cow;

use http::Uri;
use http::header::{self, HeaderValue};

use super::admit::with_path;
use crate::error::{Error, Reason};
use crate::message::{Request, RequestExt};
use crate::route::{HeaderEdits, PathParams, Rewrite, Route};

/// The rewrite and the request header edits of a route whose target contains policies.
///
/// Policies see the request as the client sent it; the target sees it as the route edits it. A
/// gateway whose routes [apply the edits themselves](Route::target_applies_edits) calls
/// [`apply`](Self::apply) behind the last policy, directly before the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetEdits {
    rewrite: Option<Rewrite>,
    request_headers: HeaderEdits,
}

impl TargetEdits {
    /// A rewrite and header edits as a route has them.
    #[must_use]
    pub fn new(rewrite: Option<Rewrite>, request_headers: HeaderEdits) -> Self {
        Self { rewrite, request_headers }
    }

    /// The edits of `route`.
    #[must_use]
    pub fn of<T>(route: &Route<T>) -> Self {
        Self::new(route.rewrite.clone(), route.request_headers.clone())
    }

    /// True when nothing is edited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rewrite.is_none() && self.request_headers.is_empty()
    }

    /// Rewrites path and host of `request` and edits its headers. The path is made of the one that
    /// the route matched, and the query is the request's.
    ///
    /// # Errors
    ///
    /// [`Reason::RewriteFailed`] when a parameter makes a dot segment of the rewritten path.
    pub fn apply(&self, request: &mut Request) -> Result<(), Error> {
        let context = request.context().cloned();
        let target = context.as_ref().and_then(|context| context.target());
        let (Some(context), Some(target)) = (&context, target) else {
            self.request_headers.apply(request.headers_mut());
            return Ok(());
        };
        let none = PathParams::default();
        let matched = Matched {
            target,
            params: context.params().unwrap_or(&none),
            after_prefix: context.after_prefix(),
        };
        apply(self.rewrite.as_ref(), &self.request_headers, &matched, request)
    }
}

/// How a route matched a request.
pub(super) struct Matched<'m> {
    /// The normalized target that was matched.
    pub(super) target: &'m Uri,
    pub(super) params: &'m PathParams,
    /// Where in the path the part behind the matched prefix begins.
    pub(super) after_prefix: Option<usize>,
}

/// Rewrites and edits `request` for the target of its route.
pub(super) fn apply(
    rewrite: Option<&Rewrite>,
    edits: &HeaderEdits,
    matched: &Matched<'_>,
    request: &mut Request,
) -> Result<(), Error> {
    if let Some(rewrite) = rewrite {
        let path = matched.target.path();
        let rest = matched.after_prefix.and_then(|at| path.get(at..));
        let rewritten = rewrite.apply_matched(path, matched.params, rest).map_err(|problem| {
            Error::new(Reason::RewriteFailed).with_detail(problem.to_string())
        })?;
        let uri = match rewritten {
            Cow::Borrowed(same) if same == path => None,
            rewritten => Some(with_path(request.uri(), &rewritten)?),
        };
        if let Some(uri) = uri {
            *request.uri_mut() = uri;
        }
        if let Some(host) = &rewrite.host {
            let host = HeaderValue::from_str(host.as_str())
                .map_err(|_| Error::new(Reason::RewriteFailed))?;
            request.headers_mut().insert(header::HOST, host);
        }
    }
    edits.apply(request.headers_mut());
    Ok(())
}
