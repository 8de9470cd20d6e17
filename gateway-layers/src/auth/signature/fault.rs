//! [`SignatureRejection`]: why a signature is rejected.

use std::fmt;

use gateway_core::{Error, Reason};

/// Why a signature is rejected. What it says quotes nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureRejection {
    /// `Signature` or `Signature-Input` cannot be read, or names a label twice.
    Malformed,
    /// One of the two fields is missing, or has no member of the other's label.
    Incomplete,
    /// More signatures or components than anybody needs, or too much that is covered.
    TooLarge,
    /// None of the signatures is of a known key.
    KeyUnknown,
    /// `alg` is not the key's algorithm.
    Algorithm,
    /// A parameter is not understood, or of the wrong type.
    Parameter,
    /// A component is not understood, or cannot be one of a request.
    Component,
    /// A component is covered twice.
    ComponentTwice,
    /// A component is covered that the request does not have, or not in one form.
    ComponentMissing,
    /// The signature does not cover what it must.
    NotCovered,
    /// It does not say when it was made.
    CreatedMissing,
    /// It will be made later than now.
    CreatedAhead,
    /// It is older than it may be, or says that it is over.
    Expired,
    /// It has no nonce, or one that is too long.
    NonceMissing,
    /// The nonce was used before.
    NonceUsed,
    /// The bytes of the signature are not the key's.
    Wrong,
    /// There is a body, and no digest of it.
    DigestMissing,
    /// `Content-Digest` cannot be read, or has no algorithm that is known here.
    DigestUnknown,
    /// The body is not the one of its digest.
    DigestWrong,
}

impl SignatureRejection {
    /// What is told to the client.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Malformed => "the signature fields cannot be read",
            Self::Incomplete => "a signature without its input, or the other way round",
            Self::TooLarge => "too many signatures, or too much that is covered",
            Self::KeyUnknown => "no signature by a known key",
            Self::Algorithm => "the algorithm is not the key's",
            Self::Parameter => "a parameter is unknown or of the wrong type",
            Self::Component => "a covered component is not understood",
            Self::ComponentTwice => "a component is covered twice",
            Self::ComponentMissing => "a covered component is not in the request",
            Self::NotCovered => "the signature does not cover all it must",
            Self::CreatedMissing => "the signature does not say when it was created",
            Self::CreatedAhead => "the signature was created in the future",
            Self::Expired => "the signature is too old",
            Self::NonceMissing => "the signature has no nonce of a fitting length",
            Self::NonceUsed => "the signature was used before",
            Self::Wrong => "the signature is wrong",
            Self::DigestMissing => "the body has no digest",
            Self::DigestUnknown => "the digest of the body cannot be read or is of no known kind",
            Self::DigestWrong => "the body is not what its digest says",
        }
    }
}

impl fmt::Display for SignatureRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for SignatureRejection {}

impl From<SignatureRejection> for Error {
    fn from(fault: SignatureRejection) -> Self {
        Self::new(Reason::SignatureInvalid).with_detail(fault.text())
    }
}
