//! Secrets: of registrations, and the tokens of the services.

use std::fmt;

use sha1_smol::Sha1;
use subtle::{Choice, ConstantTimeEq};
use uuid::Uuid;

/// A shorter token is guessed.
const MIN_TOKEN: usize = 16;

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
        self.0.ct_eq(&Self::of(secret).0).into()
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

/// The tokens that services show to be let in: several, so that they can be changed one after the
/// other. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceTokens(Vec<Fingerprint>);

/// Why tokens are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is none, so nobody could be let in.
    #[error("no token, expected one at least")]
    None,
    /// One of them is too short.
    #[error("token {0} (counted from 1) is shorter than {MIN_TOKEN} bytes")]
    Short(usize),
    /// One of them cannot stand in a header field.
    #[error("token {0} (counted from 1) is not made of visible ASCII characters")]
    Characters(usize),
}

impl ServiceTokens {
    /// Any of `tokens` lets in.
    ///
    /// # Errors
    ///
    /// Without tokens, and for one of less than 16 bytes or with other than visible ASCII
    /// characters.
    pub fn new<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, TokenError> {
        let mut fingerprints = Vec::new();
        for (index, token) in tokens.into_iter().enumerate() {
            let token = token.as_ref().as_bytes();
            if token.len() < MIN_TOKEN {
                return Err(TokenError::Short(index + 1));
            }
            if !token.iter().all(u8::is_ascii_graphic) {
                return Err(TokenError::Characters(index + 1));
            }
            fingerprints.push(Fingerprint::of(token));
        }
        if fingerprints.is_empty() {
            return Err(TokenError::None);
        }
        Ok(Self(fingerprints))
    }

    /// True for one of them. All are compared, in the same time whichever it is.
    pub(super) fn have(&self, token: &[u8]) -> bool {
        let found = Fingerprint::of(token);
        let any = self.0.iter().fold(Choice::from(0), |any, known| any | known.0.ct_eq(&found.0));
        any.into()
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceTokens({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_tokens_lets_in_and_none_is_printed() {
        let tokens = ServiceTokens::new(["a-token-of-the-past", "a-token-of-today!"]).unwrap();
        assert!(tokens.have(b"a-token-of-the-past") && tokens.have(b"a-token-of-today!"));
        for wrong in ["", "a-token-of-today", "a-token-of-today!!", "A-token-of-today!"] {
            assert!(!tokens.have(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{tokens:?}"), "ServiceTokens(2)");
        let secret = RegistrationSecret::random();
        assert_eq!(secret.reveal().len(), 64);
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }

    #[test]
    fn tokens_that_protect_nothing_are_refused() {
        let none: [&str; 0] = [];
        assert_eq!(ServiceTokens::new(none).unwrap_err(), TokenError::None);
        let long = "0123456789abcdef";
        assert_eq!(ServiceTokens::new([long, "short"]).unwrap_err(), TokenError::Short(2));
        let blank = "0123456789 abcdef";
        assert_eq!(ServiceTokens::new([blank]).unwrap_err(), TokenError::Characters(1));
        assert!(!TokenError::Short(2).to_string().contains("short\""));
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
