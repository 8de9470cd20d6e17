//! Issuers of signed tokens: their keys, and what they sign with them, honest or not.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeys, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// The issuer that [`claims`] name.
pub const ISSUER: &str = "house";

/// In the year 2100, when no test runs any more.
pub const LATER: u64 = 4_102_444_800;

/// Somebody who signs tokens with one key.
#[derive(Debug)]
pub enum Signer {
    /// Ed25519.
    Ed(Ed25519KeyPair),
    /// RSA with 2048 bits.
    Rsa(RsaKeys),
    /// A secret that both sides have.
    Secret(Vec<u8>),
}

impl Signer {
    /// A new Ed25519 key.
    pub fn ed() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
        Self::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key"))
    }

    /// A new RSA key.
    pub fn rsa() -> Self {
        Self::Rsa(RsaKeys::generate(KeySize::Rsa2048).expect("a key"))
    }

    /// A secret.
    pub fn secret(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Secret(bytes.into())
    }

    /// What it signs with by itself.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
            Self::Secret(_) => "HS256",
        }
    }

    /// The public key, or the secret, as a JWK without `alg`.
    pub fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ed(key) => {
                let x = base64url(key.public_key());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x })
            }
            Self::Rsa(key) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public_key().into();
                json!({ "kty": "RSA", "kid": id, "n": base64url(n), "e": base64url(e) })
            }
            Self::Secret(secret) => json!({ "kty": "oct", "kid": id, "k": base64url(secret) }),
        }
    }

    /// The public key as people pass it on, in PEM.
    pub fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Ed(key) => key.public_key().as_der().expect("a key"),
            Self::Rsa(key) => key.public_key().as_der().expect("a key"),
            Self::Secret(_) => panic!("a secret has no public half"),
        };
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// A token in order, by the key called `id`.
    pub fn token(&self, id: &str, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm(), "typ": "JWT", "kid": id });
        self.signs(&header.to_string(), &claims.to_string())
    }

    /// A token of these texts, whatever they say.
    pub fn signs(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(payload));
        let bytes = message.as_bytes();
        let signature = match self {
            Self::Ed(key) => key.sign(bytes).as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let random = SystemRandom::new();
                key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).expect("a signature");
                signature
            }
            Self::Secret(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), bytes).as_ref().to_vec()
            }
        };
        format!("{message}.{}", base64url(signature))
    }
}

/// Claims that are in order, of `subject`, for `orders`.
pub fn claims(subject: &str) -> Value {
    json!({ "iss": ISSUER, "aud": "orders", "sub": subject, "exp": LATER })
}

/// A JWK set of these keys.
pub fn key_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Base64 as tokens have it: for addresses, without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The SHA-256 of a text, in hexadecimal digits.
pub fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
