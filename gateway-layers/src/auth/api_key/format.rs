//! [`KeyFormat`]: what keys look like that are issued here.

use std::fmt;

use aws_lc_rs::rand;

use crate::auth::SecretDigest;

/// No key is longer than this, in bytes; what is longer is looked up nowhere.
pub const MAX_KEY: usize = 1024;

/// A shorter key is guessed.
pub const MIN_KEY: usize = 16;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 71 bits: no two keys of one store have the same.
const ID: usize = 12;

/// 190 bits.
const SECRET: usize = 32;

/// A CRC-32 needs so many digits.
const CHECKSUM: usize = 6;

/// What keys look like that are issued here: `PREFIX_ID_SECRET`, such as
/// `gk_4XkQ9aZr0BnW_h1V7…`.
///
/// The prefix tells people and scanners of source code what they have found. The id names the key
/// in lists and logs and is no secret. What follows is random (190 bits), and its last six digits
/// are a checksum, so that a key with a typo is rejected before anybody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFormat {
    prefix: String,
}

/// What a text is, by its looks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A key of ours.
    Own,
    /// Meant to be one of ours.
    Broken,
    /// Issued by somebody else.
    Foreign,
}

impl Default for KeyFormat {
    /// With the prefix `gk`.
    fn default() -> Self {
        Self { prefix: "gk".to_owned() }
    }
}

impl KeyFormat {
    /// Keys that begin with `prefix`: 1 to 24 lower-case letters, digits and `_`, a letter first.
    /// `None` for anything else.
    pub fn new(prefix: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let good = (1..=24).contains(&prefix.len())
            && prefix.as_bytes()[0].is_ascii_lowercase()
            && prefix.bytes().all(plain);
        good.then(|| Self { prefix: prefix.to_owned() })
    }

    /// What keys begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A new key. `None` when the system has no randomness to give.
    pub(super) fn generate(&self) -> Option<IssuedKey> {
        let id = random(ID)?;
        let mut text = format!("{}_{id}_{}", self.prefix, random(SECRET)?);
        text.push_str(&checksum(text.as_bytes()));
        Some(IssuedKey { id, text })
    }

    /// Compares nothing with a secret: what is checked here everybody can compute.
    pub(super) fn shape(&self, key: &[u8]) -> Shape {
        let rest = key.strip_prefix(self.prefix.as_bytes()).and_then(|k| k.strip_prefix(b"_"));
        let Some(rest) = rest else { return Shape::Foreign };
        let (body, digits) = key.split_at(key.len().saturating_sub(CHECKSUM));
        let whole = rest.len() == ID + 1 + SECRET + CHECKSUM
            && rest.iter().enumerate().all(|(place, byte)| match place {
                ID => *byte == b'_',
                _ => byte.is_ascii_alphanumeric(),
            });
        if whole && checksum(body).as_bytes() == digits { Shape::Own } else { Shape::Broken }
    }
}

fn random(length: usize) -> Option<String> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        rand::fill(&mut bytes).ok()?;
        // The rest would make some digits likelier than others.
        let even = bytes.iter().filter(|byte| **byte < 248);
        let digits = even.map(|byte| char::from(ALPHABET[usize::from(*byte) % 62]));
        text.extend(digits.take(length - text.len()));
    }
    Some(text)
}

fn checksum(text: &[u8]) -> String {
    let mut crc = u32::MAX;
    for byte in text {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let mut rest = !crc;
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

/// A key that was just made. It is kept nowhere: who has this value can hand it over, once.
pub struct IssuedKey {
    id: String,
    text: String,
}

impl IssuedKey {
    /// Its name in lists and logs.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key itself.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    pub(super) fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.text.as_bytes())
    }
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_key_says_what_it_is_and_is_never_the_same() {
        let format = KeyFormat::new("acme_live").unwrap();
        let keys: Vec<_> = (0..500).map(|_| format.generate().unwrap()).collect();
        let texts: HashSet<_> = keys.iter().map(IssuedKey::reveal).collect();
        assert_eq!(texts.len(), keys.len());
        for key in &keys {
            assert!(key.reveal().starts_with(&format!("acme_live_{}_", key.id())));
            assert_eq!(key.reveal().len(), "acme_live".len() + 52);
            assert_eq!(format.shape(key.reveal().as_bytes()), Shape::Own);
            assert!(!format!("{key:?}").contains(&key.reveal()[24..]));
        }
        // Each digit of the alphabet comes up.
        let all: HashSet<_> = keys.iter().flat_map(|key| key.reveal()[23..55].chars()).collect();
        assert_eq!(all.len(), 62);
    }

    #[test]
    fn every_typo_is_seen() {
        let format = KeyFormat::default();
        let key = format.generate().unwrap().reveal().to_owned();
        for place in 0..key.len() {
            let mut typo = key.clone().into_bytes();
            typo[place] = if typo[place] == b'x' { b'y' } else { b'x' };
            assert_ne!(format.shape(&typo), Shape::Own, "{place}");
            let mut swapped = key.clone().into_bytes();
            if place > 0 && swapped[place] != swapped[place - 1] {
                swapped.swap(place, place - 1);
                assert_ne!(format.shape(&swapped), Shape::Own, "{place}");
            }
        }
        for cut in 0..key.len() {
            assert_ne!(format.shape(&key.as_bytes()[..cut]), Shape::Own, "{cut}");
        }
        assert_eq!(format.shape(format!("{key}0").as_bytes()), Shape::Broken);
        assert_eq!(format.shape(b"gk_"), Shape::Broken);
        assert_eq!(format.shape(b"sk_live_51H8aBcDeFgHiJkL"), Shape::Foreign);
    }

    #[test]
    fn the_checksum_is_the_crc_that_everybody_knows() {
        // 0xCBF43926 of "123456789", in base 62.
        let mut value: u64 = 0;
        for digit in checksum(b"123456789").bytes() {
            let place = ALPHABET.iter().position(|one| *one == digit).unwrap();
            value = value * 62 + place as u64;
        }
        assert_eq!(value, 0xcbf4_3926);
    }

    #[test]
    fn prefixes_are_plain() {
        for wrong in ["", "_a", "9a", "A", "a-b", "a b", "é", &"a".repeat(25)] {
            assert_eq!(KeyFormat::new(wrong), None, "{wrong}");
        }
        assert_eq!(KeyFormat::default().prefix(), "gk");
    }
}
