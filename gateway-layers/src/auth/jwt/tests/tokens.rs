//! One token at a time: the items of RFC 8725, and what a library alone lets pass.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeys, KeySize};
use serde_json::{Value, json};

use super::*;

/// An issuer with one key, and the verifier of its tokens.
fn issuer() -> (Signer, JwtVerifier) {
    let signer = Signer::ed();
    let verifier = verifier(provider(Keys::inline(set(&[signer.jwk("a")]))));
    (signer, verifier)
}

fn fault_of(claims: &Value) -> TokenRejection {
    let (signer, verifier) = issuer();
    said(&verifier, &signer.sign("a", claims)).expect_err("it is rejected")
}

fn fault_of_header(header: &str) -> TokenRejection {
    let (signer, verifier) = issuer();
    let token = signer.sign_raw(header, claims().to_string().as_bytes());
    said(&verifier, &token).expect_err("it is rejected")
}

#[test]
fn every_family_of_keys_is_taken() {
    for signer in [&Signer::ed(), &Signer::ec(), Signer::rsa()] {
        let verifier = verifier(provider(Keys::inline(set(&[signer.jwk("a")]))));
        assert_eq!(said(&verifier, &signer.sign("a", &claims())), Ok("ada".to_owned()));
    }
    let secret = vec![7; 32];
    let keys = Keys::secret(&secret, Algorithm::HS256);
    let verifier = verifier(provider(keys).algorithms([Algorithm::HS256]));
    let token = Signer::Secret(secret).sign("any", &claims());
    assert_eq!(said(&verifier, &token), Ok("ada".to_owned()));
}

#[test]
fn a_principal_is_what_the_claims_say() {
    let signer = Signer::ed();
    let provider = provider(Keys::inline(set(&[signer.jwk("a")])))
        .roles_claims(["realm_access.roles", "https://example.org/roles"])
        .tier_claim("plan")
        .tenant_claim("org.id");
    let verifier = verifier(provider);
    let mut claims = claims();
    claims["realm_access"] = json!({"roles": ["one", 2, "three"]});
    claims["https://example.org/roles"] = json!("four");
    (claims["plan"], claims["org"]) = (json!("gold"), json!({"id": "acme"}));
    let Checked::Verified(token) = verifier.check(&signer.sign("a", &claims)) else {
        panic!("it is verified");
    };
    let principal = token.principal();
    assert_eq!((&*principal.subject, principal.method), ("ada", "jwt"));
    assert_eq!(principal.issuer.as_deref(), Some(ISSUER));
    let roles: Vec<&str> = principal.roles.iter().map(|role| &**role).collect();
    assert_eq!(roles, ["one", "three", "four"]);
    assert!(principal.has_scope("orders:write") && !principal.has_scope("orders"));
    assert_eq!(principal.tier.as_deref(), Some("gold"));
    assert_eq!(principal.tenant.as_deref(), Some("acme"));
}

#[test]
fn an_algorithm_that_is_none_or_nobodys_is_rejected() {
    for name in ["none", "None", "nOnE", "NONE", "", "rs256", "eddsa", "HS1", "ES512", "RSA-OAEP"] {
        let header = format!(r#"{{"alg":"{name}","kid":"a"}}"#);
        assert_eq!(fault_of_header(&header), TokenRejection::Algorithm, "{name}");
    }
    assert_eq!(fault_of_header(r#"{"alg":["EdDSA"],"kid":"a"}"#), TokenRejection::Malformed);
    assert_eq!(fault_of_header(r#"{"kid":"a"}"#), TokenRejection::Malformed);
    let (_, verifier) = issuer();
    let bare = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(claims().to_string()));
    assert!(said(&verifier, &bare).is_err());
    assert!(said(&verifier, bare.trim_end_matches('.')).is_err());
}

#[test]
fn a_public_key_is_no_secret() {
    let rsa = Signer::rsa();
    let jwk = rsa.jwk("a");
    let algorithms = [Algorithm::RS256, Algorithm::HS256];
    let verifier =
        verifier(provider(Keys::inline(set(std::slice::from_ref(&jwk)))).algorithms(algorithms));
    let Signer::Rsa(keys) = rsa else { panic!("it is RSA") };
    let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = keys.public_key().as_der().unwrap();
    let n = URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [der.as_ref().to_vec(), n, set(std::slice::from_ref(&jwk)).into_bytes()] {
        let forged = Signer::Secret(secret).sign("a", &claims());
        assert_eq!(said(&verifier, &forged), Err(TokenRejection::KeyUnknown));
    }
    assert!(said(&verifier, &rsa.sign("a", &claims())).is_ok());
}

#[test]
fn a_key_is_used_with_one_algorithm_only() {
    let rsa = Signer::rsa();
    let both = [Algorithm::RS256, Algorithm::PS256];
    let payload = claims().to_string();
    let rs = rsa.sign_raw(r#"{"alg":"RS256","kid":"a"}"#, payload.as_bytes());
    let ps = rsa.sign_raw(r#"{"alg":"PS256","kid":"a"}"#, payload.as_bytes());
    let with = |alg: Option<&str>, algorithms: &[Algorithm]| {
        let mut jwk = rsa.jwk("a");
        if let Some(alg) = alg {
            jwk["alg"] = json!(alg);
        }
        let provider = provider(Keys::inline(set(&[jwk])));
        let verifier = verifier(provider.algorithms(algorithms.iter().copied()));
        (said(&verifier, &rs).is_ok(), said(&verifier, &ps).is_ok())
    };
    assert_eq!(with(Some("RS256"), &both), (true, false));
    assert_eq!(with(Some("PS256"), &both), (false, true));
    // Without a word of its own, the first that fits.
    assert_eq!(with(None, &both), (true, false));
    assert_eq!(with(None, &[Algorithm::PS256, Algorithm::RS256]), (false, true));
    assert_eq!(with(Some("PS256"), &[Algorithm::RS256]), (false, false));
}

#[test]
fn what_must_be_understood_is_rejected() {
    for more in [
        r#""crit":["exp"],"exp":1"#,
        r#""crit":[]"#,
        r#""crit":null"#,
        r#""crit":["b64"],"b64":false"#,
        r#""b64":false"#,
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
        r#""cty":"JWT""#,
        r#""cty":"application/jwt""#,
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"a",{more}}}"#);
        assert_eq!(fault_of_header(&header), TokenRejection::Unsupported, "{more}");
    }
}

#[test]
fn keys_that_a_token_brings_along_are_not_looked_at() {
    let (_, verifier) = issuer();
    let stranger = Signer::ed();
    let header = json!({
        "alg": "EdDSA", "kid": "a", "jwk": stranger.jwk("a"), "jku": "http://127.0.0.1:1/",
        "x5u": "http://127.0.0.1:1/", "x5c": ["AAAA"], "x5t": "AAAA",
    });
    let token = stranger.sign_raw(&header.to_string(), claims().to_string().as_bytes());
    assert_eq!(said(&verifier, &token), Err(TokenRejection::Signature));
}

#[test]
fn a_header_that_can_be_read_in_two_ways_is_rejected() {
    for header in [
        r#"{"alg":"EdDSA","kid":"a","alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","kid":"a","\u0061lg":"none"}"#,
        r#"{"alg":"EdDSA","kid":1}"#,
        r#"{"alg":"EdDSA","kid":"a","typ":5}"#,
        r#"{"alg":"EdDSA","kid":"a"} x"#,
        r#"["alg","EdDSA"]"#,
    ] {
        assert_eq!(fault_of_header(header), TokenRejection::Malformed, "{header}");
    }
    let long = json!({"alg": "EdDSA", "kid": "x".repeat(513)}).to_string();
    assert_eq!(fault_of_header(&long), TokenRejection::Malformed);
}

#[test]
fn base64_that_is_not_strict_is_rejected() {
    let (signer, verifier) = issuer();
    let token = signer.sign("a", &claims());
    assert!(said(&verifier, &token).is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    // The last letter of a signature of 64 bytes has four bits that mean nothing.
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = parts[2].bytes().last().unwrap();
    let place = alphabet.iter().position(|letter| *letter == last).unwrap();
    let stray = format!("{}{}", &token[..token.len() - 1], char::from(alphabet[place + 1]));
    let classic = format!("{}.{}.{}", parts[0], parts[1], parts[2].replace(['-', '_'], "+"));
    for wrong in [
        stray,
        classic + "+",
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{}.{}. {}", parts[0], parts[1], parts[2]),
        format!("{token}.{}", parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("..{}", parts[2]),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
    ] {
        assert_eq!(said(&verifier, &wrong), Err(TokenRejection::Malformed), "{wrong}");
    }
}

#[test]
fn a_payload_that_can_be_read_in_two_ways_is_rejected() {
    let (signer, verifier) = issuer();
    let header = r#"{"alg":"EdDSA","kid":"a"}"#;
    let whole = claims().to_string();
    let open = whole.trim_end_matches('}');
    for payload in [
        format!(r#"{open},"sub":"eve"}}"#).into_bytes(),
        format!(r#"{open},"s\u0075b":"eve"}}"#).into_bytes(),
        format!(r#"{open},"x":NaN}}"#).into_bytes(),
        format!(r#"{open},"x":1e400}}"#).into_bytes(),
        format!(r#"{open},"x":{}{}}}"#, "[".repeat(16), "]".repeat(16)).into_bytes(),
        [open.as_bytes(), b",\"x\":\"\xff\"}"].concat(),
        format!("{whole}{whole}").into_bytes(),
        b"\"text\"".to_vec(),
        b"foo".to_vec(),
    ] {
        let token = signer.sign_raw(header, &payload);
        assert_eq!(said(&verifier, &token), Err(TokenRejection::Malformed), "{payload:?}");
    }
}

#[test]
fn sixteen_kibibytes_are_taken_and_one_byte_more_is_not() {
    let (signer, verifier) = issuer();
    let sized = |filler: usize| signer.sign("a", &claims_with("x", "y".repeat(filler).into()));
    let base = sized(0).len();
    let filler = (16 * 1024 - base) / 4 * 3;
    assert!(sized(filler).len() <= 16 * 1024);
    assert!(said(&verifier, &sized(filler)).is_ok());
    assert_eq!(said(&verifier, &sized(filler + 8)), Err(TokenRejection::TooLarge));
}

#[test]
fn registered_claims_of_another_type_are_rejected() {
    let odd = [json!("1800000300"), json!(true), json!([1]), json!({}), json!(-1), json!(-0.5)];
    let large: Value = serde_json::from_str("18446744073709551615").unwrap();
    let huge: Value = serde_json::from_str("1e300").unwrap();
    for name in ["exp", "nbf", "iat"] {
        for value in odd.iter().chain([&large, &huge, &json!(i64::MAX)]) {
            let fault = fault_of(&claims_with(name, value.clone()));
            assert_eq!(fault, TokenRejection::ClaimType, "{name} {value}");
        }
    }
    for name in ["iss", "sub", "jti"] {
        for value in [json!(1), json!([ISSUER]), json!({}), json!(false)] {
            let fault = fault_of(&claims_with(name, value.clone()));
            assert_eq!(fault, TokenRejection::ClaimType, "{name} {value}");
        }
    }
    for value in [json!(1), json!({"orders": 1}), json!(["orders", 1]), json!([["orders"]])] {
        assert_eq!(fault_of(&claims_with("aud", value)), TokenRejection::ClaimType);
    }
    // A null is there, and of the wrong type.
    let (signer, verifier) = issuer();
    let payload = claims().to_string().replace("\"ada\"", "null");
    let token = signer.sign_raw(r#"{"alg":"EdDSA","kid":"a"}"#, payload.as_bytes());
    assert_eq!(said(&verifier, &token), Err(TokenRejection::ClaimType));
}

#[test]
fn claims_that_must_be_there_are_missed() {
    for name in ["exp", "sub", "iss", "aud"] {
        assert_eq!(
            fault_of(&claims_with(name, Value::Null)),
            TokenRejection::ClaimMissing,
            "{name}"
        );
    }
    let (signer, verifier) = issuer();
    for name in ["nbf", "iat"] {
        assert!(said(&verifier, &signer.sign("a", &claims_with(name, Value::Null))).is_ok());
    }
}

#[test]
fn issuer_and_audience_are_compared_exactly() {
    for other in ["https://issuer.example/", "https://ISSUER.example", "", "https://eve.example"] {
        assert_eq!(fault_of(&claims_with("iss", other.into())), TokenRejection::Issuer);
    }
    for other in [json!("order"), json!("orders "), json!([]), json!(["a", "Orders"])] {
        assert_eq!(fault_of(&claims_with("aud", other)), TokenRejection::Audience);
    }
    let (signer, verifier) = issuer();
    let among = claims_with("aud", json!(["billing", "orders"]));
    assert!(said(&verifier, &signer.sign("a", &among)).is_ok());
}

#[test]
fn times_hold_to_the_second_with_the_skew() {
    let (signer, verifier) = issuer();
    let says = |name: &str, time: u64| {
        said(&verifier, &signer.sign("a", &claims_with(name, time.into()))).err()
    };
    assert_eq!(says("exp", NOW - 59), None);
    assert_eq!(says("exp", NOW - 60), Some(TokenRejection::Expired));
    assert_eq!(says("nbf", NOW + 60), None);
    assert_eq!(says("nbf", NOW + 61), Some(TokenRejection::NotYet));
    assert_eq!(says("iat", NOW + 60), None);
    assert_eq!(says("iat", NOW + 61), Some(TokenRejection::IssuedLater));
}

#[test]
fn a_token_of_another_type_is_rejected() {
    let with = |typ: &str| format!(r#"{{"alg":"EdDSA","kid":"a","typ":"{typ}"}}"#);
    for typ in ["dpop+jwt", "logout+jwt", "JOSE", "", "jwtx", "application/"] {
        assert_eq!(fault_of_header(&with(typ)), TokenRejection::Type, "{typ}");
    }
    let signer = Signer::ed();
    let payload = claims().to_string();
    let any = verifier(provider(Keys::inline(set(&[signer.jwk("a")]))));
    let access = provider(Keys::inline(set(&[signer.jwk("a")]))).token_type("at+jwt");
    let access = verifier(access);
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let token = signer.sign_raw(&with(typ), payload.as_bytes());
        assert!(said(&any, &token).is_ok() && said(&access, &token).is_ok(), "{typ}");
    }
    let plain = signer.sign_raw(&with("JWT"), payload.as_bytes());
    assert!(said(&any, &plain).is_ok());
    assert_eq!(said(&access, &plain), Err(TokenRejection::Type));
}

#[test]
fn of_several_keys_with_one_name_each_is_tried() {
    let (one, two, stranger) = (Signer::ed(), Signer::ed(), Signer::ed());
    let keys = Keys::inline(set(&[one.jwk("a"), two.jwk("a")]));
    let verifier = verifier(provider(keys));
    assert!(said(&verifier, &one.sign("a", &claims())).is_ok());
    assert!(said(&verifier, &two.sign("a", &claims())).is_ok());
    assert_eq!(said(&verifier, &stranger.sign("a", &claims())), Err(TokenRejection::Signature));
}

#[test]
fn a_token_without_the_name_of_a_key_is_tried_with_what_fits() {
    let (one, two) = (Signer::ec(), Signer::ed());
    let verifier = verifier(provider(Keys::inline(set(&[one.jwk("a"), two.jwk("b")]))));
    let payload = claims().to_string();
    let token = two.sign_raw(r#"{"alg":"EdDSA"}"#, payload.as_bytes());
    assert!(said(&verifier, &token).is_ok());
    let named = two.sign_raw(r#"{"alg":"EdDSA","kid":"c"}"#, payload.as_bytes());
    assert_eq!(said(&verifier, &named), Err(TokenRejection::KeyUnknown));
}

#[test]
fn keys_that_cannot_be_used_are_passed_over_and_counted() {
    let good = Signer::ed();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut jwk = Signer::ed().jwk("x");
        change(&mut jwk);
        jwk
    };
    let short = Signer::Rsa(RsaKeys::generate(KeySize::Rsa2048).unwrap()).jwk("short");
    let mut short_rsa = short.clone();
    short_rsa["n"] = json!(b64([0xff; 255]));
    let mut even_rsa = short;
    even_rsa["e"] = json!(b64([2]));
    let unusable = [
        short_rsa,
        even_rsa,
        with(&|jwk| jwk["use"] = json!("enc")),
        with(&|jwk| jwk["key_ops"] = json!(["sign"])),
        with(&|jwk| jwk["key_ops"] = json!("verify")),
        with(&|jwk| jwk["alg"] = json!("RS256")),
        with(&|jwk| jwk["alg"] = json!("none")),
        with(&|jwk| jwk["kty"] = json!("XYZ")),
        with(&|jwk| jwk["crv"] = json!("Ed448")),
        with(&|jwk| jwk["x"] = json!("AAAA")),
        with(&|jwk| jwk["kid"] = json!(1)),
        Signer::Secret(vec![1; 31]).jwk("x"),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
        json!("text"),
        json!(null),
        json!({}),
    ];
    let mut all = unusable.to_vec();
    all.push(good.jwk("a"));
    let verifier = verifier(provider(Keys::inline(set(&all))));
    assert!(said(&verifier, &good.sign("a", &claims())).is_ok());
    let status = &verifier.status()[0];
    assert_eq!((status.keys, status.skipped), (1, unusable.len()));
}

#[test]
fn a_verified_token_is_remembered_until_it_dies() {
    let (signer, clock) = (Signer::ed(), FakeClock::new());
    let provider = provider(Keys::inline(set(&[signer.jwk("a")])));
    let verifier =
        JwtVerifier::builder().provider(provider).with_clock(clock.clone()).build().unwrap();
    let token = signer.sign("a", &claims());
    let principal = |verifier: &JwtVerifier| match verifier.check(&token) {
        Checked::Known(token) | Checked::Verified(token) => Some(Arc::clone(token.principal())),
        _ => None,
    };
    let first = principal(&verifier).unwrap();
    assert!(Arc::ptr_eq(&first, &principal(&verifier).unwrap()));
    assert_eq!(verifier.cached(), 1);
    clock.advance(359);
    assert!(Arc::ptr_eq(&first, &principal(&verifier).unwrap()));
    clock.advance(1);
    assert!(principal(&verifier).is_none());
    assert_eq!(verifier.cached(), 0);
}

#[test]
fn a_clock_before_1970_lets_nobody_in() {
    struct Broken;
    impl Clock for Broken {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH - Duration::from_secs(1)
        }
    }
    let signer = Signer::ed();
    let provider = provider(Keys::inline(set(&[signer.jwk("a")])));
    let verifier = JwtVerifier::builder().provider(provider).with_clock(Broken).build().unwrap();
    assert_eq!(said(&verifier, &signer.sign("a", &claims())), Err(TokenRejection::Expired));
}

#[test]
fn what_was_rejected_is_not_remembered_and_neither_is_one_that_never_dies() {
    let signer = Signer::ed();
    let keys = Keys::inline(set(&[signer.jwk("a")]));
    let verifier = verifier(provider(keys).required_claims(["sub"]));
    let token = signer.sign("a", &claims());
    let (rest, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{rest}.{}", b64([0; 64]));
    assert_eq!(said(&verifier, &forged), Err(TokenRejection::Signature));
    assert!(said(&verifier, &signer.sign("a", &claims_with("exp", Value::Null))).is_ok());
    assert_eq!(verifier.cached(), 0);
    assert!(said(&verifier, &token).is_ok());
    assert_eq!(said(&verifier, &forged), Err(TokenRejection::Signature));
    assert_eq!(verifier.cached(), 1);
}

#[test]
fn the_issuer_says_whose_keys_count() {
    let (one, two) = (Signer::ed(), Signer::ed());
    let first = provider(Keys::inline(set(&[one.jwk("a")])));
    let second = JwtProvider::new("https://two.example", Keys::inline(set(&[two.jwk("a")])))
        .audience("orders");
    let verifier = JwtVerifier::builder()
        .provider(first)
        .provider(second)
        .with_clock(FakeClock::new())
        .build()
        .unwrap();
    let of_two = claims_with("iss", "https://two.example".into());
    assert!(said(&verifier, &one.sign("a", &claims())).is_ok());
    assert!(said(&verifier, &two.sign("a", &of_two)).is_ok());
    assert_eq!(said(&verifier, &one.sign("a", &of_two)), Err(TokenRejection::Signature));
    let nobody = claims_with("iss", "https://three.example".into());
    assert_eq!(said(&verifier, &one.sign("a", &nobody)), Err(TokenRejection::Issuer));
}

#[test]
fn settings_that_cannot_be_meant_are_rejected() {
    let keys = || Keys::url("https://issuer.example/jwks");
    let wrong = [
        JwtProvider::new(ISSUER, keys()),
        provider(keys()).algorithms([]),
        provider(keys()).algorithms([Algorithm::RS256, Algorithm::HS256]),
        provider(keys()).skew(Duration::from_secs(601)),
        provider(keys()).forward(http::header::HOST, "sub"),
        provider(keys()).forward(http::HeaderName::from_static("x-forwarded-for"), "sub"),
        provider(Keys::url("ftp://issuer.example")),
        provider(Keys::url("https://user:pass@issuer.example")),
        provider(Keys::url("/jwks")),
        provider(keys().cooldown(Duration::from_secs(600))),
        provider(keys().stale(Duration::MAX)),
        provider(keys().ttl(Duration::MAX)),
        provider(keys().timeout(Duration::ZERO)),
        provider(Keys::inline("{}")),
        provider(Keys::inline(r#"{"keys":[]}"#)),
        provider(Keys::secret([1; 31], Algorithm::HS256)),
        provider(Keys::secret([1; 32], Algorithm::HS512)),
    ];
    for provider in wrong {
        let error = JwtVerifier::new(provider.clone()).expect_err("it is rejected");
        assert!(!error.to_string().contains("pass"), "{error}");
    }
    let twice = JwtVerifier::builder().provider(provider(keys())).provider(provider(keys()));
    assert_eq!(twice.build().unwrap_err(), JwtError::IssuerTwice(ISSUER.to_owned()));
    assert_eq!(JwtVerifier::builder().build().unwrap_err(), JwtError::NoProvider);
}
