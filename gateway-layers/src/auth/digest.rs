//! [`SecretDigest`]: what is kept of a key or token.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 of a whole key or token: what is stored, cached and looked up in its place.
///
/// A slow hash is for secrets that people think up. A key is random, and nobody finds it by
/// trying, however fast that is; but every request pays for its hash.
///
/// That something is looked up by a digest tells nobody by its timing how near a guess was: a key
/// that shares the beginning of its digest with another is no nearer to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// The digest of `secret`.
    pub fn of(secret: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, secret).as_ref());
        Self(bytes)
    }

    /// The digest that `text` writes in 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 64 {
            return None;
        }
        let digit = |byte: u8| (byte as char).to_digit(16);
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
        }
        Some(Self(bytes))
    }

    /// As it is written: 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in the same time wherever the two differ.
    #[cfg(feature = "api_key")]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.is_like(other).into()
    }

    pub(super) fn is_like(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl From<[u8; 32]> for SecretDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_sha256_and_survive_being_written_down() {
        // FIPS 180-2, appendix B.1.
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = SecretDigest::of(b"abc");
        assert_eq!(digest.to_hex(), text);
        assert_eq!(SecretDigest::from_hex(&text.to_uppercase()), Some(digest));
        assert!(!bool::from(digest.is_like(&SecretDigest::of(b"abd"))));
        assert!(bool::from(digest.is_like(&SecretDigest::of(b"abc"))));
        for wrong in ["", "ba78", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(SecretDigest::from_hex(wrong), None, "{wrong}");
        }
    }
}
