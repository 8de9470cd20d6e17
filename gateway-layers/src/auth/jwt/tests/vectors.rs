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

/// RFC 7520, sections 4.1, 4.2 and 4.4; of 4.3 nothing here verifies ES512.
#[test]
fn the_examples_of_the_cookbook_are_taken() {
    install_backend();
    const PAYLOAD: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gW\
         W91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdG\
         hlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
    let rsa = |algorithm: &str| {
        json!({"kty": "RSA", "kid": "bilbo.baggins@hobbiton.example", "use": "sig", "alg": algorithm,
            "e": "AQAB",
            "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJW\
                TDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dAp\
                r5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFH\
                pPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLq\
                KnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"})
    };
    let secret = |algorithm: &str| {
        json!({"kty": "oct", "kid": "018c0ae5-4d9b-471b-bfd6-eef314bc7037", "use": "sig",
            "alg": algorithm, "k": "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"})
    };
    for (header, key, signature) in [
        (
            "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            rsa("RS256"),
            "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4\
             mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0Rnlt\
             uYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV\
             0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZD\
             nd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
        ),
        (
            "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            rsa("PS384"),
            "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6Vr\
             klHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz2\
             8zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2l\
             fJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPb\
             Byi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
        ),
        (
            "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9",
            secret("HS256"),
            "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
        ),
    ] {
        let jws = format!("{header}.{PAYLOAD}.{signature}");
        assert!(takes(&jws, &key), "{jws}");
        assert!(!takes(&jws.replace("SXTigJlz", "SXTigJlx"), &key), "{jws}");
    }
}
