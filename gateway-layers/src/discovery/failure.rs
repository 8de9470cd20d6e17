//! [`Failure`]: why a source found nothing new.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::MAX_ENDPOINTS;
use crate::http_client::{ReadError, with_sources};

/// Why a source found nothing new. The last good set holds.
#[derive(Debug, thiserror::Error)]
#[allow(dead_code, reason = "each source has some of them, and not all are built")]
pub(super) enum Failure {
    /// No answer came, or it broke off.
    #[error("{}", with_sources(.0))]
    Request(#[from] gateway_core::Error),
    /// The peer rejected, and said so.
    #[error("answered {status}{}{said}", if .said.is_empty() { "" } else { ": " })]
    Status { status: StatusCode, said: String },
    /// The peer is silent.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// More came than is kept.
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
    /// What came cannot be read.
    #[error("{what} cannot be read: {problem}")]
    Unreadable { what: &'static str, problem: String },
    /// More endpoints than a cluster takes.
    #[error("{0} endpoints, expected {MAX_ENDPOINTS} at most")]
    TooMany(usize),
    /// Anything else, said in one sentence.
    #[error("{0}")]
    Other(String),
}

impl From<ReadError> for Failure {
    fn from(fault: ReadError) -> Self {
        match fault {
            ReadError::TooLarge(most) => Self::TooLarge(most),
            ReadError::Broken(error) => Self::Request(error),
        }
    }
}

impl Failure {
    pub(super) fn unreadable(what: &'static str, problem: &impl fmt::Display) -> Self {
        Self::Unreadable { what, problem: problem.to_string() }
    }
}
