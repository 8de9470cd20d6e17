//! Tokens that somebody has made up (RFC 8725), through the whole program.

use std::sync::atomic::{AtomicUsize, Ordering};

use gateway_tests::tokens::{ISSUER, LATER, Signer, base64url, claims, key_set};
use gateway_tests::{Client, Failures, Gateway, Payload, Reply, Upstream};
use http::Request;
use serde_json::{Value, json};

use super::{ADMIN, OPEN, request, shows};
use crate::routing::LISTENER;

/// A gateway that takes tokens of `signer` by its key `a`.
async fn gateway(upstream: &Upstream, signer: &Signer, more: &str) -> Gateway {
    let (url, set) = (upstream.url(), key_set(&[signer.jwk("a")]));
    let text = format!(
        "{LISTENER}[clusters.upstream]\nendpoints = [{url:?}]\n{OPEN}{ADMIN}\
         [identity.jwt.main]\nissuer = {ISSUER:?}\naudience = \"orders\"\n\
         keys = {{ inline = '''{set}''' }}\nforward = {{ x-user-id = \"sub\" }}\n{more}\n\
         [[routes]]\nid = \"orders\"\nmatch = {{ prefix = \"/orders\" }}\n\
         target = {{ cluster = \"upstream\" }}\npolicy.jwt = \"main\"\n"
    );
    Gateway::document(text).knows(upstream).start().await
}

/// Whether this is a 401 as RFC 6750, section 3, wants it, in which nothing of `token` is repeated.
fn challenged(reply: &Reply, error: &str, token: &str) -> bool {
    let challenges = reply.header_all("www-authenticate");
    let [challenge] = challenges.as_slice() else { return false };
    let said = format!("{challenge} {} {:?}", reply.text(), reply.headers);
    reply.is_rejection(&[401])
        && challenge.starts_with("Bearer realm=\"gateway\", error=")
        && challenge.contains(&format!("error=\"{error}\""))
        && challenge.contains("error_description=\"")
        && reply.reason().as_deref() == Some("token_invalid")
        && !token.split('.').any(|part| part.len() > 8 && said.contains(part))
}

fn header_with(name: &str, value: Value) -> String {
    let mut header = json!({ "alg": "RS256", "typ": "JWT", "kid": "a" });
    header[name] = value;
    header.to_string()
}

fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims("eve");
    match value {
        Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
        value => claims[name] = value,
    }
    claims
}

/// Tokens whose header says that they need not be verified, or by what.
fn wrong_headers(signer: &Signer, eve: &Signer) -> Vec<(String, String)> {
    let payload = claims("eve").to_string();
    let mut cases = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "HS256", "ES256", "PS256"] {
        let token = signer.signs(&header_with("alg", alg.into()), &payload);
        let bare = token.rsplit_once('.').expect("a signature").0;
        cases.push((format!("alg {alg:?} without a signature"), format!("{bare}.")));
        cases.push((format!("alg {alg:?}"), token));
    }
    // The public key as a secret, in every form in which people have it.
    let Signer::Rsa(_) = signer else { panic!("an RSA key has a public half worth trying") };
    let pem = signer.public_pem();
    let jwk = signer.jwk("a");
    for (form, secret) in [
        ("PEM", pem.clone()),
        ("PEM without its line break", pem.trim_end().to_owned()),
        ("JWK", jwk.to_string()),
        ("set", key_set(std::slice::from_ref(&jwk))),
        ("n", jwk["n"].as_str().expect("a number").to_owned()),
        ("nothing", String::new()),
    ] {
        let forged = Signer::secret(secret);
        cases.push((format!("{form} as secret"), forged.token("a", &claims("eve"))));
        // The same said to be signed by RSA.
        cases.push((format!("{form} as RSA"), forged.signs(&header_with("x", 1.into()), &payload)));
    }
    // Keys that it brings along.
    let url = json!("http://127.0.0.1:9/jwks.json");
    let pem = json!([base64url(eve.public_pem())]);
    for (name, value) in [("jwk", eve.jwk("a")), ("jku", url.clone()), ("x5u", url), ("x5c", pem)] {
        let token = eve.signs(&header_with(name, value), &payload);
        cases.push((format!("by a key in {name}"), token));
    }
    let honest = |header: String| signer.signs(&header, &payload);
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!(["urn:example:new"])),
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("typ", json!("JOSE")),
        ("typ", json!("logout+jwt")),
        ("typ", json!(1)),
        ("kid", json!(["a"])),
        ("kid", json!("../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("alg", json!(["RS256"])),
    ] {
        cases.push((format!("{name} {value}"), honest(header_with(name, value))));
    }
    let twice = r#"{"alg":"none","alg":"RS256","kid":"a"}"#.to_owned();
    cases.push(("alg twice".to_owned(), honest(twice)));
    cases
}

/// Tokens of the issuer that are for somebody else, from somebody else, or over.
fn wrong_claims(signer: &Signer) -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for (name, value) in [
        ("iss", json!("House")),
        ("iss", json!("house/")),
        ("iss", json!([ISSUER])),
        ("iss", json!({ "house": ISSUER })),
        ("iss", Value::Null),
        ("aud", json!("order")),
        ("aud", json!("orders/")),
        ("aud", json!([])),
        ("aud", json!(["other"])),
        ("aud", json!({ "orders": true })),
        ("aud", Value::Null),
        ("exp", json!(1_700_000_000)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!(LATER.to_string())),
        ("exp", json!([LATER])),
        ("exp", json!(true)),
        ("exp", json!(1e300)),
        ("exp", json!(u64::MAX)),
        ("exp", Value::Null),
        ("nbf", json!(LATER - 1)),
        ("nbf", json!("0")),
        ("iat", json!(LATER - 1)),
        ("iat", json!(false)),
        ("sub", json!(1)),
        ("sub", json!(["eve"])),
        ("sub", json!("eve\r\nx-admin: 1")),
        ("sub", json!("")),
        ("sub", Value::Null),
    ] {
        let token = signer.token("a", &claims_with(name, value.clone()));
        cases.push((format!("{name} {value}"), token));
    }
    let header = header_with("x", 1.into());
    for payload in [
        r#"{"iss":"house","aud":"orders","sub":"eve","exp":1e400}"#.to_owned(),
        r#"{"iss":"house","aud":"orders","sub":"eve","exp":4102444800,"exp":4102444800}"#
            .to_owned(),
        r#"{"iss":"house","aud":"orders","sub":"ada","sub":"eve","exp":4102444800}"#.to_owned(),
        r#"{"iss":"house","aud":"orders","sub":"eve","exp":NaN}"#.to_owned(),
        format!(
            "{{\"deep\":{}1{},{}",
            "[".repeat(40),
            "]".repeat(40),
            &claims("eve").to_string()[1..]
        ),
        "\"house\"".to_owned(),
        String::new(),
    ] {
        cases.push((format!("payload {payload:.40}"), signer.signs(&header, &payload)));
    }
    cases
}

/// Tokens that are not in one form.
fn wrong_forms(signer: &Signer, eve: &Signer) -> Vec<(String, String)> {
    let good = signer.token("a", &claims("eve"));
    let parts: Vec<&str> = good.split('.').collect();
    let [head, payload, signature] = parts.as_slice() else { panic!("three parts") };
    let large = signer.token("a", &claims_with("large", "a".repeat(20_000).into()));
    let other = eve.token("a", &claims("eve"));
    let other_payload = base64url(claims("root").to_string());
    let last = signature.chars().last().expect("a letter");
    let bits = if last == 'A' { 'B' } else { 'A' };
    let cases = [
        ("larger than may be", large),
        ("signed by somebody else", other),
        ("of two tokens", format!("{head}.{other_payload}.{signature}")),
        ("cut", good[..good.len() - 4].to_owned()),
        ("without a signature", format!("{head}.{payload}.")),
        ("two parts", format!("{head}.{payload}")),
        ("four parts", format!("{good}.")),
        ("five parts", format!("{good}.a.b")),
        ("padded", format!("{good}==")),
        ("of another alphabet", good.replace(['-', '_'], "+") + "/"),
        (
            "bits that mean nothing",
            format!("{head}.{payload}.{}{bits}", &signature[..signature.len() - 1]),
        ),
        ("JSON", format!("{{\"payload\":\"{payload}\"}}")),
        ("a dot", ".".to_owned()),
        ("two dots", "..".to_owned()),
    ];
    cases.map(|(name, token)| (name.to_owned(), token)).into()
}

#[tokio::test]
async fn what_somebody_has_made_up_is_rejected_and_reaches_nobody() {
    let (signer, eve) = (Signer::rsa(), Signer::rsa());
    let upstream = Upstream::http1().start().await;
    let gateway = gateway(&upstream, &signer, "").await;
    let mut cases = wrong_headers(&signer, &eve);
    cases.extend(wrong_claims(&signer));
    cases.extend(wrong_forms(&signer, &eve));
    let mut failures = Failures::new();
    let mut clients = [Client::http1(gateway.addr()), Client::http2(gateway.addr())];
    for (name, token) in &cases {
        let bearer = format!("Bearer {token}");
        for client in &mut clients {
            let reply = client.send(request("/orders", &[("authorization", &bearer)])).await;
            failures
                .check(challenged(&reply, "invalid_token", token), || format!("{name}: {reply:?}"));
        }
    }
    failures.assert_none();
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    // The honest one passes after all of them.
    shows(&gateway, "/orders", &signer.token("a", &claims("ada"))).await.assert_ok("ok");
    let log = gateway.log();
    assert!(!cases.iter().any(|(_, token)| token.len() > 40 && log.contains(token)));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn one_credential_in_one_place_or_none() {
    let signer = Signer::ed();
    let upstream = Upstream::http1().start().await;
    let token = signer.token("a", &claims("ada"));
    let (bearer, cookie) = (format!("Bearer {token}"), format!("token={token}"));
    let other = format!("Bearer {}", signer.token("a", &claims("bo")));
    let query = format!("/orders?token={token}&access_token={token}");
    let asked = AtomicUsize::new(0);
    // Where a token stands that nobody has been told to look for, it is none.
    let plain = gateway(&upstream, &signer, "").await;
    let nowhere: [(&str, &str, &str); 6] = [
        (&query, "x-a", "b"),
        ("/orders", "cookie", &cookie),
        ("/orders", "x-authorization", &bearer),
        ("/orders", "proxy-authorization", &bearer),
        ("/orders", "authorization", "Basic YWRhOmE="),
        ("/orders", "authorization_", &bearer),
    ];
    for (target, name, value) in nowhere {
        for mut client in [Client::http1(plain.addr()), Client::http2(plain.addr())] {
            let reply = client.send(request(target, &[(name, value)])).await;
            super::rejected(&reply, 401, "unauthenticated");
            // No `error` where nothing was shown (RFC 6750, section 3.1).
            assert_eq!(reply.header_all("www-authenticate"), ["Bearer realm=\"gateway\""]);
            asked.fetch_add(1, Ordering::Relaxed);
        }
    }
    // Where all places are told, two of them are one too many.
    let places = "from = [\"header\", \"cookie:token\", \"query:token\"]";
    let all = gateway(&upstream, &signer, places).await;
    let list = format!("{bearer}, {other}");
    let with_query = format!("/orders?token={token}");
    let pairs: [(&str, Vec<(&str, &str)>); 8] = [
        ("/orders", vec![("authorization", &bearer), ("authorization", &other)]),
        ("/orders", vec![("authorization", &bearer), ("authorization", &bearer)]),
        ("/orders", vec![("authorization", &bearer), ("authorization", "Basic YWRhOmE=")]),
        ("/orders", vec![("authorization", &list)]),
        ("/orders", vec![("authorization", &bearer), ("cookie", &cookie)]),
        ("/orders", vec![("cookie", &cookie), ("cookie", &cookie)]),
        (&with_query, vec![("authorization", &bearer)]),
        ("/orders?token=a&token=b", vec![]),
    ];
    for (target, fields) in &pairs {
        for mut client in [Client::http1(all.addr()), Client::http2(all.addr())] {
            let reply = client.send(request(target, fields)).await;
            assert!(
                challenged(&reply, "invalid_request", &token),
                "{target} {fields:?}: {reply:?}"
            );
        }
    }
    assert!(upstream.seen().is_empty());
    // One of them is enough.
    let mut client = Client::http1(all.addr());
    for (target, fields) in [
        (&*with_query, vec![]),
        ("/orders", vec![("cookie", &*cookie)]),
        ("/orders", vec![("authorization", &*bearer)]),
    ] {
        client.send(request(target, &fields)).await.assert_ok("ok");
    }
    plain.assert_quiet_without_healing().await;
    all.assert_quiet().await;
}

/// A body is not waited for, nor read, before its sender is known.
#[tokio::test]
async fn a_token_behind_the_head_is_none() {
    let signer = Signer::ed();
    let upstream = Upstream::http1().start().await;
    let gateway = gateway(&upstream, &signer, "").await;
    let form = format!("access_token={}", signer.token("a", &claims("ada")));
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        // In a form (RFC 6750, section 2.2), which is not supported.
        let request =
            Request::post("/orders").header("content-type", "application/x-www-form-urlencoded");
        let reply =
            client.send(request.body(Payload::from(form.clone())).expect("a request")).await;
        super::rejected(&reply, 401, "unauthenticated");
    }
    assert!(upstream.seen().is_empty());
    gateway.assert_quiet().await;
}
