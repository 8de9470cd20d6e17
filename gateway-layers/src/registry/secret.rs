//! Secrets: of registrations, and their fingerprints.

use std::fmt;

use sha1_smol::Sha1;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The fingerprint of a secret. What is kept and compared is never the secret itself.
///
/// To find another text with a given fingerprint is what would break it, and that is as hard for
/// SHA-1 as its length says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 20]);

impl Fingerprint {
    pub(super) fn of(secret: &[u8]) -> Self {
        Self(Sha1::from(secret).digest().bytes())
    }

    /// Compares in the same time whatever `secret` is.
    pub(super) fn is_of(&self, secret: &[u8]) -> bool {
        self.is(&Self::of(secret))
    }

    /// Compares in the same time whatever `other` is.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    #[cfg(any(test, feature = "redis"))]
    pub(super) fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[cfg(any(test, feature = "redis"))]
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 20];
        if text.len() != 40 || !text.is_ascii() {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(index * 2..index * 2 + 2)?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

/// The secret of one registration: who has it may renew and end the registration. Never printed;
/// [`reveal`](Self::reveal) is for handing it over.
#[derive(Clone)]
pub struct RegistrationSecret(String);

impl RegistrationSecret {
    pub(super) fn random() -> Self {
        Self(format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()))
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RegistrationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistrationSecret")
    }
}

/// A new id of a registration. It is no secret.
pub(super) fn random_id() -> String {
    Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let secret = RegistrationSecret::random();
        assert_eq!(secret.reveal().len(), 64);
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }

    #[test]
    fn fingerprints_survive_being_written_down() {
        let fingerprint = Fingerprint::of(b"secret");
        assert_eq!(Fingerprint::from_hex(&fingerprint.to_hex()), Some(fingerprint));
        assert!(fingerprint.is_of(b"secret") && !fingerprint.is_of(b"secre"));
        for wrong in ["", "00", &"g".repeat(40), &"é".repeat(20)] {
            assert_eq!(Fingerprint::from_hex(wrong), None, "{wrong}");
        }
    }
}
