//! [`Key`]: one key, and what it may be used for.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_core::context::Claim;
use jsonwebtoken::DecodingKey;

use super::algorithm::Algorithm;
use super::json::{self, Object};
use super::prepared::PreparedRsa;

/// Fewest and most bits of an RSA key: what is shorter can be broken, and longer ones would take
/// so long to verify that a stranger's token is an attack.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// An exponent of more bytes than this only costs time.
const MAX_EXPONENT: usize = 4;

/// Fewest bytes of a secret: those of HS256.
const MIN_SECRET: usize = 32;

/// Most bytes of a `kid`. Thumbprints have 43.
pub(super) const MAX_ID: usize = 512;

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Somebody's server: whoever reads the set must not be able to sign.
    Remote,
    /// A file, or the settings.
    Local,
}

/// What a key is made of, as far as it says which algorithms fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
    /// With so many bytes.
    Secret(usize),
}

impl Kind {
    fn fits(self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self {
            Self::Rsa => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Self::P256 => algorithm == ES256,
            Self::P384 => algorithm == ES384,
            Self::Ed25519 => algorithm == EdDSA,
            Self::Secret(bytes) => algorithm.secret_bytes().is_some_and(|least| bytes >= least),
        }
    }
}

/// One key.
pub(super) struct Key {
    id: Option<String>,
    kind: Kind,
    algorithm: Option<Algorithm>,
    material: Material,
    /// Of everything above, to find it again in the next set.
    print: [u8; 32],
    retired: AtomicBool,
}

impl Key {
    /// The key that a JWK is (RFC 7517). `None` where it is none that can be used, for whatever
    /// reason: the others of its set may.
    pub(super) fn from_jwk(bytes: &[u8], origin: Origin) -> Option<Self> {
        let jwk = json::object(bytes)?;
        if !may_verify(&jwk)? {
            return None;
        }
        // Whoever published this has lost it.
        if origin == Origin::Remote && jwk.contains_key("d") {
            return None;
        }
        let id = optional_text(&jwk, "kid")?.map(str::to_owned);
        if id.as_ref().is_some_and(|id| id.len() > MAX_ID) {
            return None;
        }
        let algorithm = match optional_text(&jwk, "alg")? {
            Some(name) => Some(name.parse::<Algorithm>().ok()?),
            None => None,
        };
        let (kind, material, bytes) = match text(&jwk, "kty")? {
            "RSA" => rsa(&jwk)?,
            "EC" => elliptic(&jwk)?,
            "OKP" => edwards(&jwk)?,
            "oct" if origin == Origin::Local => secret(&decoded(&jwk, "k")?)?,
            _ => return None,
        };
        if algorithm.is_some_and(|algorithm| !kind.fits(algorithm)) {
            return None;
        }
        Some(Self::new(id, kind, algorithm, material, &bytes))
    }

    /// A secret for one algorithm.
    pub(super) fn from_secret(bytes: &[u8], algorithm: Algorithm) -> Option<Self> {
        let (kind, material, bytes) = secret(bytes)?;
        kind.fits(algorithm).then(|| Self::new(None, kind, Some(algorithm), material, &bytes))
    }

    fn new(
        id: Option<String>,
        kind: Kind,
        algorithm: Option<Algorithm>,
        material: Material,
        bytes: &[u8],
    ) -> Self {
        let mut whole = format!("{id:?} {kind:?} {algorithm:?} ").into_bytes();
        whole.extend_from_slice(bytes);
        let mut print = [0; 32];
        print.copy_from_slice(digest(&SHA256, &whole).as_ref());
        Self { id, kind, algorithm, material, print, retired: AtomicBool::new(false) }
    }

    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret(_))
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// True when both are one key under one name for one purpose.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.print == other.print
    }

    /// The one algorithm it is used with (RFC 8725, section 3.1): its own, else the first of
    /// `allowed` that fits.
    pub(super) fn algorithm_of(&self, allowed: &[Algorithm]) -> Option<Algorithm> {
        match self.algorithm {
            Some(own) => allowed.contains(&own).then_some(own),
            None => allowed.iter().copied().find(|one| self.kind.fits(*one)),
        }
    }

    /// True when `bytes`, which are `signature` in base64url, are its signature of `message`.
    pub(super) fn verifies(
        &self,
        message: &str,
        signature: &str,
        bytes: &[u8],
        algorithm: Algorithm,
    ) -> bool {
        if let Some(rsa) = &self.material.rsa
            && let Some(verified) = rsa.verifies(message.as_bytes(), bytes, algorithm)
        {
            return verified;
        }
        let (key, algorithm) = (&self.material.key, algorithm.backend());
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
    }

    /// It is in no set any more: what was verified with it is not verified any more.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Key {
    /// Without what it is made of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Installs what verifies, unless the program has chosen something else. Without it the first
/// verification would panic where features of two backends are switched on.
pub(super) fn install_backend() {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

/// Whether `use` and `key_ops` let it verify (RFC 7517, sections 4.2 and 4.3).
fn may_verify(jwk: &Object) -> Option<bool> {
    let for_signatures = optional_text(jwk, "use")?.is_none_or(|purpose| purpose == "sig");
    let verifies = match jwk.get("key_ops") {
        None => true,
        Some(Claim::List(list)) => {
            list.iter().any(|one| matches!(one, Claim::Text(text) if **text == *"verify"))
        }
        Some(_) => return None,
    };
    Some(for_signatures && verifies)
}

fn text<'a>(jwk: &'a Object, name: &str) -> Option<&'a str> {
    optional_text(jwk, name)?
}

/// `None` where it is something else than text.
#[allow(clippy::option_option, reason = "not there is not the same as not understood")]
fn optional_text<'a>(jwk: &'a Object, name: &str) -> Option<Option<&'a str>> {
    match jwk.get(name) {
        None => Some(None),
        Some(Claim::Text(text)) => Some(Some(text)),
        Some(_) => None,
    }
}

fn decoded(jwk: &Object, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).ok()
}

type Parts = (Kind, Material, Vec<u8>);

/// What a key verifies with.
struct Material {
    key: DecodingKey,
    /// Read once, since that costs a good part of a verification.
    rsa: Option<PreparedRsa>,
}

impl From<DecodingKey> for Material {
    fn from(key: DecodingKey) -> Self {
        Self { key, rsa: None }
    }
}

fn rsa(jwk: &Object) -> Option<Parts> {
    let (modulus, exponent) = (decoded(jwk, "n")?, decoded(jwk, "e")?);
    let (modulus, exponent) = (without_zeros(&modulus), without_zeros(&exponent));
    let first = modulus.first()?;
    let bits = modulus.len() * 8 - usize::try_from(first.leading_zeros()).ok()?;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let exponent_fits = exponent.len() <= MAX_EXPONENT && exponent != [1];
    if !RSA_BITS.contains(&bits) || !odd(modulus) || !odd(exponent) || !exponent_fits {
        return None;
    }
    let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
    let material = Material { key, rsa: Some(PreparedRsa::new(modulus, exponent)) };
    Some((Kind::Rsa, material, [modulus, b" ", exponent].concat()))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn elliptic(jwk: &Object) -> Option<Parts> {
    let (kind, bytes) = match text(jwk, "crv")? {
        "P-256" => (Kind::P256, 32),
        "P-384" => (Kind::P384, 48),
        _ => return None,
    };
    let (x, y) = (decoded(jwk, "x")?, decoded(jwk, "y")?);
    if x.len() != bytes || y.len() != bytes {
        return None;
    }
    let material = DecodingKey::from_ec_components(text(jwk, "x")?, text(jwk, "y")?).ok()?;
    Some((kind, material.into(), [x, y].concat()))
}

fn edwards(jwk: &Object) -> Option<Parts> {
    let x = decoded(jwk, "x")?;
    if text(jwk, "crv")? != "Ed25519" || x.len() != 32 {
        return None;
    }
    let material = DecodingKey::from_ed_components(text(jwk, "x")?).ok()?;
    Some((Kind::Ed25519, material.into(), x))
}

fn secret(bytes: &[u8]) -> Option<Parts> {
    let material = DecodingKey::from_secret(bytes);
    (bytes.len() >= MIN_SECRET)
        .then(|| (Kind::Secret(bytes.len()), material.into(), bytes.to_vec()))
}
