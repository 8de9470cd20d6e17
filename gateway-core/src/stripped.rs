//! Bodies whose trailers say nothing that only the gateway may say.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Frame, SizeHint};

use crate::body::Body;
use crate::error::Error;
use crate::forwarded::strip_reserved;

impl Body {
    /// Removes the fields `names` from the trailers, in every spelling, and those that the gateway
    /// always owns. A body that has ended already costs nothing.
    pub fn strip_trailers(&mut self, names: &Arc<[HeaderName]>) {
        if !http_body::Body::is_end_stream(self) {
            let names = Arc::clone(names);
            *self = mem::take(self).map(|inner| Stripped { inner, names });
        }
    }
}

struct Stripped {
    inner: Body,
    names: Arc<[HeaderName]>,
}

impl http_body::Body for Stripped {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            strip_reserved(trailers, &self.names, false);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test]
    async fn what_is_owned_is_not_said_behind_a_body() {
        let mut trailers = HeaderMap::new();
        for name in ["x-user-id", "x_user_id", "x-gateway-origin", "x-sum"] {
            trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        let frames: [Result<_, Error>; 2] =
            [Ok(Frame::data(Bytes::from_static(b"body"))), Ok(Frame::trailers(trailers))];
        let mut body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
        body.strip_trailers(&[HeaderName::from_static("x-user-id")].into());
        let whole = body.collect().await.unwrap();
        let left: Vec<_> = whole.trailers().unwrap().keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-sum"]);
        assert_eq!(whole.to_bytes(), "body");
    }
}
