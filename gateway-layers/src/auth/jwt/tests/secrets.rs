//! What must stay secret stands in nothing that is printed.

use super::*;

#[tokio::test]
async fn no_secret_is_in_anything_that_is_printed() {
    const PLANTED: &str = "open-sesame-open-sesame-open-sesame-open";
    let keys = Keys::secret(PLANTED, Algorithm::HS256);
    let provider = provider(keys.clone()).algorithms([Algorithm::HS256]);
    let verifier = verifier(provider.clone());
    let signer = Signer::Secret(PLANTED.as_bytes().to_vec());
    let token = signer.sign("a", &claims_with("note", json!(PLANTED)));
    let verified = verifier.verify(&token).await.unwrap();
    let inline = Keys::inline(set(&[signer.jwk(PLANTED)]));
    let url = Keys::url(&format!("https://issuer.example/jwks?key={PLANTED}"));
    let layer = crate::auth::Authenticate::new(JwtAuthenticator::new(verifier.clone()));
    let tokens = JwtAuthenticator::new(verifier.clone());
    let broken = format!("{PLANTED}.{PLANTED}.{PLANTED}");
    let malformed = verifier.verify(&broken).await.unwrap_err();
    let (rest, _) = token.rsplit_once('.').unwrap();
    let forged = verifier.verify(&format!("{rest}.{PLANTED}")).await.unwrap_err();
    let short = JwtVerifier::new(super::provider(Keys::secret(PLANTED, Algorithm::HS512)));
    let bad_set = JwtVerifier::new(super::provider(Keys::inline(PLANTED)));
    let bad_url = Keys::url(&format!("https://user:{PLANTED}@issuer.example"));
    let bad_url_error = JwtVerifier::new(super::provider(bad_url.clone()));
    let printed = [
        format!(
            "{keys:?} {provider:?} {verifier:?} {verified:?} {inline:?} {url:?} {layer:?} {tokens:?}"
        ),
        format!("{malformed} {malformed:?} {forged} {forged:?} {bad_url:?}"),
        format!("{:?} {:?} {:?}", short.err(), bad_set.err(), bad_url_error.err()),
        format!("{:?} {:?}", verifier.status(), JwtVerifier::builder().provider(provider)),
        format!("{:?} {:?}", verified.principal(), verified),
    ];
    let encoded = b64(PLANTED);
    for text in printed {
        for secret in [PLANTED, &*encoded, &*token] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
