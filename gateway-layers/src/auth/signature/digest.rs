//! `Content-Digest` (RFC 9530): what the body is to hash to.

use aws_lc_rs::digest::{Algorithm, Context, SHA256, SHA512};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::fault::SignatureRejection;
use super::message::field;
use super::structured::{self, Bare, Item, Member};

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// How a body is hashed (RFC 9530, section 5). Others in the registry are broken, and as good as
/// not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// `sha-256`.
    #[default]
    Sha256,
    /// `sha-512`.
    Sha512,
}

impl DigestAlgorithm {
    /// What the field calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|one| one.as_str() == name)
    }

    pub(super) fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha256 => &SHA256,
            Self::Sha512 => &SHA512,
        }
    }

    /// The field's value for a body of this hash.
    pub(super) fn field_of(self, hash: &[u8]) -> Option<HeaderValue> {
        let mut text = format!("{}=", self.as_str());
        structured::write_bytes(hash, &mut text);
        HeaderValue::from_str(&text).ok()
    }
}

/// What a body is to hash to: by one algorithm at least, and by all of them.
#[derive(Clone, Debug)]
pub(super) struct Digests(Vec<(DigestAlgorithm, Vec<u8>)>);

impl Digests {
    /// What the field says. `None` where there is no field.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, SignatureRejection> {
        if !headers.contains_key(CONTENT_DIGEST) {
            return Ok(None);
        }
        let text = field(headers, &CONTENT_DIGEST).ok_or(SignatureRejection::DigestUnknown)?;
        let members = structured::dictionary(&text).ok_or(SignatureRejection::DigestUnknown)?;
        let mut digests = Vec::new();
        for (name, member) in members {
            let Some(algorithm) = DigestAlgorithm::from_name(name) else {
                continue;
            };
            match member {
                Member::Item(Item { bare: Bare::Bytes(bytes), .. })
                    if bytes.len() == algorithm.algorithm().output_len() =>
                {
                    digests.push((algorithm, bytes));
                }
                _ => return Err(SignatureRejection::DigestUnknown),
            }
        }
        if digests.is_empty() {
            return Err(SignatureRejection::DigestUnknown);
        }
        Ok(Some(Self(digests)))
    }

    /// Whether they are those of no body at all.
    pub(super) fn are_of_nothing(self) -> bool {
        self.start().finish()
    }

    /// Begins to hash.
    pub(super) fn start(self) -> Hashing {
        let begun = self.0.into_iter();
        Hashing(begun.map(|(own, bytes)| (Context::new(own.algorithm()), bytes)).collect())
    }
}

/// Hashes of a body on its way.
pub(super) struct Hashing(Vec<(Context, Vec<u8>)>);

impl Hashing {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|(context, _)| context.update(bytes));
    }

    /// True when all are what they are to be.
    pub(super) fn finish(self) -> bool {
        self.0.into_iter().all(|(context, expected)| *context.finish().as_ref() == *expected)
    }
}
