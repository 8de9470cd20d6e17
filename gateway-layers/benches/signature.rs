//! What a signed request costs: to verify one, by its algorithm, beside the bare signature, and to
//! sign one.

#![allow(clippy::expect_used, reason = "a bench that cannot be set up says so and ends")]

use std::hint::black_box;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use gateway_core::{
    Body, ConnectionInfo, Error, ListenerInfo, Module, Request, RequestContext, Response, module_fn,
};
use gateway_layers::auth::signature::{
    MemoryNonces, SignConfig, SignLayer, SignatureAlgorithm, SignatureKey, SignatureVerifier,
    TrustedKey,
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

const SECRET: [u8; 32] = [7; 32];
const ED: &str = r#"{"kty":"OKP","crv":"Ed25519",
    "d":"n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU",
    "x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#;

/// Of the length that a signature base usually has.
const BASE: &[u8] = &[b'x'; 320];

fn key(name: &str) -> SignatureKey {
    match name {
        "hmac" => SignatureKey::secret(&SECRET).expect("a secret"),
        _ => SignatureKey::jwk(SignatureAlgorithm::Ed25519, ED).expect("a key"),
    }
}

fn plain() -> Request {
    let connection = ConnectionInfo::new(Arc::new(ListenerInfo::default()), None, None);
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = "/orders/42?state=new".parse().expect("a target");
    request.headers_mut().insert("host", "api.example.com".parse().expect("a host"));
    request.headers_mut().insert("accept", "application/json".parse().expect("a value"));
    request.extensions_mut().insert(RequestContext::new(Arc::new(connection), Instant::now()));
    request
}

/// Signs, and gives back what would have been sent.
struct Signer {
    module: Module,
    last: Arc<Mutex<Option<Request>>>,
}

impl Signer {
    fn new(name: &str) -> Self {
        let last = Arc::new(Mutex::new(None));
        let seen = Arc::clone(&last);
        let module = Module::new(module_fn(move |request: Request| {
            *seen.lock().expect("a lock") = Some(request);
            async { Ok::<_, Error>(Response::new(Body::empty())) }
        }));
        let layer = SignLayer::new(SignConfig::new("k1", key(name))).expect("settings");
        Self { module: Module::from_service(layer.layer(module)), last }
    }

    fn sign(&self) -> Request {
        let answer = self.module.clone().oneshot(plain()).now_or_never().expect("at once");
        answer.expect("an answer");
        self.last.lock().expect("a lock").take().expect("a request")
    }
}

fn signatures(criterion: &mut Criterion) {
    for name in ["hmac", "ed25519"] {
        let signer = Signer::new(name);
        criterion.bench_function(&format!("signature/sign/{name}"), |bencher| {
            bencher.iter(|| black_box(signer.sign()));
        });
        let verifier = SignatureVerifier::builder("bench")
            .key(TrustedKey::new("k1", key(name)))
            .with_nonces(MemoryNonces::new(100_000_000))
            .build()
            .expect("a verifier");
        criterion.bench_function(&format!("signature/verify/{name}"), |bencher| {
            bencher.iter_batched(
                || signer.sign(),
                |request| verifier.verify(&request).now_or_never().expect("at once").expect("good"),
                BatchSize::SmallInput,
            );
        });
    }
}

fn bare(criterion: &mut Criterion) {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
    let tag = hmac::sign(&secret, BASE);
    criterion.bench_function("signature/bare/hmac", |bencher| {
        bencher.iter(|| hmac::verify(&secret, black_box(BASE), tag.as_ref()));
    });
    let pair = Ed25519KeyPair::generate().expect("a key");
    let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref()).expect("a key");
    let signature = pair.sign(BASE);
    criterion.bench_function("signature/bare/ed25519", |bencher| {
        bencher.iter(|| public.verify_sig(black_box(BASE), signature.as_ref()));
    });
}

criterion_group!(benches, signatures, bare);
criterion_main!(benches);
