//! What others have found to go wrong.

use serde_json::Value;

use super::super::jws::Jws;
use super::super::key::{Origin, install_backend};
use super::super::key_set::KeySet;
use super::*;

const WYCHEPROOF: &str = include_str!("../../../../tests/vectors/json_web_signature_test.json");

/// Whether we would take the text, by this one key.
fn takes(jws: &str, key: &Value) -> bool {
    let Ok(keys) = KeySet::parse(set(std::slice::from_ref(key)).as_bytes(), Origin::Local, 1)
    else {
        return false;
    };
    let allowed = match key["alg"].as_str() {
        Some(_) => Algorithm::ALL.to_vec(),
        // A key without a word of its own is told what it is for, as a provider would.
        None => vec![Algorithm::RS256, Algorithm::ES256, Algorithm::HS256],
    };
    Jws::parse(jws).is_ok_and(|jws| jws.verify(&keys, &allowed).is_ok())
}

#[test]
fn signatures_of_wycheproof_are_judged_as_they_should() {
    install_backend();
    let file: Value = serde_json::from_str(WYCHEPROOF).unwrap();
    let (mut judged, mut stricter, mut wrong) = (0, Vec::new(), Vec::new());
    for group in file["testGroups"].as_array().unwrap() {
        let key = if group["public"].is_object() { &group["public"] } else { &group["private"] };
        let cases = group["tests"].as_array().unwrap();
        let taken_elsewhere =
            |jws: &str| cases.iter().any(|other| other["result"] == "valid" && other["jws"] == jws);
        for case in cases {
            judged += 1;
            let jws = case["jws"].as_str().unwrap_or_default();
            let (taken, valid) = (takes(jws, key), case["result"] == "valid");
            // Two cases have lost what was wrong with them: they are another one, which is valid.
            if taken && !valid && !taken_elsewhere(jws) {
                wrong.push(case.to_string());
            }
            if valid && !taken {
                stricter.push(case["tcId"].as_u64().unwrap());
            }
        }
    }
    assert_eq!(judged, 401);
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The keys of 346 and 350 say PS256 and have signed with PS384. Nothing here verifies ES512,
    // whose keys say `ES521` in 347 and 351, which is nothing at all. And a `?` in the middle of
    // base64url, in 372 and 373, is no reason to take a text.
    assert_eq!(stricter, [346, 347, 350, 351, 372, 373]);
}

/// RFC 7515, appendix A.1.
#[test]
fn the_example_with_a_secret_is_taken() {
    install_backend();
    let key = json!({"kty": "oct", "k":
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"});
    let jws = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert!(takes(jws, &key));
}

/// RFC 7515, appendix A.3.
#[test]
fn the_example_on_a_curve_is_taken() {
    install_backend();
    let key = json!({"kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let jws = "eyJhbGciOiJFUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert!(takes(jws, &key));
    assert!(!takes(&jws.replace("eyJpc3Mi", "eyJpc3Mj"), &key));
}

/// RFC 8037, appendix A.4 and A.5.
#[test]
fn the_example_on_an_edwards_curve_is_taken() {
    install_backend();
    let key = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let jws = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(takes(jws, &key));
}
