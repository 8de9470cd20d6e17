//! [`BasicAuthRejection`]: why a name and a password are not taken.

use std::fmt;
use std::time::Duration;

use gateway_core::{Error, Reason};

/// Who cannot be told apart now is asked to come again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a name and a password are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BasicAuthRejection {
    /// They are not what RFC 7617 says.
    Malformed,
    /// There are two of them.
    Several,
    /// Nobody has this name, or another password; which of both is not told.
    Wrong,
    /// What the user is cannot be told to the upstream as it should be.
    Untold,
    /// Too many passwords are being verified, or it takes too long.
    Busy,
}

impl BasicAuthRejection {
    /// For people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Malformed => "the credentials are malformed",
            Self::Several => "more than one credential",
            Self::Wrong => "the name or the password is wrong",
            Self::Untold => "what the user is cannot be told in a header field",
            Self::Busy => "too many passwords are being verified",
        }
    }

    /// The answer it leads to.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Busy => Reason::IdentityUnavailable,
            _ => Reason::CredentialsInvalid,
        }
    }
}

impl fmt::Display for BasicAuthRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for BasicAuthRejection {}

impl From<BasicAuthRejection> for Error {
    fn from(fault: BasicAuthRejection) -> Self {
        let error = Self::new(fault.reason()).with_detail(fault.text());
        if fault == BasicAuthRejection::Busy { error.with_retry_after(AGAIN) } else { error }
    }
}
