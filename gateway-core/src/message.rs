//! The messages that walk the path: [`Request`], [`Response`], and what may come with them.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::context::RequestContext;
use crate::error::Error;
use crate::media_type;

/// A request on its way through the gateway.
pub type Request = http::Request<Body>;

/// A response on its way back.
pub type Response = http::Response<Body>;

/// What a module or layer returns.
pub type Outcome = Result<Response, Error>;

/// What the gateway adds to a request.
pub trait RequestExt {
    /// What is known about this request. `None` before it reached a server or gateway of ours.
    fn context(&self) -> Option<&RequestContext>;
}

impl<B> RequestExt for http::Request<B> {
    fn context(&self) -> Option<&RequestContext> {
        self.extensions().get()
    }
}

impl RequestExt for http::request::Parts {
    fn context(&self) -> Option<&RequestContext> {
        self.extensions.get()
    }
}

/// True for the headers of an event stream, which has no end that a total timeout could hold.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    media_type::is(headers, "text/event-stream")
}

/// A byte stream in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// Any byte stream, erased.
pub type BoxStream = Pin<Box<dyn Stream>>;

/// The far side of an upgraded connection, carried by a `101` response as an extension.
///
/// Whoever writes that response to the client takes the stream and connects both sides. A module
/// that answers an upgrade itself puts a tunnel into its response.
#[derive(Clone)]
pub struct Tunnel {
    stream: Arc<Mutex<Option<BoxStream>>>,
    idle: Option<Duration>,
}

impl Tunnel {
    /// A tunnel whose far side is `stream`.
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Arc::new(Mutex::new(Some(Box::pin(stream)))), idle: None }
    }

    /// Sets how long the tunnel may be idle before it is closed. Default: as the listener has it
    /// ([`Timeouts::tunnel_idle`](crate::Timeouts)).
    pub fn set_idle(&mut self, idle: Duration) {
        self.idle = Some(idle);
    }

    /// How long the tunnel may be idle, where that is not left to the listener.
    pub fn idle(&self) -> Option<Duration> {
        self.idle
    }

    /// The far side, once.
    pub fn take(&self) -> Option<BoxStream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}
