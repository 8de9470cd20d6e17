//! The order of policies: edits and rewrites come last, limits before what is expensive.

use gateway_tests::{Answer, Client, Gateway, Payload, Reply, Seen, Upstream};
use http::Request;

use crate::routing::LISTENER;

/// `crypt("open sesame")` by libxcrypt, cost 5.
const SESAME: &str = "$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW";

/// `alice:open sesame`.
const ALICE: &str = "Basic YWxpY2U6b3BlbiBzZXNhbWU=";

async fn gateway(upstream: &Upstream, routes: &str) -> Gateway {
    let text = format!(
        "{LISTENER}[clusters.upstream]\nendpoints = [{:?}]\n\
         [identity.basic.staff]\ncredentials = \"keep\"\nusers.alice.hash = {SESAME:?}\n{}\n\
         [[routes]]\nmatch = {{ prefix = \"/fresh-check\" }}\npolicy.public = true\n\
         target = {{ cluster = \"upstream\" }}\n",
        upstream.url(),
        routes.replace("TO", "target = { cluster = \"upstream\" }")
    );
    Gateway::document(text).knows(upstream).start().await
}

async fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Client::http1(gateway.addr()).send(request.body(Payload::empty()).expect("a request")).await
}

#[tokio::test]
async fn header_edits_come_behind_authentication() {
    let upstream = Upstream::http1().start().await;
    let gateway = gateway(
        &upstream,
        &format!(
            "[[routes]]\nmatch = {{ path = \"/set\" }}\nTO\npolicy.basic = \"staff\"\n\
         policy.request_headers = {{ set = {{ authorization = \"{ALICE}\" }} }}\n\
         [[routes]]\nmatch = {{ path = \"/remove\" }}\nTO\npolicy.basic = \"staff\"\n\
         policy.request_headers = {{ remove = [\"authorization\"], add = {{ x-a = \"1\" }} }}\n"
        ),
    )
    .await;
    let host = ("host", "a.test");
    assert_eq!(get(&gateway, "/set", &[host]).await.status, 401);
    get(&gateway, "/set", &[host, ("authorization", ALICE)]).await.assert_ok("ok");
    get(&gateway, "/remove", &[host, ("authorization", ALICE)]).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!((seen.header("authorization"), seen.header("x-a")), (None, Some("1")));
    assert_eq!(get(&gateway, "/remove", &[host]).await.status, 401);
    assert_eq!(upstream.seen().iter().filter(|seen| seen.target != "/fresh-check").count(), 2);
}

#[tokio::test]
async fn policies_see_host_and_path_as_the_client_sent_them() {
    let upstream = Upstream::http1().start().await;
    let gateway = gateway(
        &upstream,
        "[[routes]]\nmatch = { prefix = \"/shop\" }\nTO\npolicy.basic = \"staff\"\n\
         rewrite = { host = \"inner.test\", prefix = \"/v2\" }\n\
         policy.authorize = \"request.host != 'admin.test' && request.path.startsWith('/shop')\"\n",
    )
    .await;
    let sign = ("authorization", ALICE);
    assert_eq!(get(&gateway, "/shop/x", &[("host", "admin.test"), sign]).await.status, 403);
    get(&gateway, "/shop/x?q=1", &[("host", "shop.test"), sign]).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!((seen.authority.as_str(), seen.target.as_str()), ("inner.test", "/v2/x?q=1"));
}

#[tokio::test]
async fn a_limit_by_address_is_checked_before_a_token_is_queried() {
    let issuer = Upstream::http1().script_after_body(|_: &Seen| {
        Answer::ok("{\"active\":false}").header("content-type", "application/json")
    });
    let issuer = issuer.start().await;
    let upstream = Upstream::http1().start().await;
    let text = format!(
        "{LISTENER}[clusters.upstream]\nendpoints = [{:?}]\n\
         [identity.introspection.house]\nurl = \"{}/introspect\"\nclient_id = \"gateway\"\n\
         client_secret = \"s\"\nissuer = \"house\"\naudience = [\"orders\"]\n\
         [[routes]]\nmatch = {{ prefix = \"/orders\" }}\npolicy.introspection = \"house\"\n\
         policy.rate_limit = {{ limit = 3, per = \"1h\", key = [\"ip\"] }}\n\
         target = {{ cluster = \"upstream\" }}\n\
         [[routes]]\nmatch = {{ prefix = \"/fresh-check\" }}\npolicy.public = true\n\
         target = {{ cluster = \"upstream\" }}\n",
        upstream.url(),
        issuer.url(),
    );
    let gateway = Gateway::document(text).knows(&issuer).knows(&upstream).start().await;
    let before = issuer.seen().len();
    let mut statuses = Vec::new();
    for number in 0..8 {
        let token = format!("Bearer made-up-{number}");
        let headers = [("host", "a.test"), ("authorization", token.as_str())];
        let reply = get(&gateway, "/orders", &headers).await;
        if reply.status == 429 {
            assert!(reply.header("retry-after").is_some() && reply.header("ratelimit").is_some());
        }
        statuses.push(reply.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429, 429, 429]);
    assert_eq!(issuer.seen().len() - before, 3);
}

#[tokio::test]
async fn redirects_keep_what_a_trusted_proxy_reports() {
    let gateway = Gateway::document(format!(
        "{LISTENER}forwarded = {{ trusted = [\"127.0.0.0/8\"] }}\n\
         [[routes]]\nmatch = {{ prefix = \"/\" }}\n\
         target = {{ redirect = {{ path = \"/new\" }} }}\n"
    ))
    .start()
    .await;
    for (headers, expected) in [
        (&[("host", "shop.test")][..], "http://shop.test/new"),
        (&[("host", "shop.test:8443")], "http://shop.test:8443/new"),
        (&[("host", "shop.test"), ("x-forwarded-proto", "https")], "https://shop.test/new"),
        (
            &[
                ("host", "10.0.0.1:8080"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "shop.test:444"),
            ],
            "https://shop.test:444/new",
        ),
        (&[("host", "shop.test"), ("x-forwarded-host", "evil.test/x@")], "http://shop.test/new"),
    ] {
        let reply = get(&gateway, "/old", headers).await;
        assert_eq!(reply.header("location"), Some(expected), "{headers:?}");
    }
}
