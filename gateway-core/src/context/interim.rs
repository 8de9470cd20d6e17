//! Interim answers (1xx) on their way to the client.

use std::fmt;
use std::sync::Weak;
use std::task::{Context, Poll};

use http::{HeaderMap, StatusCode};

/// Takes interim answers on behalf of a client connection.
pub trait InterimSink: Send + Sync {
    /// Writes one interim answer to the client, at once.
    fn send(&self, status: StatusCode, headers: &HeaderMap);

    /// Ready once the client has begun with a body for which it wanted to be asked, so that nobody
    /// needs to ask. Default: never.
    fn poll_body_begun(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Pending
    }
}

/// The way back to the client for interim answers (RFC 9110, section 15.2).
#[derive(Clone)]
pub struct Interim {
    sink: Weak<dyn InterimSink>,
}

impl Interim {
    /// Interim answers go to `sink`, for as long as it exists: a context that somebody keeps does
    /// not keep the connection.
    pub fn new(sink: Weak<dyn InterimSink>) -> Self {
        Self { sink }
    }

    /// Sends one interim answer. Anything but `102` to `199` is not sent: `100` is sent by the
    /// server when the body is asked for, `101` is final.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) {
        if (102..200).contains(&status.as_u16())
            && let Some(sink) = self.sink.upgrade()
        {
            sink.send(status, headers);
        }
    }
}

impl Interim {
    /// Ready once the client has begun with a body for which it wanted to be asked.
    pub(crate) fn poll_body_begun(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.sink.upgrade().map_or(Poll::Pending, |sink| sink.poll_body_begun(cx))
    }
}

impl fmt::Debug for Interim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interim")
    }
}
