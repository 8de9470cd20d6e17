//! [`Jws`]: a signed text in its compact form (RFC 7515, section 7.1).

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_core::context::Claim;

use super::algorithm::Algorithm;
use super::fault::TokenRejection;
use super::json::{self, Object};
use super::key::{Key, MAX_ID};
use super::key_set::KeySet;

/// So many keys are tried for one token: each costs the time of a verification.
const MAX_TRIES: usize = 8;

/// Most bytes of a header, in base64url, that is kept.
const MAX_KEPT: usize = 1024;

/// What the header says that counts here. Addresses of keys and keys in it are not even looked
/// at (RFC 8725, section 3.10).
#[derive(Debug)]
pub(super) struct Header {
    pub(super) algorithm: Algorithm,
    pub(super) key: Option<String>,
    pub(super) token_type: Option<String>,
}

/// A signed text, not verified.
pub(super) struct Jws<'a> {
    pub(super) header: Arc<Header>,
    pub(super) payload: Vec<u8>,
    signed: &'a str,
    /// In base64url, and what that is.
    signature: (&'a str, Vec<u8>),
}

/// Why no key has verified it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// There is no such key: there may be one tomorrow.
    NoKey,
    /// The key's signature is another one.
    Wrong,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenRejection> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenRejection::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenRejection::Malformed)?;
        // A dot more is none of the alphabet; an encrypted token has two.
        let header = Header::of(header)?;
        let payload = decode(payload)?;
        let bytes = decode(signature)?;
        if bytes.is_empty() {
            return Err(TokenRejection::Malformed);
        }
        Ok(Self { header, payload, signed, signature: (signature, bytes) })
    }

    /// The payload of what looks like a signed text, whatever else stands in it.
    pub(super) fn payload(token: &str) -> Option<Vec<u8>> {
        let (_, rest) = token.split_once('.')?;
        let (payload, _) = rest.split_once('.')?;
        decode(payload).ok()
    }

    /// The key of `keys` that has signed it.
    pub(super) fn verify(
        &self,
        keys: &KeySet,
        allowed: &[Algorithm],
    ) -> Result<Arc<Key>, Unverified> {
        let Header { algorithm, key, .. } = &*self.header;
        let (text, bytes) = &self.signature;
        let mut seen = 0;
        for candidate in keys.candidates(key.as_deref(), *algorithm, allowed).take(MAX_TRIES) {
            seen += 1;
            if candidate.verifies(self.signed, text, bytes, *algorithm) {
                return Ok(Arc::clone(candidate));
            }
        }
        // A token that does not name its key may be of one that is not known yet.
        Err(if seen == 0 || key.is_none() { Unverified::NoKey } else { Unverified::Wrong })
    }
}

thread_local! {
    /// The header that was read last, in base64url: all tokens of a key have the same.
    static LAST: RefCell<Option<(Box<str>, Arc<Header>)>> = const { RefCell::new(None) };
}

impl Header {
    fn of(encoded: &str) -> Result<Arc<Self>, TokenRejection> {
        LAST.with_borrow_mut(|last| {
            if let Some((_, header)) = last.as_ref().filter(|(text, _)| **text == *encoded) {
                return Ok(Arc::clone(header));
            }
            let header = Arc::new(Self::parse(&decode(encoded)?)?);
            if encoded.len() <= MAX_KEPT {
                *last = Some((encoded.into(), Arc::clone(&header)));
            }
            Ok(header)
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, TokenRejection> {
        let header = json::object(bytes).ok_or(TokenRejection::Malformed)?;
        let algorithm = text(&header, "alg")?.ok_or(TokenRejection::Malformed)?;
        let algorithm = algorithm.parse().map_err(|_| TokenRejection::Algorithm)?;
        // `crit` names what must be understood, and nothing of that kind is (RFC 7515, section
        // 4.1.11). A payload that is not encoded, compressed or encrypted is understood neither.
        if ["crit", "b64", "zip", "enc"].iter().any(|name| header.contains_key(*name)) {
            return Err(TokenRejection::Unsupported);
        }
        // A token in a token (RFC 7519, section 5.2).
        if text(&header, "cty")?.is_some_and(|inner| is_type(inner, "jwt")) {
            return Err(TokenRejection::Unsupported);
        }
        let key = text(&header, "kid")?;
        if key.is_some_and(|key| key.len() > MAX_ID) {
            return Err(TokenRejection::Malformed);
        }
        let token_type = text(&header, "typ")?.map(str::to_owned);
        Ok(Self { algorithm, key: key.map(str::to_owned), token_type })
    }
}

/// Whether a media type says `wanted`, with or without what stands before all of them (RFC 7515,
/// section 4.1.9).
pub(super) fn is_type(found: &str, wanted: &str) -> bool {
    let prefix = "application/";
    let bare = match found.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => {
            found.get(prefix.len()..).unwrap_or_default()
        }
        _ => found,
    };
    bare.eq_ignore_ascii_case(wanted)
}

/// Strictly: no padding, no blanks, no bits that mean nothing.
fn decode(part: &str) -> Result<Vec<u8>, TokenRejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRejection::Malformed)
}

fn text<'a>(header: &'a Object, name: &str) -> Result<Option<&'a str>, TokenRejection> {
    match header.get(name) {
        None => Ok(None),
        Some(Claim::Text(text)) => Ok(Some(text)),
        Some(_) => Err(TokenRejection::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(header: &str) -> String {
        URL_SAFE_NO_PAD.encode(header)
    }

    #[test]
    fn a_header_is_read_once_while_it_stays_the_same() {
        let (one, other) = (encoded(r#"{"alg":"RS256"}"#), encoded(r#"{"alg":"ES256"}"#));
        let first = Header::of(&one).unwrap();
        assert!(Arc::ptr_eq(&first, &Header::of(&one).unwrap()));
        assert!(Header::of(&encoded(r#"{"alg":"none"}"#)).is_err());
        assert_eq!(Header::of(&other).unwrap().algorithm, Algorithm::ES256);
        assert_eq!(Header::of(&one).unwrap().algorithm, Algorithm::RS256);
    }

    #[test]
    fn a_long_header_is_not_kept() {
        let long = encoded(&format!(r#"{{"alg":"RS256","x":"{}"}}"#, "x".repeat(MAX_KEPT)));
        let first = Header::of(&long).unwrap();
        assert!(!Arc::ptr_eq(&first, &Header::of(&long).unwrap()));
    }
}
