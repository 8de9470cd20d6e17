//! Tokens by which services know each other.

use std::time::Duration;

use gateway_tests::{Client, Gateway, Payload, Reply, Upstream};
use http::Request;
use tokio::time::Instant;

use crate::routing::LISTENER;

const OLD: &str = "planted-token-of-the-past";
const NEW: &str = "planted-token-of-today";
const OWN: &str = "planted-token-of-the-gateway";

async fn asks(gateway: &Gateway, tokens: &[&str]) -> Reply {
    let mut request = Request::builder().uri("/orders").header("host", "a.test");
    for token in tokens {
        request = request.header("x-service-token", *token);
    }
    let request = request.body(Payload::empty()).expect("a request");
    Client::http1(gateway.addr()).send(request).await
}

async fn gateway(upstream: &Upstream, cluster: &str, more: &str) -> Gateway {
    let cluster = format!("[clusters.upstream]\nendpoints = [{:?}]\n{cluster}\n", upstream.url());
    let identity = format!(
        "[identity.service_token.internal]\nforward = {{ x-service = \"subject\" }}\n{more}\n\
         tokens = [\n{{ service = \"billing\", token = {OLD:?}, roles = [\"internal\"] }},\n\
         {{ service = \"billing\", token = {{ env = \"BILLING\" }}, roles = [\"internal\"] }},\n]\n"
    );
    let routes = "[[routes]]\nmatch = { prefix = \"/orders\" }\n\
                  policy.service_token = { provider = \"internal\", roles = [\"internal\"] }\n\
                  target = { cluster = \"upstream\" }\n\
                  [[routes]]\nmatch = { prefix = \"/fresh-check\" }\npolicy.public = true\n\
                  target = { cluster = \"upstream\" }\n";
    let text = format!("{LISTENER}{cluster}{identity}{routes}");
    Gateway::document(text).knows(upstream).environment("BILLING", NEW).start().await
}

#[tokio::test]
async fn a_service_is_known_by_any_of_its_tokens_and_one_is_taken_out_with_a_reload() {
    let upstream = Upstream::http1().start().await;
    let gateway = gateway(&upstream, "", "").await;
    for token in [OLD, NEW] {
        asks(&gateway, &[token]).await.assert_ok("ok");
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.header("x-service"), Some("billing"));
        assert_eq!(seen.header("x-service-token"), None);
    }
    for (tokens, reason) in [
        (vec![], "unauthenticated"),
        (vec!["planted-token-of-nobody"], "credentials_invalid"),
        (vec![OLD, NEW], "credentials_invalid"),
    ] {
        let answer = asks(&gateway, &tokens).await;
        answer.assert_by_gateway(&[401]);
        assert_eq!(answer.reason().as_deref(), Some(reason));
        assert!(!answer.text().contains("planted"), "{}", answer.text());
    }
    let line = format!("{{ service = \"billing\", token = {OLD:?}, roles = [\"internal\"] }},\n");
    gateway.edit_document(&line, "");
    gateway.signal("HUP");
    let began = Instant::now();
    while asks(&gateway, &[OLD]).await.status != 401 {
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    asks(&gateway, &[NEW]).await.assert_ok("ok");
    assert!(!gateway.log().contains("planted"), "{}", gateway.log());
}

#[tokio::test]
async fn upstreams_are_shown_our_own_token_in_the_place_of_the_clients() {
    let upstream = Upstream::http1().start().await;
    let own = format!("service_token = {OWN:?}");
    let gateway = gateway(&upstream, &own, "credentials = \"keep\"").await;
    asks(&gateway, &[NEW]).await.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!(seen.header_all("x-service-token"), [OWN]);
    gateway.edit_document(
        &own,
        &format!("service_token = {{ header = \"x-from\", token = {OWN:?} }}"),
    );
    gateway.signal("HUP");
    let began = Instant::now();
    loop {
        asks(&gateway, &[NEW]).await.assert_ok("ok");
        let seen = upstream.seen().pop().expect("a request");
        if seen.header("x-from").is_some() {
            assert_eq!(seen.header_all("x-from"), [OWN]);
            // The client's own, as it was asked for.
            assert_eq!(seen.header_all("x-service-token"), [NEW]);
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!gateway.log().contains("planted"), "{}", gateway.log());
}
