//! Bodies that are large, slow or without an end, of somebody who is not let in anyway.

use std::time::Duration;

use gateway_tests::tokens::{ISSUER, sha256};
use gateway_tests::{Answer, Client, Failures, Gateway, Payload, Raw, Seen, Upstream, within};
use http::Request;

use super::{MIB, OPEN, grown};
use crate::routing::LISTENER;

const KINDS: [(&str, &str, u16); 9] = [
    ("jwt", "jwt = \"main\"", 401),
    ("key", "api_key = \"here\"", 401),
    ("basic", "basic = \"staff\"", 401),
    ("service", "service_token = \"inner\"", 401),
    ("signature", "signature = \"partners\"", 401),
    ("introspection", "introspection = \"house\"", 401),
    ("delegated", "delegated = \"users\"", 401),
    (
        "external",
        "public = true, external_auth = { cluster = \"upstream\", path = \"/check\" }",
        403,
    ),
    ("any", "identity = \"any\", jwt = \"main\", api_key = \"here\", basic = \"staff\"", 401),
];

/// A gateway that knows callers in every way, and a service that knows nobody.
async fn gateway(upstream: &Upstream) -> Gateway {
    let url = upstream.url();
    let mut text = format!(
        "{LISTENER}[clusters.upstream]\nendpoints = [{url:?}]\n{OPEN}\
         [identity.jwt.main]\nissuer = {ISSUER:?}\naudience = \"orders\"\nalgorithms = \"HS256\"\n\
         keys = {{ secret = \"a secret of the tests, 32 bytes or more\" }}\n\
         [identity.api_key.here.keys.one]\nsha256 = {:?}\nowner = \"acme\"\n\
         [identity.basic.staff]\nusers.ada.hash = {:?}\n\
         [identity.service_token.inner]\n\
         tokens = [{{ service = \"billing\", token = \"a-token-of-sixteen-letters\" }}]\n\
         [identity.signature.partners]\nkeys = [{{ id = \"k1\", algorithm = \"hmac-sha256\", \
         key = \"a secret of partners, 32 bytes long\" }}]\n\
         [identity.introspection.house]\nurl = \"{url}/introspect\"\nclient_id = \"gateway\"\n\
         client_secret = \"a secret\"\n[identity.delegated.users]\nurl = \"{url}/verify\"\n",
        sha256("a-key-of-the-tests-that-is-long"),
        super::floods::CHEAP,
    );
    for (name, policy, _) in KINDS {
        text.push_str(&format!(
            "[[routes]]\nid = {name:?}\nmatch = {{ prefix = \"/{name}\" }}\n\
             target = {{ cluster = \"upstream\" }}\npolicy = {{ body_limit = \"1GiB\", {policy} }}\n"
        ));
    }
    Gateway::document(text).knows(upstream).start().await
}

async fn nobody() -> Upstream {
    let script = |seen: &Seen| match seen.target.as_str() {
        "/introspect" => {
            Answer::ok("{\"active\":false}").header("content-type", "application/json")
        }
        "/verify" => Answer::status(401, ""),
        "/check" => Answer::status(403, ""),
        _ => Answer::ok("ok"),
    };
    Upstream::http1().script(script).start().await
}

/// Fields of somebody who has something, and not the right one.
const WRONG: &str = "Authorization: Bearer not-a-token\r\nX-Api-Key: not-a-key-of-anybody\r\n\
                     X-Service-Token: not-a-token-of-anybody\r\n";

#[tokio::test]
async fn who_is_not_let_in_need_not_send_his_body_to_hear_it() {
    let upstream = nobody().await;
    let gateway = gateway(&upstream).await;
    let mut failures = Failures::new();
    for (name, _, status) in KINDS {
        for fields in ["", WRONG] {
            for framing in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
                let mut raw = Raw::connect(gateway.addr()).await;
                raw.send(format!(
                    "POST /{name} HTTP/1.1\r\nHost: gateway.test\r\n{fields}{framing}\r\n\r\n"
                ))
                .await;
                let answer = raw.answer_within(Duration::from_secs(3), "POST").await;
                let good = answer.as_ref().is_some_and(|answer| answer.status == status);
                failures.check(good, || format!("{name} {framing}: {answer:?}"));
                // What follows is no request of anybody.
                raw.send("GET /fresh-check HTTP/1.1\r\nHost: gateway.test\r\n\r\n").await;
                let more = raw.answer_within(Duration::from_millis(50), "GET").await;
                failures.check(more.is_none(), || format!("{name} {framing}: {more:?}"));
            }
        }
    }
    failures.assert_none();
    let asked = ["/introspect", "/verify", "/check"];
    let others = upstream.seen().iter().filter(|seen| !asked.contains(&&*seen.target)).count();
    assert_eq!(others, 0);
    gateway.assert_quiet_without_healing().await;
}

#[tokio::test]
async fn a_body_of_megabytes_is_not_read_for_somebody_who_is_not_let_in() {
    let upstream = nobody().await;
    let gateway = gateway(&upstream).await;
    let before = gateway.usage().peak_kib;
    let mut failures = Failures::new();
    for (name, _, status) in KINDS {
        for (mut client, may_break) in
            [(Client::http1(gateway.addr()), true), (Client::http2(gateway.addr()), false)]
        {
            let request = Request::post(format!("/{name}")).header("authorization", "Bearer x");
            let request = request.body(Payload::unsized_pattern(256 << 20)).expect("a request");
            let reply = within(Duration::from_secs(10), "an answer", client.send(request)).await;
            // Over HTTP/1 the connection may be gone before all of the answer was read.
            let good = reply.status == status || (reply.status == 0 && may_break);
            failures.check(good, || format!("{name}: {reply:?}"));
        }
    }
    failures.assert_none();
    assert!(grown(&gateway, before) < 24 * MIB, "{} KiB", grown(&gateway, before));
    assert!(upstream.bytes_received() < 1 << 20, "{}", upstream.bytes_received());
}
