//! [`Error`] and [`Reason`]: why the gateway answered itself.
//!
//! Errors travel typed from where they arise to the edge, where exactly one place turns them into
//! a response. Everything between (retry, breaker, log, metrics) sees what really happened.

mod grpc;
mod health_signal;
mod reason;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

pub use self::grpc::{GRPC_STATUS, GrpcStatus};
pub use self::health_signal::HealthSignal;
pub use self::reason::Reason;

/// Any error, erased.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A failure on the request path: a [`Reason`] with its particulars.
///
/// One word wide. `Display` prints the reason and the detail, not the source.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    reason: Reason,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    allow: Vec<Method>,
    fields: Vec<(HeaderName, HeaderValue)>,
    unsent: bool,
    source: Option<BoxError>,
}

impl Error {
    /// A failure for `reason`.
    pub fn new(reason: Reason) -> Self {
        let inner = Inner {
            reason,
            detail: Cow::Borrowed(""),
            retry_after: None,
            allow: Vec::new(),
            fields: Vec::new(),
            unsent: reason.means_unsent(),
            source: None,
        };
        Self { inner: Box::new(inner) }
    }

    /// Says what happened in this case. Shown to the client: no secrets, no addresses.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.inner.detail = detail.into();
        self
    }

    /// Keeps the error that led to this one, for the log. Never shown to the client.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Tells the client when to try again (`Retry-After`, RFC 9110, section 10.2.3).
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.inner.retry_after = Some(delay);
        self
    }

    /// The methods that would have been taken (`Allow`, RFC 9110, section 10.2.1).
    #[must_use]
    pub fn with_allow(mut self, methods: Vec<Method>) -> Self {
        self.inner.allow = methods;
        self
    }

    /// Adds a header field to the answer, such as `WWW-Authenticate` (RFC 9110, section 11.6.1).
    #[must_use]
    pub fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.inner.fields.push((name, value));
        self
    }

    /// Says that no byte of the request reached an upstream's application: sending it again
    /// cannot do twice what was asked for once, whatever its method.
    #[must_use]
    pub fn with_unsent(mut self) -> Self {
        self.inner.unsent = true;
        self
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.inner.reason
    }

    /// True when no byte of the request reached an upstream's application. Follows from some
    /// reasons; others have it [said](Self::with_unsent).
    pub fn is_unsent(&self) -> bool {
        self.inner.unsent
    }

    /// What happened in this case; empty when the reason says it all.
    pub fn detail(&self) -> &str {
        &self.inner.detail
    }

    /// When the client may try again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Further header fields of the answer.
    pub fn fields(&self) -> &[(HeaderName, HeaderValue)] {
        &self.inner.fields
    }

    /// The methods that would have been taken.
    pub fn allow(&self) -> &[Method] {
        &self.inner.allow
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("reason", &self.inner.reason)
            .field("detail", &self.inner.detail)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.inner.reason.code())?;
        if !self.inner.detail.is_empty() {
            write!(f, ": {}", self.inner.detail)?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_found_again() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
            assert!(reason.status().is_client_error() || reason.status().is_server_error());
        }
    }

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn display_prints_its_own_level() {
        let error = Error::new(Reason::ConnectFailed)
            .with_detail("endpoint a")
            .with_source(std::io::Error::other("rejected"));
        assert_eq!(error.to_string(), "connect_failed: endpoint a");
        assert_eq!(StdError::source(&error).unwrap().to_string(), "rejected");
    }
}
