//! [`HeadCopy`]: the head of a request, kept for sending it again.

use gateway_core::{RequestContext, RequestExt};
use http::request::Parts;
use http::{Extensions, HeaderMap, Method, Uri, Version};

/// A copy of a request's head.
///
/// Extensions allocate for themselves and for each entry. Mostly the context is the only one, and
/// is kept beside the head until it is needed.
#[derive(Clone)]
pub(crate) struct HeadCopy {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    /// Empty where the context is all that is in them.
    extensions: Extensions,
    context: Option<RequestContext>,
}

impl HeadCopy {
    pub(crate) fn of(original: &Parts) -> Self {
        let context = original.context().cloned();
        let is_all = context.is_some() && original.extensions.len() == 1;
        Self {
            method: original.method.clone(),
            uri: original.uri.clone(),
            version: original.version,
            headers: original.headers.clone(),
            extensions: if is_all { Extensions::new() } else { original.extensions.clone() },
            context,
        }
    }

    pub(crate) fn context(&self) -> Option<&RequestContext> {
        self.context.as_ref()
    }

    /// The head once more.
    pub(crate) fn again(&self) -> Parts {
        self.clone().into_head()
    }

    /// The head for the last time.
    pub(crate) fn into_head(self) -> Parts {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = self.method;
        head.uri = self.uri;
        head.version = self.version;
        head.headers = self.headers;
        head.extensions = self.extensions;
        if let Some(context) = self.context.filter(|_| head.extensions.is_empty()) {
            head.extensions.insert(context);
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gateway_core::{Body, ConnectionInfo, Request};
    use tokio::time::Instant;

    use super::*;

    fn original() -> Parts {
        let connection = ConnectionInfo::new(Arc::default(), None, None);
        let context = RequestContext::new(Arc::new(connection), Instant::now());
        let mut request = Request::new(Body::empty());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = "/a?b".parse().unwrap();
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().insert("x-a", "1".parse().unwrap());
        request.extensions_mut().insert(context);
        request.into_parts().0
    }

    fn assert_same(copy: &Parts, original: &Parts) {
        assert_eq!((&copy.method, &copy.uri), (&original.method, &original.uri));
        assert_eq!((copy.version, &copy.headers), (original.version, &original.headers));
        assert_eq!(copy.extensions.len(), original.extensions.len());
        assert_eq!(copy.extensions.get::<u8>(), original.extensions.get::<u8>());
        // The same context, not one like it.
        let before = original.context().map(|context| context.record().retries());
        copy.context().inspect(|context| context.record().retry());
        let after = original.context().map(|context| context.record().retries());
        assert_eq!(after, before.map(|retries| retries + 1));
    }

    #[test]
    fn a_copy_is_the_same_with_and_without_extensions() {
        let with_context = original();
        let mut with_more = original();
        with_more.extensions.insert(7_u8);
        let mut with_others = original();
        with_others.extensions.remove::<RequestContext>();
        with_others.extensions.insert(7_u8);
        let mut bare = original();
        bare.extensions.clear();
        for original in [with_context, with_more, with_others, bare] {
            let copy = HeadCopy::of(&original);
            assert_eq!(copy.context().is_some(), original.context().is_some());
            assert_same(&copy.again(), &original);
            assert_same(&copy.again(), &original);
            assert_same(&copy.into_head(), &original);
        }
    }
}
