//! Requests about which somebody else decides, through the whole program.

use std::time::Duration;

use gateway_tests::{
    Answer, Client, Gateway, GatewayBuilder, Payload, Reply, Seen, Step, Upstream,
};
use http::Request;
use tokio::time::Instant;

use crate::routing::LISTENER;

/// What each route is guarded by, `AUTH` stands for the cluster.
fn document(service: &Upstream, upstream: &Upstream, external: &str, more: &str) -> GatewayBuilder {
    let text = format!(
        "{LISTENER}\n[clusters.upstream]\nendpoints = [{:?}]\n\
         [clusters.auth]\nendpoints = [{:?}]\noutlier_detection = \"off\"\n\
         [[routes]]\nid = \"guarded\"\nmatch = {{ prefix = \"/guarded\" }}\n\
         target = {{ cluster = \"upstream\" }}\n{more}\n\
         policy.external_auth = {{ cluster = \"auth\", path = \"/check?v=1\", {external} }}\n\
         [[routes]]\nid = \"rest\"\nmatch = {{ prefix = \"/\" }}\n\
         target = {{ cluster = \"upstream\" }}\n",
        upstream.url(),
        service.url(),
    );
    Gateway::document(text).knows(service).knows(upstream)
}

async fn service(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Upstream {
    Upstream::http1().script(answer).start().await
}

fn request(target: &str, fields: &[(&str, &str)]) -> Request<Payload> {
    let mut request = Request::builder().method("PUT").uri(target).header("host", "a.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Payload::pattern(10_000)).expect("a request")
}

async fn asks(gateway: &Gateway, fields: &[(&str, &str)]) -> Reply {
    Client::http1(gateway.addr()).send(request("/guarded/a/../b?q=%7e", fields)).await
}

fn unavailable(reply: &Reply) {
    reply.assert_by_gateway(&[503]);
    assert_eq!(reply.reason().as_deref(), Some("identity_unavailable"), "{reply:?}");
}

#[tokio::test]
async fn what_the_service_says_of_the_caller_is_all_that_the_upstream_is_told() {
    let service = service(|_| {
        Answer::ok("fine")
            .header("x-user-roles", "a")
            .header("x-user-roles", "b")
            .header("set-cookie", "session=2")
            .header("x-internal", "1")
    })
    .await;
    let upstream = Upstream::http1().start().await;
    let external = "headers = [\"authorization\", \"cookie\"], \
                    upstream_headers = [\"x-user-id\", \"x-user-roles\"], \
                    response_headers = [\"set-cookie\"]";
    let gateway = document(&service, &upstream, external, "").start().await;
    let forged = [
        ("authorization", "Bearer t"),
        ("cookie", "session=1"),
        ("x-user-id", "root"),
        ("x_user_id", "root"),
        ("x-user-roles", "root"),
        ("connection", "x-user-roles"),
        ("x-original-uri", "/rest"),
        ("x-original-method", "GET"),
        ("x-secret", "1"),
    ];
    let (http1, http2) = (Client::http1(gateway.addr()), Client::http2(gateway.addr()));
    // A connection's fields have no place in HTTP/2.
    for (mut client, fields) in [(http1, &forged[..]), (http2, &forged[..5])] {
        let reply = client.send(request("/guarded/a/../b?q=%7e", fields)).await;
        reply.assert_ok("ok");
        assert_eq!(reply.header_all("set-cookie"), ["session=2"]);
        assert_eq!(reply.header("x-internal"), None);
        let seen = upstream.seen().pop().expect("a request");
        assert_eq!(seen.header_all("x-user-roles"), ["a", "b"]);
        assert_eq!((seen.header("x-user-id"), seen.header("x_user_id")), (None, None));
        assert_eq!((seen.body_length, seen.exact), (10_000, true));
        assert_eq!(seen.header("x-internal"), None);
        let asked = service.seen().pop().expect("a question");
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/check?v=1"));
        assert_eq!(asked.header("authorization"), Some("Bearer t"));
        assert_eq!(asked.header("cookie"), Some("session=1"));
        assert_eq!(asked.header_all("x-original-method"), ["PUT"]);
        // As the gateway has understood it: what decides is what is routed.
        assert_eq!(asked.header_all("x-original-uri"), ["/guarded/b?q=%7e"]);
        assert_eq!(asked.header_all("x-original-host"), ["a.test"]);
        assert_eq!(asked.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!((asked.body_length, asked.header("content-length")), (0, None));
        for name in ["x-secret", "x-user-roles", "x-user-id", "upgrade", "te"] {
            assert_eq!(asked.header(name), None, "{name}");
        }
    }
    // Elsewhere nobody says it either.
    let reply = Client::http1(gateway.addr()).send(request("/rest", &forged)).await;
    reply.assert_ok("ok");
    let seen = upstream.seen().pop().expect("a request");
    assert_eq!((seen.header("x-user-id"), seen.header("x-user-roles")), (None, None));
    assert_eq!(seen.header("cookie"), Some("session=1"));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_rejection_of_the_service_is_the_answer() {
    let service = service(|seen| match seen.header("authorization") {
        Some("login") => Answer::status(302, "")
            .header("location", "https://login.test/?next=1")
            .header("set-cookie", "s=1"),
        Some("forbidden") => Answer::status(403, "{\"why\":\"plan\"}")
            .header("content-type", "application/json")
            .header("x-internal", "1"),
        _ => Answer::status(401, "who are you?")
            .header("www-authenticate", "Bearer realm=\"a\"")
            .header("www-authenticate", "Basic realm=\"b\""),
    })
    .await;
    let upstream = Upstream::http1().start().await;
    let gateway = document(&service, &upstream, "", "").start().await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        let mut ask =
            async |token| client.send(request("/guarded", &[("authorization", token)])).await;
        let reply = ask("login").await;
        assert_eq!(
            (reply.status, reply.header("location")),
            (302, Some("https://login.test/?next=1"))
        );
        assert_eq!(reply.header("set-cookie"), None);
        let reply = ask("forbidden").await;
        assert_eq!((reply.status, reply.text().as_str()), (403, "{\"why\":\"plan\"}"));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("x-internal"), None);
        let reply = ask("other").await;
        assert_eq!((reply.status, reply.text().as_str()), (401, "who are you?"));
        assert_eq!(reply.header_all("www-authenticate").len(), 2);
    }
    assert!(upstream.seen().is_empty());
    let call = Request::builder().method("POST").uri("/guarded/Get");
    let call = call.header("content-type", "application/grpc").header("authorization", "forbidden");
    let reply = Client::http2(gateway.addr()).send(call.body("".into()).expect("a call")).await;
    assert_eq!((reply.status, reply.header("grpc-status")), (200, Some("7")), "{reply:?}");
    assert!(upstream.seen().is_empty());
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_service_that_fails_in_any_way_lets_nobody_in() {
    let mut answers = vec![
        Answer::hang(),
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").then(Step::Hang),
        Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab").then(Step::Close),
        Answer::unread().then(Step::Close),
        Answer::unread().then(Step::Reset),
        Answer::raw("220 smtp ready\r\n"),
        Answer::raw(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        ),
    ];
    for status in [300, 301, 304, 308, 400, 404, 407, 429, 500, 502, 503, 504] {
        answers.push(Answer::status(status, ""));
    }
    let count = answers.len();
    let mut left = answers.into_iter();
    let left = std::sync::Mutex::new(move || left.next());
    let service = service(move |_| {
        let next = (left.lock().expect("a lock"))();
        next.unwrap_or_else(|| Answer::status(500, ""))
    })
    .await;
    let upstream = Upstream::http1().start().await;
    // Each is asked once: nobody is asked again about a request that may have been decided.
    let external = "timeout = \"500ms\", method = \"POST\"";
    let gateway = document(&service, &upstream, external, "").start().await;
    for number in 0..count {
        let began = Instant::now();
        let reply = asks(&gateway, &[("authorization", "Bearer t")]).await;
        unavailable(&reply);
        assert!(began.elapsed() < Duration::from_secs(2), "{number}: {:?}", began.elapsed());
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(service.seen().len(), count);
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_lets_nobody_in() {
    let service = Upstream::rejecting();
    let upstream = Upstream::http1().start().await;
    let gateway = document(&service, &upstream, "", "").start().await;
    for _ in 0..5 {
        unavailable(&asks(&gateway, &[("authorization", "Bearer t")]).await);
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_rejection_with_megabytes_comes_without_them() {
    let body = "x".repeat(3 << 20);
    let service = service(move |_| Answer::status(403, body.clone())).await;
    let upstream = Upstream::http1().start().await;
    let gateway = document(&service, &upstream, "", "").start().await;
    let reply = asks(&gateway, &[]).await;
    assert_eq!((reply.status, reply.text().len()), (403, 0));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn whom_the_service_names_is_counted_and_has_roles() {
    let service = service(|seen| match seen.header("authorization") {
        Some("ada") => {
            Answer::ok("").header("x-user-id", "ada").header("x-user-roles", "admin, dev")
        }
        Some("bo") => Answer::ok("").header("x-user-id", "bo").header("x-user-roles", "dev"),
        Some("two") => Answer::ok("").header("x-user-id", "ada").header("x-user-id", "bo"),
        _ => Answer::status(401, ""),
    })
    .await;
    let upstream = Upstream::http1().start().await;
    let external = "principal = { subject = \"x-user-id\", roles = \"x-user-roles\" }";
    let more = "policy.authorize = { roles_any = [\"admin\"] }\n\
                policy.rate_limit = { limit = 2, per = \"1h\", key = [\"principal\"] }";
    let gateway = document(&service, &upstream, external, more).start().await;
    let ask = async |token| asks(&gateway, &[("authorization", token)]).await;
    ask("ada").await.assert_ok("ok");
    ask("ada").await.assert_ok("ok");
    assert_eq!(ask("ada").await.reason().as_deref(), Some("rate_limited"));
    assert_eq!(ask("bo").await.reason().as_deref(), Some("forbidden"));
    unavailable(&ask("two").await);
    assert_eq!(ask("eve").await.status, 401);
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn what_was_allowed_is_kept_for_the_same_question_alone() {
    let service = service(|seen| match seen.header("authorization") {
        Some("ada") => Answer::ok("").header("x-user-id", "ada"),
        Some("bo") => Answer::ok("").header("x-user-id", "bo"),
        _ => Answer::status(403, ""),
    })
    .await;
    let upstream = Upstream::http1().start().await;
    let external = "upstream_headers = [\"x-user-id\"], cache = { ttl = \"1h\" }";
    let gateway = document(&service, &upstream, external, "").start().await;
    let ask = async |target: &str, token: &str| {
        let request = request(target, &[("authorization", token)]);
        Client::http1(gateway.addr()).send(request).await
    };
    for _ in 0..3 {
        for token in ["ada", "bo"] {
            ask("/guarded/1", token).await.assert_ok("ok");
            assert_eq!(upstream.seen().pop().expect("a request").header("x-user-id"), Some(token));
        }
        assert_eq!(ask("/guarded/1", "eve").await.status, 403);
    }
    assert_eq!(service.seen().len(), 2 + 3);
    ask("/guarded/2", "ada").await.assert_ok("ok");
    assert_eq!(service.seen().len(), 6);
}

#[tokio::test]
async fn documents_that_would_ask_nobody_are_rejected() {
    for (external, expected) in [
        ("cluster = \"auht\", path = \"/\"", "expected the name of a cluster"),
        ("cluster = \"auth\"", "missing, expected a path"),
        ("path = \"/\"", "leads nowhere"),
        ("cluster = \"auth\", path = \"check\"", "does not begin with `/`"),
        ("cluster = \"auth\", path = \"/{user}\"", "neither {subject} nor {tenant}"),
        ("cluster = \"auth\", path = \"/\", method = \"DELETE\"", "\"GET\" or \"POST\""),
        (
            "cluster = \"auth\", path = \"/\", headers = [\"content-length\"]",
            "cannot be in `headers`",
        ),
        ("cluster = \"auth\", path = \"/\", upstream_headers = [\"host\"]", "cannot be in"),
        ("cluster = \"auth\", path = \"/\", principal = { roles = \"x\" }", "expected `subject`"),
        ("cluster = \"auth\", path = \"/\", fail_open = true", "unknown key"),
    ] {
        let text = format!(
            "{LISTENER}\n[clusters.auth]\nendpoints = [\"http://127.0.0.1:9\"]\n\
             [[routes]]\nmatch = {{ prefix = \"/\" }}\ntarget = {{ respond = {{ status = 200 }} }}\n\
             policy.external_auth = {{ {external} }}\n"
        );
        let (status, said) = Gateway::document(text).rejected().await;
        assert!(!status.success());
        assert!(said.contains(expected), "{external}: {said}");
    }
}
