//! What a policy may look at, through real sockets.

use gateway_tests::{Client, Gateway, Payload, Reply, Upstream};
use http::Request;

use crate::routing::LISTENER;

/// Of eve: the scope `orders:read`, the tenant `acme`, the group `dev`.
const EVE: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJpc3MiOiAiaG91c2UiLCAiYXVkIjo\
                    gIm9yZGVycyIsICJzdWIiOiAiZXZlIiwgImV4cCI6IDQxMDI0NDQ4MDAsICJzY29wZSI6ICJ\
                    vcmRlcnM6cmVhZCIsICJ0aWQiOiAiYWNtZSIsICJncm91cHMiOiBbImRldiJdfQ.NzPt84wz\
                    wMtsvxpCeZ0o1KcZA4rnTIvznNVIr-shSlo";

async fn gateway(upstream: &Upstream, policy: &str) -> Gateway {
    let text = format!(
        "{LISTENER}[clusters.upstream]\nendpoints = [{:?}]\n\
         [identity.jwt.house]\nissuer = \"house\"\naudience = \"orders\"\n\
         algorithms = \"HS256\"\nkeys = {{ secret = \"a secret of the tests, 32 bytes or more\" }}\n\
         claims = {{ tenant = \"tid\" }}\n\
         [[routes]]\nid = \"users\"\nmatch = {{ path = \"/users/{{user}}\" }}\n\
         target = {{ cluster = \"upstream\" }}\nmetadata = {{ team = \"dev\" }}\n{policy}\n\
         [[routes]]\nid = \"rest\"\nmatch = {{ prefix = \"/fresh-check\" }}\n\
         target = {{ cluster = \"upstream\" }}\npolicy.public = true\n",
        upstream.url()
    );
    Gateway::document(text).knows(upstream).start().await
}

async fn ask(client: &mut Client, target: &str, fields: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().uri(target);
    request = request.header("authorization", format!("Bearer {EVE}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    client.send(request.body(Payload::empty()).expect("a request")).await
}

fn clients(gateway: &Gateway) -> [Client; 2] {
    [Client::http1(gateway.addr()), Client::http2(gateway.addr())]
}

#[tokio::test]
async fn an_expression_sees_the_request_as_everybody_behind_does() {
    let upstream = Upstream::http1().start().await;
    let expression = "request.params.user == principal.subject && \
                      request.headers['x-tenant'].all(t, t == principal.tenant) && \
                      route.metadata.team in principal.claims.groups && \
                      (!('as' in request.query) || request.query['as'] == ['eve'])";
    let gateway = gateway(
        &upstream,
        &format!("policy = {{ jwt = \"house\", authorize = \"{expression}\" }}"),
    )
    .await;
    let tenant = ("x-tenant", "acme");
    for mut client in clients(&gateway) {
        for target in ["/users/eve", "/users/%65ve", "/users/x/../eve", "/users/eve?as=%65ve"] {
            ask(&mut client, target, &[tenant]).await.assert_ok("ok");
        }
        let other = ("x-tenant", "other");
        for (target, fields) in [
            ("/users/ada", vec![tenant]),
            ("/users/eve%2F", vec![tenant]),
            ("/users/eve", vec![other]),
            ("/users/eve", vec![tenant, other]),
            ("/users/eve", vec![]),
            ("/users/eve?as=eve&as=ada", vec![tenant]),
            ("/users/eve?%61s=ada", vec![tenant]),
        ] {
            let rejected = ask(&mut client, target, &fields).await;
            rejected.assert_by_gateway(&[403, 400]);
            if rejected.status == 403 {
                assert_eq!(rejected.reason().as_deref(), Some("forbidden"), "{target}");
                assert!(!rejected.text().contains("acme"), "{}", rejected.text());
            }
        }
    }
    assert_eq!(upstream.seen().len(), 8);
}

#[tokio::test]
async fn who_lacks_a_scope_is_told_which() {
    let upstream = Upstream::http1().start().await;
    let policy = "policy = { jwt = \"house\", authorize = { scopes_all = [\"orders:read\", \
                  \"orders:write\"] } }";
    let gateway = gateway(&upstream, policy).await;
    for mut client in clients(&gateway) {
        let rejected = ask(&mut client, "/users/eve", &[]).await;
        rejected.assert_by_gateway(&[403]);
        let expected = "Bearer realm=\"gateway\", error=\"insufficient_scope\", \
                        scope=\"orders:read orders:write\"";
        assert_eq!(rejected.header("www-authenticate"), Some(expected));
    }
    assert!(upstream.seen().is_empty());
}

/// Where tokens are one of two kinds, what is asked of tokens is asked of who comes with one.
#[tokio::test]
async fn what_is_asked_of_one_kind_is_asked_beside_another() {
    let upstream = Upstream::http1().start().await;
    let jwt = |role: &str| format!("{{ provider = \"house\", scopes = [\"{role}\"] }}");
    for (scope, expected) in [("orders:read", 200), ("orders:write", 403)] {
        let policy = format!(
            "policy = {{ identity = \"any\", jwt = {}, signature = \"partners\" }}\n\
             [identity.signature.partners]\nkeys = [{{ id = \"p\", algorithm = \"hmac-sha256\", \
             key = \"a secret of partners, 32 bytes long\" }}]\n",
            jwt(scope)
        );
        let gateway = gateway(&upstream, &policy).await;
        let [mut client, _] = clients(&gateway);
        assert_eq!(ask(&mut client, "/users/eve", &[]).await.status, expected, "{scope}");
    }
}
