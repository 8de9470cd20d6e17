//! Routes that take several kinds of credentials, through the whole program.

use gateway_tests::tokens::{Signer, claims, sha256};
use gateway_tests::{Answer, Client, Gateway, Payload, Reply, Seen, Upstream};
use http::Request;
use serde_json::json;

use crate::routing::LISTENER;

const SECRET: &str = "a secret of the tests, 32 bytes or more";

/// An API key that is not of the gateway's own format.
const KEY: &str = "planted-key-of-a-partner";

/// A token that only the introspection server knows.
const OPAQUE: &str = "planted-opaque-token";

const BASIC: &str = "Basic dXNlcjpwYXNz";

/// A route of this policy, where API keys are read from `from`.
async fn gateway(upstream: &Upstream, issuer: &Upstream, from: &str, policy: &str) -> Gateway {
    let (url, issuer_url, digest) = (upstream.url(), issuer.url(), sha256(KEY));
    let text = format!(
        "{LISTENER}\n[clusters.upstream]\nendpoints = [{url:?}]\n\
         [identity.jwt.house]\nissuer = \"house\"\naudience = \"orders\"\nalgorithms = \"HS256\"\n\
         keys = {{ secret = {SECRET:?} }}\nforward = {{ x-user = \"sub\", x-jwt = \"sub\" }}\n\
         [identity.introspection.house]\nurl = \"{issuer_url}/introspect\"\n\
         forward = {{ x-user = \"sub\", x-introspection = \"sub\" }}\n\
         [identity.api_key.partners]\n{from}\n\
         forward = {{ x-user = \"subject\", x-api = \"subject\" }}\n\
         [identity.api_key.partners.keys]\np1 = {{ sha256 = {digest:?}, owner = \"partner\" }}\n\
         [[routes]]\nid = \"a\"\nmatch = {{ prefix = \"/a\" }}\ntarget = {{ cluster = \"upstream\" }}\n\
         {policy}\n\
         [[routes]]\nid = \"rest\"\nmatch = {{ prefix = \"/fresh-check\" }}\n\
         target = {{ cluster = \"upstream\" }}\npolicy.public = true\n"
    );
    Gateway::document(text).knows(upstream).knows(issuer).start().await
}

/// An introspection server that knows one token.
async fn issuer() -> Upstream {
    let script = |seen: &Seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let known = body.starts_with(&format!("token={OPAQUE}"));
        let text = if known { r#"{"active":true,"sub":"olga"}"# } else { r#"{"active":false}"# };
        Answer::ok(text).header("content-type", "application/json")
    };
    Upstream::http1().script_after_body(script).start().await
}

fn token(subject: &str) -> String {
    Signer::secret(SECRET).token("k", &claims(subject))
}

async fn asks(gateway: &Gateway, fields: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().uri("/a").header("host", "a.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Payload::empty()).expect("a request");
    Client::http1(gateway.addr()).send(request).await
}

/// The headers of the last request that reached the upstream.
fn forwarded(upstream: &Upstream, names: [&str; 5]) -> [Option<String>; 5] {
    let seen = upstream.seen().pop().expect("a request");
    names.map(|name| seen.header(name).map(str::to_owned))
}

const NAMES: [&str; 5] = ["x-user", "x-jwt", "x-introspection", "x-api", "authorization"];

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[tokio::test]
async fn any_reaches_each_kind_that_reads_bearer() {
    let (upstream, issuer) = (Upstream::http1().start().await, issuer().await);
    let policy = "policy = { identity = \"any\", jwt = \"house\", introspection = \"house\", \
                  api_key = \"partners\" }";
    let gateway = gateway(&upstream, &issuer, "scheme = \"Bearer\"", policy).await;
    let ada = format!("Bearer {}", token("ada"));
    asks(&gateway, &[("authorization", &ada)]).await.assert_ok("ok");
    let jwt = [some("ada"), some("ada"), None, None, Some(ada.clone())];
    assert_eq!(forwarded(&upstream, NAMES), jwt);
    assert_eq!(issuer.seen().len(), 0);
    let olga = format!("Bearer {OPAQUE}");
    asks(&gateway, &[("authorization", &olga)]).await.assert_ok("ok");
    let opaque = [some("olga"), None, some("olga"), None, Some(olga.clone())];
    assert_eq!(forwarded(&upstream, NAMES), opaque);
    for _ in 0..2 {
        asks(&gateway, &[("authorization", &format!("Bearer {KEY}"))]).await.assert_ok("ok");
        let key = [some("partner"), None, None, some("partner"), None];
        assert_eq!(forwarded(&upstream, NAMES), key);
    }
    let asked = issuer.seen().len();
    // What is of no kind is rejected, and what one kind knows to be invalid at once.
    let unknown = asks(&gateway, &[("authorization", "Bearer planted-unknown")]).await;
    unknown.assert_by_gateway(&[401]);
    assert!(unknown.header("www-authenticate").is_some(), "{unknown:?}");
    let forged = format!("Bearer {}x", token("ada"));
    asks(&gateway, &[("authorization", &forged)]).await.assert_by_gateway(&[401]);
    assert_eq!(issuer.seen().len(), asked + 1, "a token of our issuer is of no other kind");
    assert_eq!(upstream.seen().len(), 4);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn any_strips_credentials_that_were_not_verified() {
    let (upstream, issuer) = (Upstream::http1().start().await, issuer().await);
    let policy = "policy = { identity = \"any\", jwt = \"house\", api_key = \"partners\" }";
    let gateway = gateway(&upstream, &issuer, "header = \"x-api-key\"", policy).await;
    let names = ["x-user", "x-jwt", "x-api", "authorization", "x-api-key"];
    let ada = format!("Bearer {}", token("ada"));
    asks(&gateway, &[("authorization", &ada), ("x-api-key", "of-eve")]).await.assert_ok("ok");
    let jwt = [some("ada"), some("ada"), None, Some(ada.clone()), None];
    assert_eq!(forwarded(&upstream, names), jwt);
    let opaque = [("authorization", "Bearer planted-opaque"), ("x-api-key", KEY)];
    asks(&gateway, &opaque).await.assert_ok("ok");
    let key = [some("partner"), None, some("partner"), None, None];
    assert_eq!(forwarded(&upstream, names), key);
    // What no kind of the route reads is the upstream's own.
    asks(&gateway, &[("authorization", BASIC), ("x-api-key", KEY)]).await.assert_ok("ok");
    let own = [some("partner"), None, some("partner"), some(BASIC), None];
    assert_eq!(forwarded(&upstream, names), own);
}

#[tokio::test]
async fn all_forwards_the_principal_and_nothing_else() {
    let (upstream, issuer) = (Upstream::http1().start().await, issuer().await);
    let policy = "policy = { identity = \"all\", jwt = \"house\", api_key = \"partners\", \
                  rate_limit = { limit = 1, per = \"1h\", key = [\"principal\"] } }";
    let gateway = gateway(&upstream, &issuer, "header = \"x-api-key\"", policy).await;
    let names = ["x-user", "x-jwt", "x-api", "authorization", "x-api-key"];
    for subject in ["ada", "bo"] {
        let token = format!("Bearer {}", token(subject));
        asks(&gateway, &[("authorization", &token), ("x-api-key", KEY)]).await.assert_ok("ok");
        let one = [some(subject), some(subject), None, Some(token.clone()), None];
        assert_eq!(forwarded(&upstream, names), one);
    }
    asks(&gateway, &[("x-api-key", KEY)]).await.assert_by_gateway(&[401]);
}

#[tokio::test]
async fn principal_of_all_can_be_chosen() {
    let (upstream, issuer) = (Upstream::http1().start().await, issuer().await);
    let policy = "policy = { identity = { mode = \"all\", principal = \"api_key\" }, \
                  jwt = \"house\", api_key = \"partners\" }";
    let gateway = gateway(&upstream, &issuer, "header = \"x-api-key\"", policy).await;
    let token = format!("Bearer {}", token("ada"));
    asks(&gateway, &[("authorization", &token), ("x-api-key", KEY)]).await.assert_ok("ok");
    let names = ["x-user", "x-jwt", "x-api", "authorization", "x-api-key"];
    let one = [some("partner"), None, some("partner"), Some(token.clone()), None];
    assert_eq!(forwarded(&upstream, names), one);
    asks(&gateway, &[("x-api-key", KEY)]).await.assert_by_gateway(&[401]);
}

#[tokio::test]
async fn check_rejects_kinds_that_no_request_has_together() {
    let identity = format!(
        "[identity.jwt.j]\nissuer = \"i\"\naudience = \"any\"\nalgorithms = \"HS256\"\n\
         keys = {{ secret = {SECRET:?} }}\n\
         [identity.basic.b]\nfile = \"/nowhere/users\"\n\
         [identity.mtls.m]\n"
    );
    let route = "[[routes]]\nmatch = { prefix = \"/\" }\ntarget = { respond = { status = 200 } }\n";
    for (policy, expected) in [
        ("jwt = \"j\", basic = \"b\"", "`jwt` and `basic` are both required"),
        ("jwt = \"j\", mtls = \"m\"", "no listener of this route asks clients for a certificate"),
    ] {
        let text =
            format!("{LISTENER}{identity}{route}policy = {{ identity = \"all\", {policy} }}\n");
        let (status, said) = Gateway::document(text).rejected().await;
        assert!(!status.success());
        assert!(said.contains(expected) && said.contains("no request passes"), "{policy}: {said}");
    }
    for (identity_key, expected) in [
        ("{ mode = \"all\", principal = \"api_key\" }", "`policy.api_key` is not named"),
        ("{ mode = \"any\", principal = \"jwt\" }", "expected `mode = \"all\"`"),
    ] {
        let policy = format!("policy = {{ identity = {identity_key}, jwt = \"j\" }}");
        let text = format!("{LISTENER}{identity}{route}{policy}\n");
        let (status, said) = Gateway::document(text).rejected().await;
        assert!(!status.success());
        assert!(said.contains(expected), "{policy}: {said}");
    }
}

#[tokio::test]
async fn encoded_name_of_a_query_credential_is_the_same() {
    let (upstream, issuer) = (Upstream::http1().start().await, issuer().await);
    let policy = "policy.api_key = \"partners\"";
    let gateway = gateway(&upstream, &issuer, "query = \"api_key\"", policy).await;
    let mut client = Client::http1(gateway.addr());
    for (name, status) in [("api_key", 200), ("api%5Fkey", 200), ("%61pi%5fkey", 200), ("api", 401)]
    {
        let reply = client.get(&format!("/a?x=1&{name}={KEY}&y=%5F")).await;
        assert_eq!(reply.status, status, "{name}");
        if status == 200 {
            let seen = upstream.seen().pop().expect("a request");
            assert_eq!(seen.target, "/a?x=1&y=%5F");
        }
    }
    let twice = client.get(&format!("/a?api_key={KEY}&api%5Fkey={KEY}")).await;
    twice.assert_by_gateway(&[401]);
}

/// A gateway that knows callers by tokens of `house`, with more settings of it.
async fn house(upstream: &Upstream, settings: &str) -> Gateway {
    let url = upstream.url();
    let text = format!(
        "{LISTENER}\n[clusters.upstream]\nendpoints = [{url:?}]\n\
         [identity.jwt.house]\nissuer = \"house\"\naudience = \"orders\"\nalgorithms = \"HS256\"\n\
         keys = {{ secret = {SECRET:?} }}\n{settings}\n\
         [[routes]]\nmatch = {{ prefix = \"/a\" }}\ntarget = {{ cluster = \"upstream\" }}\n\
         policy.jwt = \"house\"\n"
    );
    Gateway::document(text).start().await
}

#[tokio::test]
async fn role_with_a_comma_is_one_role_upstream() {
    let upstream = Upstream::http1().start().await;
    let forward = "forward = { x-roles = \"roles\", x-name = \"name\" }";
    let gateway = house(&upstream, forward).await;
    for (roles, expected) in [
        (json!("reader,admin"), "reader%2Cadmin"),
        (json!(["reader,admin", "writer"]), "reader%2Cadmin,writer"),
        (json!(["reader", "100%2C"]), "reader,100%252C"),
        (json!("reader"), "reader"),
    ] {
        let mut claims = claims("ada");
        claims["roles"] = roles;
        claims["name"] = json!("Lovelace, Ada");
        let token = Signer::secret(SECRET).token("k", &claims);
        let reply = asks(&gateway, &[("authorization", &format!("Bearer {token}"))]).await;
        reply.assert_ok("ok");
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.header_all("x-roles"), [expected]);
        assert_eq!(seen.header_all("x-name"), ["Lovelace, Ada"]);
    }
}

#[tokio::test]
async fn size_of_tokens_is_a_setting() {
    let upstream = Upstream::http1().start().await;
    let (small, large) = ("token_limit = \"1KiB\"", "token_limit = \"40KiB\"");
    for (limit, lengths) in
        [(small, [100, 2_000]), ("", [10_000, 20_000]), (large, [28_000, 32_000])]
    {
        let gateway = house(&upstream, limit).await;
        for (length, status) in lengths.into_iter().zip([200, 401]) {
            let mut claims = claims("ada");
            claims["filler"] = json!("x".repeat(length));
            let token = Signer::secret(SECRET).token("k", &claims);
            let reply = asks(&gateway, &[("authorization", &format!("Bearer {token}"))]).await;
            assert_eq!(reply.status, status, "{limit} {length}");
        }
    }
}
