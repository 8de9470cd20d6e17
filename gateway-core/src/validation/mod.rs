//! Is this head one message with one reading? (RFC 9112, 3 and 6; RFC 9113, 8.3.1)
//!
//! Checks of a parsed head that hold for every protocol version. Whoever disagrees with the next
//! server about where a message ends or whom it is for lets one client speak for another, so
//! everything that can be read in two ways is rejected: 400 to a client, 502 for an upstream, and
//! the connection closes either way, because nobody knows where the next message starts.
//!
//! Not checked here, because `http`'s types cannot hold it: control characters and NUL in values
//! (`HeaderValue` rejects all below 0x20 but tab, and 0x7f) and anything but tokens in field
//! names and methods (`HeaderName`, `Method`).
//!
//! The server's parser may hide a fault before a head exists: one that drops a `Content-Length`
//! beside `Transfer-Encoding`, or joins equal `Content-Length` lines, leaves nothing to reject
//! here. Its own message is then still read in one way.

mod authority;
mod framing;

use crate::error::{Error, Reason};
pub use authority::{Authority, HOST_LIMIT, authority};
pub use framing::{Framing, ResponseFraming, framing, response_framing};

/// Why a head is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HeadProblem {
    /// HTTP/1.1 without `Host`, or HTTP/2 with neither `:authority` nor `Host`.
    #[error("no host")]
    HostMissing,
    /// Several `Host` lines, equal ones included (RFC 9112, 3.2).
    #[error("several host lines")]
    HostRepeated,
    /// The host is empty.
    #[error("empty host")]
    HostEmpty,
    /// The host is neither a name of letters, digits, `-`, `.`, `_` and `~` without empty labels
    /// nor a bracketed IPv6 address, or is longer than [`HOST_LIMIT`].
    #[error("invalid host")]
    HostInvalid,
    /// The authority carries user information (RFC 9110, 4.2.4).
    #[error("user information in the host")]
    HostUserinfo,
    /// The port is empty, not decimal, starts with 0 or exceeds 65,535; or a `CONNECT` has none.
    #[error("invalid port")]
    Port,
    /// `Host` differs from the authority of the request target or from `:authority`.
    #[error("host differs from the request target")]
    HostMismatch,
    /// Authority-form without `CONNECT`, asterisk-form without `OPTIONS`, or `CONNECT` with
    /// another form (RFC 9112, 3.2).
    #[error("form of the request target does not fit the method")]
    TargetForm,
    /// A target with a scheme other than `http` and `https`.
    #[error("scheme is neither http nor https")]
    Scheme,
    /// Several `Content-Length` lines, equal ones included.
    #[error("several content-length lines")]
    ContentLengthRepeated,
    /// `Content-Length` is not one decimal number below 2^64.
    #[error("invalid content-length")]
    ContentLengthInvalid,
    /// `Transfer-Encoding` is anything but one `chunked`.
    #[error("transfer-encoding is not chunked")]
    TransferEncodingUnknown,
    /// `Transfer-Encoding` outside HTTP/1.1 (RFC 9112, 6.1; RFC 9113, 8.2.2).
    #[error("transfer-encoding outside HTTP/1.1")]
    TransferEncodingVersion,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112, 6.3).
    #[error("content-length beside transfer-encoding")]
    LengthAndEncoding,
}

impl HeadProblem {
    /// A stable name for logs and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::HostMissing => "host_missing",
            Self::HostRepeated => "host_repeated",
            Self::HostEmpty => "host_empty",
            Self::HostInvalid => "host_invalid",
            Self::HostUserinfo => "host_userinfo",
            Self::Port => "port_invalid",
            Self::HostMismatch => "host_mismatch",
            Self::TargetForm => "target_form",
            Self::Scheme => "scheme_unknown",
            Self::ContentLengthRepeated => "content_length_repeated",
            Self::ContentLengthInvalid => "content_length_invalid",
            Self::TransferEncodingUnknown => "transfer_encoding_unknown",
            Self::TransferEncodingVersion => "transfer_encoding_version",
            Self::LengthAndEncoding => "length_and_encoding",
        }
    }
}

impl From<HeadProblem> for Error {
    fn from(problem: HeadProblem) -> Self {
        let reason = match problem {
            HeadProblem::ContentLengthRepeated
            | HeadProblem::ContentLengthInvalid
            | HeadProblem::TransferEncodingUnknown
            | HeadProblem::TransferEncodingVersion
            | HeadProblem::LengthAndEncoding => Reason::FramingInvalid,
            _ => Reason::HostInvalid,
        };
        Self::new(reason).with_detail(problem.to_string())
    }
}
