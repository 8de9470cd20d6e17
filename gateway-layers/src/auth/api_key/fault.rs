//! [`ApiKeyRejection`]: why a key is not taken.

use std::fmt;
use std::time::Duration;

use gateway_core::{Error, Reason};

/// Who cannot be told apart now is asked to come again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ApiKeyRejection {
    /// It is empty, too long, or one of ours with a typo.
    Malformed,
    /// There are two of them.
    Several,
    /// Nobody has it.
    Unknown,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
    /// Its time is to come.
    NotYet,
    /// Its holder may not call from there.
    Network,
    /// Its holder may call from some networks only, and the client's address is unknown.
    AddressUnknown,
    /// Its holder may not call this.
    Route,
    /// What it gives cannot be told to the upstream as it should be.
    Untold,
    /// The store of keys does not answer.
    Unavailable,
}

impl ApiKeyRejection {
    /// For people. Who is told has the key, or has nothing.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Malformed => "the key is malformed",
            Self::Several => "more than one key",
            Self::Unknown => "the key is not known",
            Self::Revoked => "the key has been revoked",
            Self::Expired => "the key has expired",
            Self::NotYet => "the key is not valid yet",
            Self::Network => "the key is not taken from this address",
            Self::AddressUnknown => "the key is bound to networks",
            Self::Route => "the key is not taken on this route",
            Self::Untold => "what the key gives cannot be told in a header field",
            Self::Unavailable => "keys cannot be looked up now",
        }
    }

    /// The answer it leads to.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Network => Reason::AddressDenied,
            Self::AddressUnknown => Reason::ClientAddressUnknown,
            Self::Route => Reason::Forbidden,
            Self::Unavailable => Reason::IdentityUnavailable,
            _ => Reason::CredentialsInvalid,
        }
    }
}

impl fmt::Display for ApiKeyRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for ApiKeyRejection {}

impl From<ApiKeyRejection> for Error {
    fn from(fault: ApiKeyRejection) -> Self {
        let error = Self::new(fault.reason()).with_detail(fault.text());
        if fault == ApiKeyRejection::Unavailable { error.with_retry_after(AGAIN) } else { error }
    }
}
