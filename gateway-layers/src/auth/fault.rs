//! [`TokenRejection`]: why a token is rejected.

use std::fmt;

use gateway_core::{Error, Reason};
use http::header::WWW_AUTHENTICATE;

use super::challenge::Challenge;
use super::credentials::CredentialRejection;

/// Why a token is rejected. What it says quotes nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenRejection {
    /// More bytes than a token may have.
    TooLarge,
    /// Two tokens, in one place or in several (RFC 6750, section 2).
    Several,
    /// Not three parts of base64url with JSON objects in the first two.
    Malformed,
    /// `alg` is `none`, unknown, or none of those that the issuer may use.
    Algorithm,
    /// `crit` names what must be understood, or the token is wrapped, compressed or encrypted.
    Unsupported,
    /// `typ` says that it is another kind of token.
    Type,
    /// No key of the issuer has this `kid` and algorithm.
    KeyUnknown,
    /// The signature is not the key's.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come yet.
    NotYet,
    /// `iat` is in the future.
    IssuedLater,
    /// `iss` is somebody else.
    Issuer,
    /// `aud` is somebody else.
    Audience,
    /// A claim that must be there is not.
    ClaimMissing,
    /// A claim is not of the type that it must have.
    ClaimType,
    /// A claim that is forwarded cannot stand in a header field as what it is.
    ClaimUnsafe,
    /// Whoever was asked about it does not know it, or not any more.
    Inactive,
}

impl TokenRejection {
    /// What it says, as a text of its own.
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooLarge => "the token is too large",
            Self::Several => "more than one token",
            Self::Malformed => "the token is malformed",
            Self::Algorithm => "the token's algorithm is not allowed",
            Self::Unsupported => "the token needs something that is not supported",
            Self::Type => "the token is of the wrong type",
            Self::KeyUnknown => "the token is signed by no known key",
            Self::Signature => "the token's signature is wrong",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::IssuedLater => "the token was issued in the future",
            Self::Issuer => "the token is of another issuer",
            Self::Audience => "the token is for another audience",
            Self::ClaimMissing => "a required claim is missing",
            Self::ClaimType => "a claim has the wrong type",
            Self::ClaimUnsafe => "a claim cannot be forwarded",
            Self::Inactive => "the token is not active",
        }
    }
}

impl TokenRejection {
    /// The answer to it, with its challenge (RFC 6750, section 3.1).
    pub(super) fn error(self, realm: &str) -> Error {
        let code = match self {
            Self::Several => "invalid_request",
            _ => "invalid_token",
        };
        let challenge = Challenge::new("Bearer", realm).parameter("error", code);
        let challenge = challenge.parameter("error_description", self.text());
        Error::new(Reason::TokenInvalid)
            .with_detail(self.text())
            .with_field(WWW_AUTHENTICATE, challenge.value())
    }
}

impl fmt::Display for TokenRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for TokenRejection {}

impl From<CredentialRejection> for TokenRejection {
    fn from(fault: CredentialRejection) -> Self {
        match fault {
            CredentialRejection::Several => Self::Several,
            CredentialRejection::Malformed => Self::Malformed,
        }
    }
}
