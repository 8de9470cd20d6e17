//! What a token costs, by its algorithm: one that was verified before, one that was not, and what
//! the backend alone takes for its signature; and what the layer adds to a request.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeys, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::{
    Body, ConnectionInfo, Error, ListenerInfo, Outcome, Request, RequestContext, Response,
};
use gateway_layers::auth::Authenticate;
use gateway_layers::auth::jwt::{JwtAuthenticator, JwtProvider, JwtVerifier, Keys};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{Layer, Service};

/// Answers at once, and costs nothing of its own.
#[derive(Clone)]
struct Answers;

impl Service<Request> for Answers {
    type Response = Response;
    type Error = Error;
    type Future = Ready<Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Ready<Outcome> {
        ready(Ok(Response::new(request.into_body())))
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key as a JWK and as the backend has it, and a token of a usual size that it has signed.
fn signed(algorithm: &str) -> (Value, ParsedPublicKey, String) {
    let claims = json!({
        "iss": "https://issuer.example", "aud": ["orders", "billing"], "sub": "00u1a2b3c4d5e6f7",
        "exp": 4_000_000_000_u64, "iat": 1_700_000_000, "jti": "b7c1f2d4-7a52-4b0e-9a57-1f2e3d4c5b6a",
        "roles": ["reader", "writer"], "scope": "orders:read orders:write profile email",
        "email": "ada@example.org", "org": {"id": "acme", "plan": "gold"},
    });
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": "2026-01"});
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let random = SystemRandom::new();
    let (mut jwk, public, signature) = match algorithm {
        "RS256" => {
            let key = RsaKeys::generate(KeySize::Rsa2048).expect("a key");
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature)
                .expect("a signature");
            let public = parsed(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
            let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public_key().into();
            (json!({"kty": "RSA", "n": b64(n), "e": b64(e)}), public, signature)
        }
        "ES256" => {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
            let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).expect("a key");
            let signature = key.sign(&random, message.as_bytes()).expect("a signature");
            let (x, y) = key.public_key().as_ref()[1..].split_at(32);
            let jwk = json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)});
            let public = parsed(&ECDSA_P256_SHA256_FIXED, key.public_key());
            (jwk, public, signature.as_ref().to_vec())
        }
        _ => {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
            let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
            let signature = key.sign(message.as_bytes()).as_ref().to_vec();
            let x = b64(key.public_key());
            let public = parsed(&ED25519, key.public_key());
            (json!({"kty": "OKP", "crv": "Ed25519", "x": x}), public, signature)
        }
    };
    jwk["kid"] = json!("2026-01");
    (json!({ "keys": [jwk] }), public, format!("{message}.{}", b64(signature)))
}

fn parsed(
    algorithm: &'static dyn VerificationAlgorithm,
    public: impl AsRef<[u8]>,
) -> ParsedPublicKey {
    ParsedPublicKey::new(algorithm, public.as_ref()).expect("a public key")
}

fn verify_raw(public: &ParsedPublicKey, message: &str, signature: &[u8]) {
    black_box(public).verify_sig(message.as_bytes(), signature).expect("it is valid");
}

fn verifier(keys: &Value, cached: usize) -> JwtVerifier {
    let provider = JwtProvider::new("https://issuer.example", Keys::inline(keys.to_string()))
        .audience("orders")
        .forward(http::HeaderName::from_static("x-user-id"), "sub");
    let builder = JwtVerifier::builder().provider(provider).cached_tokens(cached);
    builder.build().expect("a verifier")
}

fn verify(verifier: &JwtVerifier, token: &str) {
    let verified = verifier.verify(black_box(token)).now_or_never().expect("it does not wait");
    drop(black_box(verified.expect("it is valid")));
}

fn benches(criterion: &mut Criterion) {
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let (keys, public, token) = signed(algorithm);
        let (message, signature) = token.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("a signature");
        criterion.bench_function(&format!("jwt/raw/{algorithm}"), |bencher| {
            bencher.iter(|| verify_raw(&public, message, &signature));
        });
        let (cached, uncached) = (verifier(&keys, 100), verifier(&keys, 0));
        criterion.bench_function(&format!("jwt/cached/{algorithm}"), |bencher| {
            bencher.iter(|| verify(&cached, &token));
        });
        criterion.bench_function(&format!("jwt/uncached/{algorithm}"), |bencher| {
            bencher.iter(|| verify(&uncached, &token));
        });
    }
    let (keys, _, token) = signed("RS256");
    let connection = Arc::new(ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None));
    let request = || {
        let mut request = Request::new(Body::empty());
        let value = format!("Bearer {token}").parse().expect("a value");
        request.headers_mut().insert("authorization", value);
        let context = RequestContext::new(Arc::clone(&connection), Instant::now());
        request.extensions_mut().insert(context);
        request
    };
    let mut service = Authenticate::new(JwtAuthenticator::new(verifier(&keys, 100))).layer(Answers);
    criterion.bench_function("jwt/layer/cached/RS256", |bencher| {
        let call = |request| service.call(request).now_or_never().expect("it does not wait");
        bencher.iter_batched(request, call, BatchSize::SmallInput);
    });
    let mut bare = Answers;
    criterion.bench_function("jwt/layer/none", |bencher| {
        let call = |request| bare.call(request).now_or_never().expect("it does not wait");
        bencher.iter_batched(request, call, BatchSize::SmallInput);
    });
}

criterion_group!(jwt, benches);
criterion_main!(jwt);
