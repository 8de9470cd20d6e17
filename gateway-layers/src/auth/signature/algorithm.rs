//! [`SignatureAlgorithm`]: how is signed.

use std::fmt;
use std::str::FromStr;

/// How is signed (RFC 9421, section 6.2). The algorithm belongs to the key, never to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// `hmac-sha256`: a secret that both sides know, of 32 bytes at least.
    HmacSha256,
    /// `ed25519`.
    Ed25519,
    /// `ecdsa-p256-sha256`. Only verified.
    EcdsaP256Sha256,
    /// `ecdsa-p384-sha384`. Only verified.
    EcdsaP384Sha384,
    /// `rsa-pss-sha512`, with 2048 to 8192 bits. Only verified.
    RsaPssSha512,
    /// `rsa-v1_5-sha256`, with 2048 to 8192 bits. Only verified.
    RsaV15Sha256,
}

impl SignatureAlgorithm {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::HmacSha256,
        Self::Ed25519,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::RsaPssSha512,
        Self::RsaV15Sha256,
    ];

    pub(super) const fn is_rsa(self) -> bool {
        matches!(self, Self::RsaPssSha512 | Self::RsaV15Sha256)
    }

    /// What the registry and documents call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no algorithm of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signature algorithm")]
pub struct SignatureAlgorithmUnknown;

impl FromStr for SignatureAlgorithm {
    type Err = SignatureAlgorithmUnknown;

    fn from_str(name: &str) -> Result<Self, SignatureAlgorithmUnknown> {
        let one = Self::ALL.into_iter().find(|one| one.as_str() == name);
        one.ok_or(SignatureAlgorithmUnknown)
    }
}
