//! Rejections in words of their own: external authorization and the registry.

use gateway_tests::{Answer, Client, Payload};
use http::Request;

use super::*;
use crate::routing::LISTENER;

fn document(upstream: &Upstream, judge: &Upstream, receiver: &Upstream) -> String {
    let external = |id: &str| {
        format!(
            "[[routes]]\nid = {id:?}\nmatch = {{ prefix = \"/{id}\" }}\n\
             target = {{ cluster = \"upstream\" }}\n\
             policy.external_auth = {{ cluster = \"judge\", path = \"/{id}\" }}\n"
        )
    };
    format!(
        "{LISTENER}[clusters.upstream]\nendpoints = [{:?}]\n\
         [clusters.judge]\nendpoints = [{:?}]\n{}{}{}\
         [registry]\nallow = [\"127.0.0.1\"]\n\
         tokens = [{{ token = \"the-token-of-orders\", services = [\"orders-*\"] }}]\n\
         [[routes]]\nid = \"registry\"\nmatch = {{ prefix = \"/registry\" }}\n\
         target = {{ registry = {{}} }}\n\
         [[routes]]\nid = \"open\"\nmatch = {{ prefix = \"/fresh-check\" }}\n\
         target = {{ cluster = \"upstream\" }}\n\
         [admin]\naddress = \"127.0.0.1:0\"\n[audit]\n\
         http = {{ url = \"{}/events\", interval = \"10ms\", timeout = \"1s\" }}\n",
        upstream.url(),
        judge.url(),
        external("forbidden"),
        external("unknown"),
        external("login"),
        receiver.url(),
    )
}

#[tokio::test]
async fn rejections_by_others_are_audited() {
    let upstream = Upstream::http1().start().await;
    let judge = Upstream::http1().script(|seen| match seen.target.as_str() {
        "/forbidden" => Answer::status(403, "not you"),
        "/unknown" => Answer::status(401, "who"),
        _ => Answer::status(302, "").header("location", "https://login.example/"),
    });
    let judge = judge.start().await;
    let receiver = Upstream::http1().answer(Answer::status(204, "")).start().await;
    let text = document(&upstream, &judge, &receiver);
    let gateway = Gateway::document(text).knows(&upstream).knows(&judge).start().await;
    let mut client = Client::http1(gateway.addr());
    for (path, status) in [("/forbidden", 403), ("/unknown", 401), ("/login", 302)] {
        assert_eq!(client.get(path).await.status, status, "{path}");
    }
    assert_eq!(client.get("/forbidden").await.text(), "not you");
    for (token, service, status) in
        [("the-token-of-nobody", "orders-eu", 401), ("the-token-of-orders", "users", 403)]
    {
        let body = format!("{{\"service\":{service:?},\"address\":\"http://127.0.0.1:1\"}}");
        let request = Request::post("/registry/services")
            .header("content-type", "application/json")
            .header("x-service-token", token)
            .body(Payload::from(body));
        let reply = client.send(request.expect("a request")).await;
        assert_eq!(reply.status, status, "{reply:?}");
    }
    let events = receives(&receiver, 6).await;
    let expected = [
        ("authentication", "credentials_invalid"),
        ("authentication", "unauthenticated"),
        ("authentication", "unauthenticated"),
        ("authorization", "forbidden"),
        ("authorization", "forbidden"),
        ("authorization", "forbidden"),
    ];
    assert_eq!(told(&events), expected, "{events:#?}");
    let of_registry = |event: &&Value| event["path"] == "/registry/services";
    let details: Vec<_> =
        events.iter().filter(of_registry).filter_map(|event| event["detail"].as_str()).collect();
    assert!(details.iter().any(|detail| detail.contains("`users`")), "{details:?}");
    drop(client);
    assert!(gateway.log().contains("path=/forbidden status=403 reason=forbidden "));
    gateway.assert_quiet().await;
}
