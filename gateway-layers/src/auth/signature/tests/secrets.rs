//! What must stay secret stands in nothing that is printed.

use super::*;

#[tokio::test]
async fn no_secret_is_in_anything_that_is_printed() {
    const PLANTED: &str = "open-sesame-open-sesame-open-sesame-open";
    let key = SignatureKey::secret(PLANTED.as_bytes()).unwrap();
    let trusted = TrustedKey::new("k1", key.clone()).owner("ada");
    let builder = SignatureVerifier::builder("partners").key(trusted.clone());
    let verifier = builder.clone().with_clock(FakeClock::new()).build().unwrap();
    let mut request = get("/");
    let input = format!(r#"({COVERED});created={NOW};keyid="k1";nonce="planted-nonce""#);
    sign_as(&mut request, "sig", &key, &input);
    let signature = value(&request, "signature");
    let owner = verifier.verify(&request).await.unwrap();
    let used = verifier.verify(&request).await.unwrap_err();
    set(&mut request, "host", "other.example");
    let wrong = verifier.verify(&request).await.unwrap_err();
    let settings = SignConfig::new("k1", key.clone());
    let layer = SignLayer::new(settings.clone()).unwrap();
    let bad_pem = SignatureKey::pem(SignatureAlgorithm::Ed25519, PLANTED).unwrap_err();
    let bad_jwk = SignatureKey::jwk(SignatureAlgorithm::HmacSha256, PLANTED).unwrap_err();
    let printed = [
        format!("{key:?} {trusted:?} {builder:?} {verifier:?} {owner:?}"),
        format!("{used} {used:?} {wrong} {wrong:?} {settings:?} {layer:?}"),
        format!("{bad_pem} {bad_pem:?} {bad_jwk} {bad_jwk:?}"),
    ];
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(PLANTED);
    let (_, bytes) = signature.split_once('=').unwrap();
    for text in printed {
        for secret in [PLANTED, &encoded, bytes, "planted-nonce"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
