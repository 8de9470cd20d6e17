//! Requests as honest clients send them.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use gateway_core::context::Claim;

use super::*;

#[tokio::test]
async fn a_signed_request_is_its_owners() {
    let verifier = verifier();
    assert_eq!(said(&verifier, &signed(get("/orders?state=new"))).await, ada());
    assert_eq!(said(&verifier, &signed(get("/orders"))).await, ada());
    assert_eq!(said(&verifier, &signed(post("{}"))).await, ada());
    let owner = verifier.verify(&signed(get("/"))).await.unwrap().unwrap().principal;
    assert_eq!((owner.method, owner.issuer.as_deref()), ("signature", Some("partners")));
    assert!(owner.has_role("partner"));
    assert_eq!(owner.claims["key"], Claim::Text("k1".into()));
}

#[tokio::test]
async fn a_request_without_signature_is_nobodys() {
    assert_eq!(said(&verifier(), &get("/")).await, Err("not signed".to_owned()));
}

#[tokio::test]
async fn a_rejection_says_what_would_be_taken() {
    let error = verifier().verify(&sign_with_alg("none")).await.unwrap_err();
    let field = |name: &str| {
        let found = error.fields().iter().find(|(own, _)| own.as_str() == name);
        found.map(|(_, value)| value.to_str().unwrap().to_owned())
    };
    assert_eq!(field("www-authenticate").as_deref(), Some("Signature realm=\"gateway\""));
    let accepts = r#"sig=("@method" "@authority" "@path" "@query" "content-digest");created;keyid"#;
    assert_eq!(field("accept-signature").as_deref(), Some(accepts));
}

fn sign_with_alg(name: &str) -> Request {
    let mut request = get("/");
    let input = format!("({COVERED}){};alg=\"{name}\"", params());
    sign_as(&mut request, "sig", &secret(), &input);
    request
}

#[tokio::test]
async fn the_algorithm_may_be_said_when_it_is_the_keys() {
    assert_eq!(said(&verifier(), &sign_with_alg("hmac-sha256")).await, ada());
}

#[tokio::test]
async fn of_several_signatures_one_by_a_known_key_is_enough() {
    let verifier = verifier();
    let stranger = SignatureKey::secret(&[9; 32]).unwrap();
    let mut request = get("/");
    let input = format!(r#"({COVERED});created={NOW};keyid="stranger";nonce="abcdefgh""#);
    sign_as(&mut request, "other", &stranger, &input);
    sign_as(&mut request, "sig", &secret(), &format!("({COVERED}){}", params()));
    // Two lines of each field.
    assert_eq!(request.headers().get_all("signature-input").iter().count(), 2);
    assert_eq!(said(&verifier, &request).await, ada());
    let mut other_only = get("/");
    sign_as(&mut other_only, "other", &stranger, &input);
    assert_eq!(said(&verifier, &other_only).await, fault(SignatureRejection::KeyUnknown));
}

#[tokio::test]
async fn what_includes_a_component_stands_for_it() {
    for covered in [
        r#""@method" "@target-uri""#,
        r#""@method" "@authority" "@request-target""#,
        r#""@query" "@path" "@authority" "@method" "x-extra";bs"#,
    ] {
        let mut request = get("/orders?state=new");
        set(&mut request, "x-extra", "1");
        sign_as(&mut request, "sig", &secret(), &format!("({covered}){}", params()));
        assert_eq!(said(&verifier(), &request).await, ada(), "{covered}");
    }
    for covered in [
        r#""@method" "@authority" "@path""#,
        r#""@method" "@path" "@query""#,
        r#""@authority" "@path" "@query""#,
        r#""@method" "@authority" "@path" "@query-param";name="state""#,
    ] {
        let mut request = get("/orders?state=new");
        sign_as(&mut request, "sig", &secret(), &format!("({covered}){}", params()));
        let found = said(&verifier(), &request).await;
        assert_eq!(found, fault(SignatureRejection::NotCovered), "{covered}");
    }
}

#[tokio::test]
async fn clocks_may_be_apart_a_little() {
    let clock = FakeClock::new();
    let verifier = builder().with_clock(clock.clone()).build().unwrap();
    let created = |at: u64| {
        let mut request = get("/");
        let nonce = nonce();
        let input = format!(r#"({COVERED});created={at};keyid="k1";nonce="{nonce}""#);
        sign_as(&mut request, "sig", &secret(), &input);
        request
    };
    assert_eq!(said(&verifier, &created(NOW + 60)).await, ada());
    let ahead = said(&verifier, &created(NOW + 61)).await;
    assert_eq!(ahead, fault(SignatureRejection::CreatedAhead));
    assert_eq!(said(&verifier, &created(NOW - 360)).await, ada());
    assert_eq!(said(&verifier, &created(NOW - 361)).await, fault(SignatureRejection::Expired));
    clock.advance(361);
    assert_eq!(said(&verifier, &created(NOW)).await, fault(SignatureRejection::Expired));
}

#[tokio::test]
async fn what_says_that_it_is_over_is_over() {
    let expires = |at: u64| {
        let mut request = get("/");
        let input = format!("({COVERED}){};expires={at}", params());
        sign_as(&mut request, "sig", &secret(), &input);
        request
    };
    assert_eq!(said(&verifier(), &expires(NOW)).await, ada());
    assert_eq!(said(&verifier(), &expires(NOW - 60)).await, ada());
    assert_eq!(said(&verifier(), &expires(NOW - 61)).await, fault(SignatureRejection::Expired));
}

#[tokio::test]
async fn a_signature_for_something_else_is_not_taken() {
    let tagged = |tag: &str| {
        let mut request = get("/");
        sign_as(&mut request, "sig", &secret(), &format!("({COVERED}){}{tag}", params()));
        request
    };
    let verifier = builder().tag("orders").build().unwrap();
    assert_eq!(said(&verifier, &tagged(";tag=\"orders\"")).await, ada());
    for other in ["", ";tag=\"other\""] {
        let found = said(&verifier, &tagged(other)).await;
        assert_eq!(found, fault(SignatureRejection::Parameter), "{other}");
    }
    // Without the setting it is not asked for.
    assert_eq!(said(&super::verifier(), &tagged(";tag=\"other\"")).await, ada());
}

#[tokio::test]
async fn nonces_may_be_left_away_where_that_is_said() {
    let without = || {
        let mut request = get("/");
        let input = format!(r#"({COVERED});created={NOW};keyid="k1""#);
        sign_as(&mut request, "sig", &secret(), &input);
        request
    };
    assert_eq!(said(&verifier(), &without()).await, fault(SignatureRejection::NonceMissing));
    let verifier = builder().nonce(NonceRule::Optional).build().unwrap();
    assert_eq!(said(&verifier, &without()).await, ada());
    assert_eq!(said(&verifier, &without()).await, ada());
    // One that is there is not taken twice all the same.
    let request = signed(get("/"));
    assert_eq!(said(&verifier, &request).await, ada());
    assert_eq!(said(&verifier, &request).await, fault(SignatureRejection::NonceUsed));
}

#[tokio::test]
async fn keys_are_read_as_pem_and_as_jwk() {
    let document = Ed25519KeyPair::generate().unwrap();
    let private = pem("PRIVATE KEY", document.to_pkcs8().unwrap().as_ref());
    let pkcs8_1 = pem("PRIVATE KEY", document.to_pkcs8v1().unwrap().as_ref());
    // RFC 8410, section 4.
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let public = [&prefix, document.public_key().as_ref()].concat();
    let public = pem("PUBLIC KEY", &public);
    let ed = SignatureAlgorithm::Ed25519;
    let public = SignatureKey::pem(ed, &public).unwrap();
    assert!(!public.can_sign());
    for private in [private, pkcs8_1] {
        let private = SignatureKey::pem(ed, &private).unwrap();
        let signature = private.sign(b"text").unwrap();
        assert!(public.verifies(b"text", &signature) && private.verifies(b"text", &signature));
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn what_is_no_key_of_the_algorithm_is_rejected() {
    use SignatureAlgorithm::{EcdsaP256Sha256, Ed25519, HmacSha256, RsaPssSha512};
    let jwk = |algorithm, text: &str| SignatureKey::jwk(algorithm, text).err();
    let ed = r#"{"kty":"OKP","crv":"Ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}"#;
    assert_eq!(jwk(Ed25519, ed), None);
    // The bytes of a public key are no secret.
    assert_eq!(jwk(HmacSha256, ed), Some(SignatureKeyError::Mismatch));
    assert_eq!(jwk(EcdsaP256Sha256, ed), Some(SignatureKeyError::Mismatch));
    let encryption = ed.replace("\"kty\"", "\"use\":\"enc\",\"kty\"");
    assert_eq!(jwk(Ed25519, &encryption), Some(SignatureKeyError::Jwk));
    assert_eq!(jwk(Ed25519, "{}"), Some(SignatureKeyError::Jwk));
    let short = r#"{"kty":"oct","k":"AAAA"}"#;
    assert_eq!(jwk(HmacSha256, short), Some(SignatureKeyError::SecretShort));
    let small = r#"{"kty":"RSA","n":"sXchDaQebHnPiGvyDOAT4saGEUetSyo9MKLOoWFsueri23bOdgWp4Dy1","e":"AQAB"}"#;
    assert_eq!(jwk(RsaPssSha512, small), Some(SignatureKeyError::Mismatch));
    assert_eq!(SignatureKey::secret(&[1; 31]).err(), Some(SignatureKeyError::SecretShort));
    let wrong_label = pem("EC PRIVATE KEY", &[0; 10]);
    assert_eq!(SignatureKey::pem(Ed25519, &wrong_label).err(), Some(SignatureKeyError::Pem));
    let private = pem("PRIVATE KEY", &[0; 10]);
    let rejected = SignatureKey::pem(EcdsaP256Sha256, &private).err();
    assert_eq!(rejected, Some(SignatureKeyError::PrivateUnused));
    let two = format!("{}{}", pem("PUBLIC KEY", &[0; 10]), pem("PUBLIC KEY", &[0; 10]));
    assert_eq!(SignatureKey::pem(Ed25519, &two).err(), Some(SignatureKeyError::Pem));
}

#[test]
fn settings_that_cannot_be_meant_are_rejected() {
    let built = |builder: SignatureVerifierBuilder| builder.build().map(drop).unwrap_err();
    let empty = SignatureVerifier::builder("none");
    assert_eq!(built(empty), SignatureError::NoKey);
    assert_eq!(built(builder().covered([])), SignatureError::NothingCovered);
    let twice = [Component::METHOD, Component::METHOD];
    assert_eq!(built(builder().covered(twice)), SignatureError::CoveredTwice(Component::METHOD));
    assert_eq!(built(builder().max_age(Duration::ZERO)), SignatureError::MaxAge);
    let again = TrustedKey::new("k1", secret());
    assert_eq!(built(builder().key(again)), SignatureError::KeyTwice("k1".to_owned()));
    let unnamed = TrustedKey::new("", secret());
    assert_eq!(built(builder().key(unnamed)), SignatureError::KeyId(String::new()));
}
