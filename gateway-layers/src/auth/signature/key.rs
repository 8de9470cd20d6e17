//! [`SignatureKey`] and [`TrustedKey`]: keys, and whose they are.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, Ed25519KeyPair, KeyPair as _,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateway_core::context::{Claim, Principal};
use serde::Deserialize;

use super::algorithm::SignatureAlgorithm;

/// Fewest bytes of a secret: those of the hash, below which it is easier to guess than to break.
const MIN_SECRET: usize = 32;

/// Fewest and most bytes of an RSA modulus: what is shorter can be broken, and longer ones take too
/// long to verify.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Most bytes of the text of a key.
const MAX_TEXT: usize = 64 * 1024;

/// Most bytes of what a key is called.
const MAX_ID: usize = 256;

/// A key for one algorithm. Cheap to clone; clones are the same key.
#[derive(Clone)]
pub struct SignatureKey {
    algorithm: SignatureAlgorithm,
    material: Arc<Material>,
}

#[allow(clippy::large_enum_variant, reason = "there is one of each key, behind an `Arc`")]
enum Material {
    Secret(hmac::Key),
    Public(ParsedPublicKey),
    Pair { pair: Ed25519KeyPair, public: ParsedPublicKey },
}

/// What was given is no key. What it was is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureKeyError {
    /// A secret of fewer than 32 bytes.
    #[error("the secret is shorter than 32 bytes")]
    SecretShort,
    /// No base64 (RFC 4648, section 4).
    #[error("the secret is no base64")]
    Base64,
    /// No PEM of one key, or none of these labels.
    #[error("no PEM of one key, expected `BEGIN PUBLIC KEY` or `BEGIN PRIVATE KEY`")]
    Pem,
    /// No JWK.
    #[error("no JWK of a key that signs")]
    Jwk,
    /// The key is another one than the algorithm needs, or is none.
    #[error("the key does not fit its algorithm")]
    Mismatch,
    /// A private key of an algorithm that is only verified here.
    #[error("a private key, expected a public one: this algorithm is only verified")]
    PrivateUnused,
}

impl SignatureKey {
    /// A secret that both sides know, for `hmac-sha256`.
    ///
    /// # Errors
    ///
    /// For fewer than 32 bytes.
    pub fn secret(bytes: &[u8]) -> Result<Self, SignatureKeyError> {
        if bytes.len() < MIN_SECRET {
            return Err(SignatureKeyError::SecretShort);
        }
        let material = Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, bytes));
        Ok(Self::new(SignatureAlgorithm::HmacSha256, material))
    }

    /// As [`secret`](Self::secret), of a secret in base64.
    ///
    /// # Errors
    ///
    /// For what is no base64, or too short.
    pub fn secret_base64(text: &str) -> Result<Self, SignatureKeyError> {
        let bytes = STANDARD.decode(text).map_err(|_| SignatureKeyError::Base64)?;
        Self::secret(&bytes)
    }

    /// A key as PEM (RFC 7468): a public one (`PUBLIC KEY`), or for `ed25519` a private one
    /// (`PRIVATE KEY`), which can sign as well.
    ///
    /// # Errors
    ///
    /// For what is no such key.
    pub fn pem(algorithm: SignatureAlgorithm, text: &str) -> Result<Self, SignatureKeyError> {
        let (label, der) = pem(text).ok_or(SignatureKeyError::Pem)?;
        match label {
            "PUBLIC KEY" if algorithm.is_rsa() && PublicEncryptingKey::from_der(&der).is_err() => {
                // Not an RSA key, or of a size that signatures are not verified for.
                Err(SignatureKeyError::Mismatch)
            }
            "PUBLIC KEY" => Self::public(algorithm, &der),
            "PRIVATE KEY" if algorithm == SignatureAlgorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
                Self::pair(pair.map_err(|_| SignatureKeyError::Mismatch)?)
            }
            "PRIVATE KEY" => Err(SignatureKeyError::PrivateUnused),
            _ => Err(SignatureKeyError::Pem),
        }
    }

    /// A key as JWK (RFC 7517, RFC 8037). One that says what it is for must say so: `alg` is not
    /// looked at, since JOSE calls algorithms by other names, but `use` must be `sig`. An `oct` key
    /// is a secret; an `OKP` key with `d` can sign.
    ///
    /// # Errors
    ///
    /// For what is no such key.
    pub fn jwk(algorithm: SignatureAlgorithm, text: &str) -> Result<Self, SignatureKeyError> {
        if text.len() > MAX_TEXT {
            return Err(SignatureKeyError::Jwk);
        }
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| SignatureKeyError::Jwk)?;
        if jwk.purpose.as_ref().is_some_and(|purpose| purpose != "sig") {
            return Err(SignatureKeyError::Jwk);
        }
        let part = |part: &Option<String>| {
            let part = part.as_ref().ok_or(SignatureKeyError::Jwk)?;
            URL_SAFE_NO_PAD.decode(part).map_err(|_| SignatureKeyError::Jwk)
        };
        let curve = jwk.crv.as_deref().unwrap_or_default();
        use SignatureAlgorithm as Known;
        match (algorithm, jwk.kty.as_str(), curve) {
            (Known::HmacSha256, "oct", _) => Self::secret(&part(&jwk.k)?),
            (Known::Ed25519, "OKP", "Ed25519") => {
                let public = part(&jwk.x)?;
                if jwk.d.is_none() {
                    return Self::public(algorithm, &public);
                }
                let pair = Ed25519KeyPair::from_seed_and_public_key(&part(&jwk.d)?, &public);
                Self::pair(pair.map_err(|_| SignatureKeyError::Mismatch)?)
            }
            (Known::EcdsaP256Sha256, "EC", "P-256") => {
                Self::public(algorithm, &point(&part(&jwk.x)?, &part(&jwk.y)?, 32)?)
            }
            (Known::EcdsaP384Sha384, "EC", "P-384") => {
                Self::public(algorithm, &point(&part(&jwk.x)?, &part(&jwk.y)?, 48)?)
            }
            (Known::RsaPssSha512 | Known::RsaV15Sha256, "RSA", _) => {
                let modulus = positive(&part(&jwk.n)?);
                if !RSA_BYTES.contains(&modulus.iter().skip_while(|byte| **byte == 0).count()) {
                    return Err(SignatureKeyError::Mismatch);
                }
                Self::public(algorithm, &rsa(&modulus, &part(&jwk.e)?))
            }
            _ => Err(SignatureKeyError::Mismatch),
        }
    }

    fn public(algorithm: SignatureAlgorithm, bytes: &[u8]) -> Result<Self, SignatureKeyError> {
        let kind: &'static dyn VerificationAlgorithm = match algorithm {
            SignatureAlgorithm::HmacSha256 => return Err(SignatureKeyError::Mismatch),
            SignatureAlgorithm::Ed25519 => &ED25519,
            SignatureAlgorithm::EcdsaP256Sha256 => &ECDSA_P256_SHA256_FIXED,
            SignatureAlgorithm::EcdsaP384Sha384 => &ECDSA_P384_SHA384_FIXED,
            SignatureAlgorithm::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
            SignatureAlgorithm::RsaV15Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        let key = ParsedPublicKey::new(kind, bytes).map_err(|_| SignatureKeyError::Mismatch)?;
        Ok(Self::new(algorithm, Material::Public(key)))
    }

    fn pair(pair: Ed25519KeyPair) -> Result<Self, SignatureKeyError> {
        let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref());
        let public = public.map_err(|_| SignatureKeyError::Mismatch)?;
        Ok(Self::new(SignatureAlgorithm::Ed25519, Material::Pair { pair, public }))
    }

    fn new(algorithm: SignatureAlgorithm, material: Material) -> Self {
        Self { algorithm, material: Arc::new(material) }
    }

    /// The one algorithm it is used with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// True when it can sign, not only verify.
    pub fn can_sign(&self) -> bool {
        !matches!(*self.material, Material::Public(_))
    }

    pub(super) fn verifies(&self, base: &[u8], signature: &[u8]) -> bool {
        match &*self.material {
            Material::Secret(key) => hmac::verify(key, base, signature).is_ok(),
            Material::Public(key) | Material::Pair { public: key, .. } => {
                key.verify_sig(base, signature).is_ok()
            }
        }
    }

    /// `None` where it can only verify, or the library fails.
    pub(super) fn sign(&self, base: &[u8]) -> Option<Vec<u8>> {
        match &*self.material {
            Material::Secret(key) => Some(hmac::sign(key, base).as_ref().to_vec()),
            Material::Pair { pair, .. } => {
                pair.try_sign(base).ok().map(|signature| signature.as_ref().to_vec())
            }
            Material::Public(_) => None,
        }
    }
}

impl fmt::Debug for SignatureKey {
    /// Without what it is made of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// What of a JWK counts here.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
    d: Option<String>,
}

/// SEC 1, section 2.3.3.
fn point(x: &[u8], y: &[u8], size: usize) -> Result<Vec<u8>, SignatureKeyError> {
    if x.len() != size || y.len() != size {
        return Err(SignatureKeyError::Mismatch);
    }
    Ok([&[4], x, y].concat())
}

/// An `RSAPublicKey` (RFC 8017, appendix A.1.1).
fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let content = [der(0x02, &positive(modulus)), der(0x02, &positive(exponent))].concat();
    der(0x30, &content)
}

/// The shortest form of a number that is not negative.
fn positive(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = number.get(zeros..).unwrap_or_default();
    let sign = number.first().is_none_or(|first| *first >= 0x80);
    if sign { [&[0], number].concat() } else { number.to_vec() }
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = content.len().to_be_bytes();
    let zeros = size.iter().take_while(|byte| **byte == 0).count();
    let size = size.get(zeros..).unwrap_or_default();
    let mut out = vec![tag];
    match size {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        // At most eight bytes of size.
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(content);
    out
}

/// The only block of a PEM text: its label and what it encodes.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let (_, text) = text.split_once("-----BEGIN ")?;
    let (label, text) = text.split_once("-----")?;
    let (body, rest) = text.split_once("-----END ")?;
    let rest = rest.strip_prefix(label)?.strip_prefix("-----")?;
    if rest.contains("-----BEGIN ") {
        return None;
    }
    let body: String = body.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    Some((label, STANDARD.decode(body).ok()?))
}

/// A key whose signatures are believed, and whose it is.
#[derive(Clone)]
#[must_use]
pub struct TrustedKey {
    pub(super) id: Arc<str>,
    pub(super) key: SignatureKey,
    pub(super) owner: Principal,
}

impl TrustedKey {
    /// `key`, which signatures call `id`. It belongs to somebody of that name.
    pub fn new(id: impl Into<Arc<str>>, key: SignatureKey) -> Self {
        let id = id.into();
        let mut owner = Principal::new(Arc::clone(&id), "signature");
        owner.claims.insert("key".to_owned(), Claim::Text(Arc::clone(&id)));
        Self { id, key, owner }
    }

    /// Whose it is: the subject of its principal. Several keys may have one owner. Default: its
    /// id.
    pub fn owner(mut self, owner: impl Into<Arc<str>>) -> Self {
        self.owner.subject = owner.into();
        self
    }

    /// What its owner is. Default: nothing.
    pub fn roles<N: Into<Arc<str>>>(mut self, roles: impl IntoIterator<Item = N>) -> Self {
        self.owner.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// What its owner may. Default: nothing.
    pub fn scopes<N: Into<Arc<str>>>(mut self, scopes: impl IntoIterator<Item = N>) -> Self {
        self.owner.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The class that limits go by. Default: none.
    pub fn tier(mut self, tier: impl Into<Arc<str>>) -> Self {
        self.owner.tier = Some(tier.into());
        self
    }

    /// The organisation on whose behalf. Default: none.
    pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.owner.tenant = Some(tenant.into());
        self
    }

    /// True when it can be called so: 1 to 256 printable letters.
    pub(super) fn is_named(&self) -> bool {
        let id = &self.id;
        !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    }
}

impl fmt::Debug for TrustedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedKey")
            .field("id", &self.id)
            .field("algorithm", &self.key.algorithm)
            .field("owner", &self.owner.subject)
            .finish()
    }
}
