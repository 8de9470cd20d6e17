//! Who may use a route, and how much: identity, authorization and limits of a document.

use gateway_tests::{Client, Gateway, Payload, Reply, Upstream};
use http::Request;

use crate::routing::LISTENER;

/// What signs the tokens below.
const SECRET: &str = "a secret of the tests, 32 bytes or more";

/// Of ada, a reader.
const ADA: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaG91c2UiLCAiYXVkIjogIm9yZG\
                   VycyIsICJzdWIiOiAiYWRhIiwgImV4cCI6IDQxMDI0NDQ4MDAsICJyb2xlcyI6IFsicmVhZGVyIl19.Z\
                   O8u2wbT6BPs-NtEWm1ATBMRn5TxG4NdZeNEXPAfE-k";

/// Of bo, an admin.
const BO: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaG91c2UiLCAiYXVkIjogIm9yZGV\
                  ycyIsICJzdWIiOiAiYm8iLCAiZXhwIjogNDEwMjQ0NDgwMCwgInJvbGVzIjogWyJhZG1pbiJdfQ.JpDqw\
                  ohi37gkj00565wgDkqZXm7KlQiptTXVVO-DwSY";

/// Of cy, who was an admin until 2023.
const CY: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaG91c2UiLCAiYXVkIjogIm9yZGV\
                  ycyIsICJzdWIiOiAiY3kiLCAiZXhwIjogMTcwMDAwMDAwMCwgInJvbGVzIjogWyJhZG1pbiJdfQ.-Obni\
                  kheSHtqxk7IZJ59oDdFTMxI5oyrETifch8MuKA";

/// A gateway that knows callers by such tokens, and these routes; `TO` in them stands for the
/// target.
async fn guarded(upstream: &Upstream, routes: &str) -> Gateway {
    let cluster = format!("[clusters.upstream]\nendpoints = [{:?}]\n", upstream.url());
    let identity = format!(
        "[identity.jwt.house]\nissuer = \"house\"\naudience = \"orders\"\nalgorithms = \"HS256\"\n\
         keys = {{ secret = {SECRET:?} }}\ncredentials = \"drop\"\n\
         forward = {{ x-user-id = \"sub\", x-user-roles = \"roles\" }}\n"
    );
    let fresh = "[[routes]]\nid = \"rest\"\nmatch = { prefix = \"/fresh-check\" }\n\
                 target = { cluster = \"upstream\" }\npolicy.public = true\n";
    let routes = routes.replace("TO", "target = { cluster = \"upstream\" }");
    let text = format!("{LISTENER}{cluster}{identity}{routes}\n{fresh}");
    Gateway::document(text).knows(upstream).start().await
}

async fn asks(gateway: &Gateway, target: &str, fields: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().uri(target).header("host", "a.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Payload::empty()).expect("a request");
    Client::http1(gateway.addr()).send(request).await
}

/// The gateway itself has rejected it, for this reason.
fn rejected(reply: &Reply, status: u16, reason: &str) {
    reply.assert_by_gateway(&[status]);
    assert_eq!(reply.reason().as_deref(), Some(reason));
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn whoever_has_a_token_is_known_upstream_and_nobody_else_passes() {
    let upstream = Upstream::http1().start().await;
    let routes = "[[routes]]\nmatch = { prefix = \"/orders\" }\nTO\npolicy.jwt = \"house\"\n";
    let gateway = guarded(&upstream, routes).await;
    let forged = [("authorization", &*bearer(ADA)), ("x_user_id", "eve"), ("x-user-roles", "root")];
    asks(&gateway, "/orders", &forged).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!(seen.header_all("x-user-id"), ["ada"]);
    assert_eq!(seen.header_all("x-user-roles"), ["reader"]);
    assert_eq!(seen.header("x_user_id"), None);
    assert_eq!(seen.header("authorization"), None);
    let before = upstream.seen().len();
    let missing = asks(&gateway, "/orders", &[("x-user-id", "ada")]).await;
    rejected(&missing, 401, "unauthenticated");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"gateway\""));
    let broken = ADA.replace("ZO8u", "ZO9u");
    for bad in [&*bearer(CY), &*bearer(&broken), "Bearer x.y.z", "Bearer "] {
        let answer = asks(&gateway, "/orders", &[("authorization", bad)]).await;
        rejected(&answer, 401, "token_invalid");
        let said = answer.header("www-authenticate").expect("a challenge");
        assert!(said.contains("error=\"invalid_token\""), "{said}");
        assert!(!answer.text().contains(&bad[7..]) || bad.len() < 8, "{}", answer.text());
    }
    assert_eq!(upstream.seen().len(), before);
}

#[tokio::test]
async fn a_route_is_public_only_where_that_is_said_and_says_nothing_forged_then() {
    let upstream = Upstream::http1().start().await;
    let routes = "[[routes]]\nmatch = { prefix = \"/open\" }\nTO\npolicy.public = true\n\
                  [[routes]]\nmatch = { prefix = \"/either\" }\nTO\n\
                  policy = { public = true, jwt = \"house\" }\n\
                  [[routes]]\nmatch = { prefix = \"/forgotten\" }\nTO\n";
    let gateway = guarded(&upstream, routes).await;
    let forged = [("x-user-id", "eve"), ("X_User-Id", "eve"), ("x-other", "1")];
    for target in ["/open", "/either"] {
        asks(&gateway, target, &forged).await.assert_ok("ok");
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!((seen.header("x-user-id"), seen.header("x_user-id")), (None, None), "{target}");
        assert_eq!(seen.header("x-other"), Some("1"));
    }
    asks(&gateway, "/either", &[("authorization", &bearer(ADA))]).await.assert_ok("ok");
    assert_eq!(upstream.seen().pop().expect("a request").header("x-user-id"), Some("ada"));
    let bad = asks(&gateway, "/either", &[("authorization", &bearer(CY))]).await;
    rejected(&bad, 401, "token_invalid");
    for fields in [vec![], vec![("authorization", bearer(BO))]] {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = asks(&gateway, "/forgotten", &fields).await;
        rejected(&answer, 401, "unauthenticated");
    }
}

#[tokio::test]
async fn who_is_known_may_only_what_he_may() {
    let upstream = Upstream::http1().start().await;
    let routes = "[[routes]]\nmatch = { prefix = \"/role\" }\nTO\n\
                  policy.jwt = { provider = \"house\", roles = [\"admin\", \"owner\"] }\n\
                  [[routes]]\nmatch = { prefix = \"/rule\" }\nTO\npolicy.jwt = \"house\"\n\
                  policy.authorize = \"principal.roles.exists(r, r == 'admin')\"\n\
                  [[routes]]\nmatch = { prefix = \"/table\" }\nTO\npolicy.jwt = \"house\"\n\
                  policy.authorize = { roles_all = [\"admin\"], claims = { sub = [\"bo\"] } }\n";
    let gateway = guarded(&upstream, routes).await;
    for target in ["/role", "/rule", "/table"] {
        asks(&gateway, target, &[("authorization", &bearer(BO))]).await.assert_ok("ok");
        let answer = asks(&gateway, target, &[("authorization", &bearer(ADA))]).await;
        rejected(&answer, 403, "forbidden");
        rejected(&asks(&gateway, target, &[]).await, 401, "unauthenticated");
    }
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn limits_count_who_is_known_and_say_what_is_left() {
    let upstream = Upstream::http1().start().await;
    let routes = "[[routes]]\nid = \"a\"\nmatch = { prefix = \"/a\" }\nTO\npolicy.jwt = \"house\"\n\
                  policy.rate_limit = { limit = 2, per = \"1h\", key = [\"principal\"] }\n";
    let gateway = guarded(&upstream, routes).await;
    let (ada, bo) = (bearer(ADA), bearer(BO));
    for left in ["1", "0"] {
        // What a client says about its address changes nothing.
        let fields = [("authorization", &*ada), ("x-forwarded-for", left)];
        let passed = asks(&gateway, "/a", &fields).await;
        passed.assert_ok("ok");
        let said = passed.header("ratelimit").expect("what is left");
        assert!(said.contains(&format!("r={left}")), "{said}");
        assert!(passed.header("ratelimit-policy").is_some_and(|said| said.contains("q=2;w=3600")));
    }
    let answer = asks(&gateway, "/a", &[("authorization", &ada)]).await;
    rejected(&answer, 429, "rate_limited");
    assert!(answer.header("retry-after").is_some());
    asks(&gateway, "/a", &[("authorization", &bo)]).await.assert_ok("ok");
    // Who is nobody is rejected.
    rejected(&asks(&gateway, "/a", &[]).await, 401, "unauthenticated");
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn who_guesses_is_counted_by_address_and_learns_nothing_beyond_the_limit() {
    let upstream = Upstream::http1().start().await;
    let routes = "[[routes]]\nid = \"ip\"\nmatch = { prefix = \"/ip\" }\nTO\npolicy.jwt = \"house\"\n\
                  policy.rate_limit = { limit = 4, per = \"1h\", key = [\"ip\"] }\n\
                  [[routes]]\nid = \"who\"\nmatch = { prefix = \"/who\" }\nTO\n\
                  policy.jwt = \"house\"\n\
                  policy.rate_limit = { limit = 2, per = \"1h\", key = [\"principal\"] }\n";
    let gateway = guarded(&upstream, routes).await;
    let ada = bearer(ADA);
    let good: &[(&str, &str)] = &[("authorization", &ada)];
    let bad: &[(&str, &str)] = &[("authorization", "Bearer a.wrong.token")];
    asks(&gateway, "/ip", good).await.assert_ok("ok");
    let answer = asks(&gateway, "/ip", bad).await;
    rejected(&answer, 401, "token_invalid");
    assert!(answer.header("ratelimit").is_some_and(|said| said.contains("r=2")), "{answer:?}");
    assert!(answer.header("www-authenticate").is_some());
    rejected(&asks(&gateway, "/ip", &[]).await, 401, "unauthenticated");
    rejected(&asks(&gateway, "/ip", bad).await, 401, "token_invalid");
    for guess in [bad, good, &[], good] {
        rejected(&asks(&gateway, "/ip", guess).await, 429, "rate_limited");
    }
    // Where everybody is counted as himself, who is nobody is counted by address, and nobody else
    // pays for it.
    for (guess, status) in [(bad, 401), (bad, 401), (bad, 429), (good, 200), (good, 200)] {
        assert_eq!(asks(&gateway, "/who", guess).await.status, status);
    }
    rejected(&asks(&gateway, "/who", good).await, 429, "rate_limited");
    assert_eq!(upstream.seen().len(), 3);
}

#[tokio::test]
async fn the_preset_counts_a_hundred_for_an_address() {
    let upstream = Upstream::http1().start().await;
    let routes = "[[routes]]\nmatch = { prefix = \"/a\" }\nTO\n\
                  policy = { public = true, rate_limit = true }\n";
    let gateway = guarded(&upstream, routes).await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..100 {
        client.get("/a").await.assert_ok("ok");
    }
    rejected(&client.get("/a").await, 429, "rate_limited");
}

#[tokio::test]
async fn documents_that_leave_somebody_out_are_rejected() {
    let identity = "[identity.jwt.main]\nissuer = \"i\"\naudience = \"any\"\n\
                    keys = { file = \"jwks.json\" }\n";
    let route = "[[routes]]\nmatch = { prefix = \"/\" }\ntarget = { respond = { status = 200 } }\n";
    for (policy, expected) in [
        ("policy.jwt = \"mian\"", "did you mean \"main\"?"),
        ("policy.rate_limit = { store = \"redis\" }", "there is no [stores.redis]"),
        (
            "policy = { public = true, authorize = \"true == true\" }",
            "nobody is known on this route",
        ),
        ("policy = { jwt = \"main\", authorize = \"principle.x\" }", "principle"),
        ("policy.rate_limit = { limit = 0 }", "a number from 1"),
        (
            "policy.api_key = \"k\"\n[identity.api_key.k]\nfile = \"/nowhere/keys.toml\"",
            "identity.api_key.k: /nowhere/keys.toml: ",
        ),
    ] {
        let text = format!("{LISTENER}{identity}{route}{policy}\n");
        let (status, said) = Gateway::document(text).rejected().await;
        assert!(!status.success());
        assert!(said.contains(expected), "{policy}: {said}");
    }
}
