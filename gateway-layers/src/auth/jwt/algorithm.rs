//! [`Algorithm`]: how a token may be signed.

use std::fmt;
use std::str::FromStr;

/// How a token is signed (RFC 7518, section 3.1; RFC 8037; RFC 9864).
///
/// `none` is not among them, and neither are ES512 and ES256K, which nothing here can verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever can verify can sign.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA PKCS #1 v1.5 with SHA-256.
    RS256,
    /// RSA PKCS #1 v1.5 with SHA-384.
    RS384,
    /// RSA PKCS #1 v1.5 with SHA-512.
    RS512,
    /// RSA PSS with SHA-256.
    PS256,
    /// RSA PSS with SHA-384.
    PS384,
    /// RSA PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519, also under its name `Ed25519`.
    EdDSA,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// Its name in the header of a token.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// True when whoever can verify can sign as well.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    /// Its fewest bytes of secret: as many as the hash gives (RFC 7518, section 3.2).
    pub(super) const fn secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            _ => None,
        }
    }

    pub(super) const fn backend(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Theirs;
        match self {
            Self::HS256 => Theirs::HS256,
            Self::HS384 => Theirs::HS384,
            Self::HS512 => Theirs::HS512,
            Self::RS256 => Theirs::RS256,
            Self::RS384 => Theirs::RS384,
            Self::RS512 => Theirs::RS512,
            Self::PS256 => Theirs::PS256,
            Self::PS384 => Theirs::PS384,
            Self::PS512 => Theirs::PS512,
            Self::ES256 => Theirs::ES256,
            Self::ES384 => Theirs::ES384,
            Self::EdDSA => Theirs::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no algorithm's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no signature algorithm that can be verified; there are HS, RS and PS with 256, 384, 512, ES256, ES384 and EdDSA"
)]
pub struct AlgorithmUnknown;

impl FromStr for Algorithm {
    type Err = AlgorithmUnknown;

    /// Names are case-sensitive (RFC 7515, section 4.1.1).
    fn from_str(name: &str) -> Result<Self, AlgorithmUnknown> {
        match name {
            "Ed25519" => Ok(Self::EdDSA),
            _ => Self::ALL.into_iter().find(|one| one.name() == name).ok_or(AlgorithmUnknown),
        }
    }
}
