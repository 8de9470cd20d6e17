mod fetching;
mod mutations;
mod requests;
mod secrets;
mod tokens;
mod vectors;

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeys, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_core::Clock;
use serde_json::{Value, json};

use super::verifier::Checked;
use super::*;
use crate::auth::fake_clock::{FakeClock, NOW};

const ISSUER: &str = "https://issuer.example";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Somebody who signs.
enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(RsaKeys),
    Secret(Vec<u8>),
}

impl Signer {
    fn ed() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn ec() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap())
    }

    fn rsa() -> &'static Self {
        static RSA: LazyLock<Signer> =
            LazyLock::new(|| Signer::Rsa(RsaKeys::generate(KeySize::Rsa2048).unwrap()));
        &RSA
    }

    /// The public key, or the secret, as a JWK without `alg`.
    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Ed(key) => {
                let x = b64(key.public_key());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": b64(x), "y": b64(y)})
            }
            Self::Rsa(key) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public_key().into();
                json!({"kty": "RSA", "kid": id, "n": b64(n), "e": b64(e)})
            }
            Self::Secret(secret) => json!({"kty": "oct", "kid": id, "k": b64(secret)}),
        }
    }

    fn sign_raw(&self, header: &str, payload: &[u8]) -> String {
        let message = format!("{}.{}", b64(header), b64(payload));
        let bytes = message.as_bytes();
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ed(key) => key.sign(bytes).as_ref().to_vec(),
            Self::Ec(key) => key.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if header.contains("PS256") { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                key.sign(padding, &random, bytes, &mut signature).unwrap();
                signature
            }
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, bytes).as_ref().to_vec()
            }
        };
        format!("{message}.{}", b64(signature))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed(_) => "EdDSA",
            Self::Ec(_) => "ES256",
            Self::Rsa(_) => "RS256",
            Self::Secret(_) => "HS256",
        }
    }

    fn sign(&self, id: &str, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm(), "typ": "JWT", "kid": id});
        self.sign_raw(&header.to_string(), claims.to_string().as_bytes())
    }
}

/// Claims that are in order.
fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "orders", "sub": "ada", "exp": NOW + 300, "iat": NOW, "nbf": NOW,
        "roles": ["reader", "writer"], "scope": "orders:read orders:write",
    })
}

/// Claims that are in order but for one of them; null takes it away.
fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

fn provider(keys: Keys) -> JwtProvider {
    JwtProvider::new(ISSUER, keys).audience("orders")
}

fn verifier(provider: JwtProvider) -> JwtVerifier {
    JwtVerifier::builder().provider(provider).with_clock(FakeClock::new()).build().unwrap()
}

/// Who a verifier with a clock of the tests takes a token for, at once.
fn said(verifier: &JwtVerifier, token: &str) -> Result<String, TokenRejection> {
    match verifier.check(token) {
        Checked::Known(token) | Checked::Verified(token) => {
            Ok(token.principal().subject.to_string())
        }
        Checked::Rejected(VerifyError::Token(fault)) => Err(fault),
        Checked::Rejected(other) => panic!("{other}"),
        Checked::Waits(_) => panic!("it waits for keys"),
    }
}
