//! Whatever stands in the fields of a signature, nothing breaks, and nobody is known by it.

#![no_main]

use std::sync::LazyLock;

use gateway_core::{Body, Request};
use gateway_layers::auth::signature::{Component, SignatureKey, SignatureVerifier, TrustedKey};
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;

static VERIFIER: LazyLock<SignatureVerifier> = LazyLock::new(|| {
    let key = SignatureKey::secret(&[7; 32]).expect("a secret");
    SignatureVerifier::new([TrustedKey::new("k1", key)]).expect("a verifier")
});

fuzz_target!(|input: (&[u8], &[u8], &[u8], &str)| {
    let (input, signature, digest, component) = input;
    let mut request = Request::new(Body::full("body"));
    for (name, bytes) in
        [("signature-input", input), ("signature", signature), ("content-digest", digest)]
    {
        if let Ok(value) = HeaderValue::from_bytes(bytes) {
            request.headers_mut().insert(name, value);
        }
    }
    let known = futures_executor::block_on(VERIFIER.verify(&request));
    assert!(!matches!(known, Ok(Some(_))), "a secret was guessed");
    VERIFIER.admit(&mut request);
    if let Ok(component) = component.parse::<Component>() {
        assert_eq!(component.to_string().parse::<Component>(), Ok(component));
    }
});
