//! Requests as somebody else sends them.

use super::*;

#[tokio::test]
async fn a_replay_is_rejected_under_any_label() {
    let verifier = verifier();
    let request = signed(get("/orders"));
    assert_eq!(said(&verifier, &request).await, ada());
    assert_eq!(said(&verifier, &request).await, fault(SignatureRejection::NonceUsed));
    let mut renamed = copy(&request);
    for name in ["signature", "signature-input"] {
        let value = value(&request, name).replacen("sig=", "other=", 1);
        set(&mut renamed, name, &value);
    }
    assert_eq!(said(&verifier, &renamed).await, fault(SignatureRejection::NonceUsed));
}

#[tokio::test]
async fn every_bit_of_the_signature_counts() {
    let verifier = verifier();
    let request = signed(get("/orders"));
    let text = value(&request, "signature");
    let members = structured::dictionary(&text).unwrap();
    let structured::Member::Item(item) = &members[0].1 else { panic!() };
    let structured::Bare::Bytes(bytes) = &item.bare else { panic!() };
    let with = |bytes: &[u8]| {
        let mut text = "sig=".to_owned();
        structured::write_bytes(bytes, &mut text);
        let mut changed = copy(&request);
        set(&mut changed, "signature", &text);
        changed
    };
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1 << bit;
            let found = said(&verifier, &with(&bytes)).await;
            assert_eq!(found, fault(SignatureRejection::Wrong), "{place} {bit}");
        }
        let found = said(&verifier, &with(&bytes[..place])).await;
        assert_eq!(found, fault(SignatureRejection::Wrong), "{place}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(said(&verifier, &with(&longer)).await, fault(SignatureRejection::Wrong));
    // Nothing of all this used the nonce up.
    assert_eq!(said(&verifier, &request).await, ada());
}

#[tokio::test]
async fn no_bit_of_the_input_can_be_changed() {
    let verifier = verifier();
    let request = signed(get("/orders"));
    let text = value(&request, "signature-input");
    let mut tried = 0;
    for place in "sig=".len()..text.len() {
        for bit in 0..7 {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let Ok(value) = HeaderValue::from_bytes(&bytes) else {
                continue;
            };
            let mut changed = copy(&request);
            changed.headers_mut().insert("signature-input", value);
            let found = said(&verifier, &changed).await;
            assert!(found.is_err(), "{}", String::from_utf8_lossy(&bytes));
            tried += 1;
        }
    }
    assert!(tried > 500, "{tried}");
    assert_eq!(said(&verifier, &request).await, ada());
}

#[tokio::test]
async fn blanks_that_mean_nothing_change_nothing() {
    let mut request = signed(get("/orders"));
    let text = value(&request, "signature-input").replace(r#"" ""#, r#""   ""#);
    set(&mut request, "signature-input", &text);
    assert_eq!(said(&verifier(), &request).await, ada());
}

#[tokio::test]
async fn signatures_cannot_be_swapped_between_labels() {
    let mut request = get("/");
    sign_as(&mut request, "a", &secret(), &format!("({COVERED}){}", params()));
    sign_as(&mut request, "b", &secret(), &format!("({COVERED}){}", params()));
    let lines: Vec<_> = request.headers().get_all("signature").iter().cloned().collect();
    let swap =
        |line: &HeaderValue, from: &str, to: &str| line.to_str().unwrap().replacen(from, to, 1);
    let swapped = format!("{}, {}", swap(&lines[0], "a=", "b="), swap(&lines[1], "b=", "a="));
    set(&mut request, "signature", &swapped);
    assert_eq!(said(&verifier(), &request).await, fault(SignatureRejection::Wrong));
}

#[tokio::test]
async fn a_label_that_stands_twice_is_nobodys() {
    let verifier = verifier();
    let mut request = signed(get("/"));
    let (input, signature) = (value(&request, "signature-input"), value(&request, "signature"));
    for (first, second) in [
        (format!("{input}, {input}"), signature.clone()),
        (input.clone(), format!("{signature}, {signature}")),
    ] {
        set(&mut request, "signature-input", &first);
        set(&mut request, "signature", &second);
        assert_eq!(said(&verifier, &request).await, fault(SignatureRejection::Malformed));
    }
    // In a second line as well.
    set(&mut request, "signature-input", &input);
    set(&mut request, "signature", &signature);
    add(&mut request, "signature-input", &input);
    assert_eq!(said(&verifier, &request).await, fault(SignatureRejection::Malformed));
}

#[tokio::test]
async fn half_a_signature_is_rejected() {
    let request = signed(get("/"));
    for name in ["signature", "signature-input"] {
        let mut half = copy(&request);
        half.headers_mut().remove(name);
        assert_eq!(said(&verifier(), &half).await, fault(SignatureRejection::Incomplete));
    }
    let mut renamed = copy(&request);
    let other = value(&request, "signature").replacen("sig=", "other=", 1);
    set(&mut renamed, "signature", &other);
    assert_eq!(said(&verifier(), &renamed).await, fault(SignatureRejection::Incomplete));
    let mut more = copy(&request);
    let other = format!("{}, other=:AAAA:", value(&request, "signature"));
    set(&mut more, "signature", &other);
    assert_eq!(said(&verifier(), &more).await, fault(SignatureRejection::Incomplete));
}

#[tokio::test]
async fn what_cannot_be_read_is_rejected() {
    let inputs = [
        "sig",
        "sig=1",
        "sig=(",
        "sig=()a",
        "sig=(\"@method\"",
        "sig=(\"@method\");;",
        "=()",
        "Sig=()",
        "sig=(\"@method\" );created=",
        "sig=();created=1;created=2",
        "sig=(),",
        "",
        "sig=(1)",
        "sig=(\"a\"\"b\")",
        "sig=(\"\u{1f}\")",
    ];
    for input in inputs {
        let mut request = get("/");
        let Ok(value) = HeaderValue::from_str(input) else { continue };
        request.headers_mut().insert("signature-input", value);
        set(&mut request, "signature", "sig=:AAAA:");
        let found = said(&verifier(), &request).await;
        assert!(found.is_err() && found != Err("not signed".to_owned()), "{input}");
    }
    for signature in ["sig", "sig=AAAA", "sig=:AAA:", "sig=:A A=:", "sig=\"AAAA\"", "sig=:AAAA"] {
        let mut request = signed(get("/"));
        set(&mut request, "signature", signature);
        let found = said(&verifier(), &request).await;
        assert_eq!(found, fault(SignatureRejection::Malformed), "{signature}");
    }
}

/// A request whose input was made by somebody who has the key and no manners.
async fn with_input(input: &str) -> Result<String, String> {
    let mut request = get("/orders?state=new");
    let member = format!("sig={input}");
    // What is signed does not matter: it is rejected before.
    set(&mut request, "signature-input", &member);
    set(&mut request, "signature", "sig=:AAAA:");
    said(&verifier(), &request).await
}

#[tokio::test]
async fn components_must_be_understood_and_stand_once() {
    let input = |covered: &str| format!("({covered}){}", params());
    for twice in [
        r#""@method" "@method""#,
        r#""x-a";sf "x-a";sf=?1"#,
        r#""@query-param";name="a" "@query-param";name="a""#,
    ] {
        let found = with_input(&input(twice)).await;
        assert_eq!(found, fault(SignatureRejection::ComponentTwice), "{twice}");
    }
    for unknown in [
        r#""@unknown""#,
        r#""@method";req"#,
        r#""x-a";tr"#,
        r#""x-a";unknown"#,
        r#""X-A""#,
        r#""x-a";sf;bs"#,
        r#""x-a";key=a"#,
        r#""""#,
        r#""@query-param""#,
    ] {
        let found = with_input(&input(unknown)).await;
        assert_eq!(found, fault(SignatureRejection::Component), "{unknown}");
    }
    // An answer's.
    let status = input(&format!("{COVERED} \"@status\""));
    assert_eq!(with_input(&status).await, fault(SignatureRejection::ComponentMissing));
    let many = (0..65).map(|place| format!("\"x-{place}\"")).collect::<Vec<_>>().join(" ");
    assert_eq!(with_input(&input(&many)).await, fault(SignatureRejection::TooLarge));
}

#[tokio::test]
async fn parameters_must_be_understood() {
    let key = r#";keyid="k1""#;
    for params in [
        ";created=\"1800000000\"",
        ";created=1800000000.0",
        ";created",
        ";expires=now;created=1",
        ";nonce=1",
        ";unknown=1",
        ";alg=hmac-sha256",
        ";tag=orders",
    ] {
        let found = with_input(&format!("({COVERED}){params}{key}")).await;
        assert_eq!(found, fault(SignatureRejection::Parameter), "{params}");
    }
    let no_time = format!("({COVERED});nonce=\"abcdefgh\"{key}");
    assert_eq!(with_input(&no_time).await, fault(SignatureRejection::CreatedMissing));
    for nonce in ["", "short", &"n".repeat(257)] {
        let input = format!("({COVERED});created={NOW};nonce=\"{nonce}\"{key}");
        assert_eq!(with_input(&input).await, fault(SignatureRejection::NonceMissing), "{nonce}");
    }
    for created in ["-1", "0", "-999999999999999"] {
        let input = format!("({COVERED});created={created};nonce=\"abcdefgh\"{key}");
        assert_eq!(with_input(&input).await, fault(SignatureRejection::Expired), "{created}");
    }
    let ahead = format!("({COVERED});created=999999999999999;nonce=\"abcdefgh\"{key}");
    assert_eq!(with_input(&ahead).await, fault(SignatureRejection::CreatedAhead));
}

#[tokio::test]
async fn the_order_of_components_is_signed() {
    let mut request = signed(get("/orders"));
    let text = value(&request, "signature-input");
    let turned = text.replace(r#""@method" "@authority""#, r#""@authority" "@method""#);
    assert_ne!(text, turned);
    set(&mut request, "signature-input", &turned);
    assert_eq!(said(&verifier(), &request).await, fault(SignatureRejection::Wrong));
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let public = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{public}"}}"#);
    let key = SignatureKey::jwk(SignatureAlgorithm::Ed25519, &jwk).unwrap();
    let verifier = SignatureVerifier::builder("partners")
        .key(TrustedKey::new("k1", key))
        .with_clock(FakeClock::new())
        .build()
        .unwrap();
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(public).unwrap();
    let confused = SignatureKey::secret(&bytes).unwrap();
    for (alg, expected) in [
        (";alg=\"hmac-sha256\"", SignatureRejection::Algorithm),
        (";alg=\"ed25519\"", SignatureRejection::Wrong),
        ("", SignatureRejection::Wrong),
        (";alg=\"none\"", SignatureRejection::Algorithm),
        (";alg=\"rsa-pss-sha512\"", SignatureRejection::Algorithm),
    ] {
        let mut request = get("/");
        sign_as(&mut request, "sig", &confused, &format!("({COVERED}){}{alg}", params()));
        assert_eq!(said(&verifier, &request).await, fault(expected), "{alg}");
    }
}

#[tokio::test]
async fn what_was_signed_for_one_request_is_not_good_for_another() {
    type Change = fn(&mut Request);
    let changes: [(&str, Change); 6] = [
        ("authority", |request| set(request, "host", "other.example")),
        ("port", |request| set(request, "host", "api.example:8080")),
        ("query", |request| *request.uri_mut() = "/orders?state=old".parse().unwrap()),
        ("added query", |request| *request.uri_mut() = "/orders?state=new&x=1".parse().unwrap()),
        ("path", |request| *request.uri_mut() = "/invoices?state=new".parse().unwrap()),
        ("method", |request| *request.method_mut() = Method::DELETE),
    ];
    for (what, change) in changes {
        let mut request = signed(get("/orders?state=new"));
        change(&mut request);
        assert_eq!(said(&verifier(), &request).await, fault(SignatureRejection::Wrong), "{what}");
    }
    // A query that was not there when it was signed, and not covered.
    let mut request = get("/orders");
    let covered = r#""@method" "@authority" "@path""#;
    sign_as(&mut request, "sig", &secret(), &format!("({covered}){}", params()));
    assert_eq!(said(&verifier(), &request).await, ada());
    *request.uri_mut() = "/orders?all=1".parse().unwrap();
    assert_eq!(said(&verifier(), &request).await, fault(SignatureRejection::NotCovered));
}

#[tokio::test]
async fn a_host_in_other_letters_is_the_same() {
    let mut request = signed(get("/orders"));
    set(&mut request, "host", "API.Example:80");
    assert_eq!(said(&verifier(), &request).await, ada());
}

#[tokio::test]
async fn one_key_does_not_sign_for_another() {
    let other = SignatureKey::secret(&[9; 32]).unwrap();
    let verifier = builder().key(TrustedKey::new("k2", other).owner("eve")).build().unwrap();
    let mut request = signed(get("/"));
    let text = value(&request, "signature-input").replace("k1", "k2");
    set(&mut request, "signature-input", &text);
    assert_eq!(said(&verifier, &request).await, fault(SignatureRejection::Wrong));
}

#[tokio::test]
async fn what_is_covered_has_a_limit() {
    let mut request = get("/");
    set(&mut request, "x-a", &"a".repeat(60_000));
    set(&mut request, "x-b", &"b".repeat(60_000));
    set(&mut request, "x-c", &"c".repeat(60_000));
    set(
        &mut request,
        "signature-input",
        &format!("sig=({COVERED} \"x-a\" \"x-b\" \"x-c\"){}", params()),
    );
    set(&mut request, "signature", "sig=:AAAA:");
    assert_eq!(said(&verifier(), &request).await, fault(SignatureRejection::TooLarge));
    let many = |value: &str| {
        (0..9).map(|place| format!("s{place}={value}")).collect::<Vec<_>>().join(", ")
    };
    let mut request = get("/");
    set(&mut request, "signature-input", &many(&format!("({COVERED}){}", params())));
    set(&mut request, "signature", &many(":AAAA:"));
    assert_eq!(said(&verifier(), &request).await, fault(SignatureRejection::TooLarge));
}
