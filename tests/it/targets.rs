//! What a route does with its request: rewrite, redirect, answer, edit, split (contract 4).

use gateway_tests::{Answer, Client, Failures, Gateway, Payload, Upstream, get};
use http::Request;

use crate::routing::{LISTENER, ask, document, says};

/// A gateway with one cluster and these routes; `TO` in them stands for the target.
async fn forwarding(upstream: &Upstream, routes: &[&str]) -> Gateway {
    let routes = routes.join("\n").replace("TO", "target = { cluster = \"upstream\" }");
    let cluster = format!("[clusters.upstream]\nendpoints = [{:?}]\n", upstream.url());
    let fresh = "[[routes]]\nid = \"rest\"\nmatch = { prefix = \"/fresh-check\" }\n\
                 target = { cluster = \"upstream\" }\n";
    let text = format!("{LISTENER}{cluster}{routes}\n{fresh}");
    Gateway::document(text).knows(upstream).start().await
}

#[tokio::test]
async fn prefixes_and_paths_are_rewritten() {
    let upstream = Upstream::http1().start().await;
    let gateway = forwarding(&upstream, &[
        "[[routes]]\nmatch = { prefix = \"/foo\" }\nTO\nrewrite = { prefix = \"/xyz\" }",
        "[[routes]]\nmatch = { prefix = \"/slash/\" }\nTO\nrewrite = { prefix = \"/xyz/\" }",
        "[[routes]]\nmatch = { prefix = \"/gone\" }\nTO\nrewrite = { prefix = \"/\" }",
        "[[routes]]\nmatch = { prefix = \"/empty\" }\nTO\nrewrite = { prefix = \"\" }",
        "[[routes]]\nmatch = { path = \"/t/{*rest}\" }\nTO\nrewrite = { path = \"/v2/{rest}\" }",
        "[[routes]]\nmatch = { path = \"/u/{a}/{b}\" }\nTO\nrewrite = { path = \"/{b}/x-{a}\" }",
        "[[routes]]\nmatch = { path = \"/host\" }\nTO\nrewrite = { host = \"inner.test\" }",
    ])
    .await;
    let lines = [
        ("/foo", "/xyz"),
        ("/foo/", "/xyz/"),
        ("/foo/bar", "/xyz/bar"),
        ("/foo/bar?x=%2f&y", "/xyz/bar?x=%2f&y"),
        ("/foo?x", "/xyz?x"),
        ("/slash", "/xyz"),
        ("/slash/", "/xyz/"),
        ("/slash/bar", "/xyz/bar"),
        ("/gone", "/"),
        ("/gone/", "/"),
        ("/gone/bar", "/bar"),
        ("/empty", "/"),
        ("/empty/bar", "/bar"),
        ("/t/a/b%20c?q", "/v2/a/b%20c?q"),
        ("/u/1/2", "/2/x-1"),
        ("/u/%C3%A4/2", "/2/x-%C3%A4"),
    ];
    let mut client = Client::http1(gateway.addr());
    let mut failures = Failures::new();
    for (target, expected) in lines {
        let before = upstream.seen().len();
        client.get(target).await;
        let seen = upstream.seen();
        let got = seen.get(before).map(|seen| seen.target.as_str());
        failures.check(got == Some(expected), || format!("{target}: {got:?}, not {expected}"));
    }
    failures.assert_none();
    client.get("/host").await.assert_ok("ok");
    assert_eq!(upstream.seen().pop().expect("a request").authority, "inner.test");
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn redirects_name_an_absolute_place() {
    let redirect = |path: &str, what: &str| {
        format!("[[routes]]\nmatch = {{ prefix = \"{path}\" }}\ntarget = {{ redirect = {what} }}\n")
    };
    let gateway = document(&[
        redirect("/plain", "{ path = \"/new\" }"),
        redirect("/scheme", "{ scheme = \"https\", status = 308 }"),
        redirect("/port", "{ scheme = \"https\", port = 8443, status = 301 }"),
        redirect("/default", "{ scheme = \"https\", port = 443, status = 307 }"),
        redirect("/host", "{ host = \"example.org\", scheme = \"http\", status = 303 }"),
        redirect("/prefix", "{ prefix = \"/moved\" }"),
        redirect("/elsewhere", "{ host = \"example.org\" }"),
    ])
    .start()
    .await;
    let here = "http://shop.test:1234";
    let lines = [
        ("/plain/x?q=1", 302, format!("{here}/new?q=1")),
        ("/scheme/x?q=1", 308, "https://shop.test/scheme/x?q=1".to_owned()),
        ("/port", 301, "https://shop.test:8443/port".to_owned()),
        ("/default", 307, "https://shop.test/default".to_owned()),
        ("/host/a%20b", 303, "http://example.org/host/a%20b".to_owned()),
        ("/prefix/x", 302, format!("{here}/moved/x")),
        ("/elsewhere/x", 302, "http://example.org/elsewhere/x".to_owned()),
    ];
    for (target, status, location) in lines {
        let reply = ask(&gateway, "GET", "shop.test:1234", target).await;
        assert_eq!(reply.status, status, "{target}");
        assert_eq!(reply.header("location"), Some(location.as_str()), "{target}");
    }
}

#[tokio::test]
async fn fixed_answers_are_given_as_written() {
    let gateway = document(&[
        says("hello", "{ path = \"/hello\" }"),
        "[[routes]]\nmatch = { path = \"/teapot\" }\n\
         target = { respond = { status = 418, body = \"short\", content_type = \"text/tea\" } }\n"
            .to_owned(),
    ])
    .start()
    .await;
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        let hello = client.get("/hello").await;
        assert_eq!((hello.status, hello.text().as_str()), (200, "hello"));
        assert_eq!(hello.header("content-type"), Some("text/plain"));
        let tea = client.post("/teapot", "body").await;
        assert_eq!((tea.status, tea.text().as_str()), (418, "short"));
        assert_eq!(tea.header("content-type"), Some("text/tea"));
        let head = client.method("HEAD", "/hello", Payload::empty()).await;
        assert_eq!((head.header("content-length"), head.body.len()), (Some("5"), 0));
    }
}

#[tokio::test]
async fn header_edits_set_then_add_then_remove() {
    let answer = Answer::ok("ok").header("x-a", "old").header("x-b", "old").header("x-c", "old");
    let upstream = Upstream::http1().answer(answer).start().await;
    let edits = "{ set = { x-a = \"set\", X-New = \"set\" }, add = { x-b = \"added\" }, \
                 remove = [\"X-C\"] }";
    let gateway = Gateway::to(&upstream)
        .route(&format!("policy.request_headers = {edits}"))
        .route(&format!("policy.response_headers = {edits}"))
        .start()
        .await;
    let request = Request::builder().uri("/").header("x-a", "old").header("x-b", "old");
    let request = request.header("x-c", "old").header("x-d", "old");
    let request = request.body(Payload::empty()).expect("a request");
    let reply = Client::http1(gateway.addr()).send(request).await;
    let seen = upstream.seen().pop().expect("a request");
    for headers in [&seen.headers, &reply.headers] {
        assert_eq!(gateway_tests::get_all(headers, "x-a"), ["set"]);
        assert_eq!(gateway_tests::get_all(headers, "x-new"), ["set"]);
        assert_eq!(gateway_tests::get_all(headers, "x-b"), ["old", "added"]);
        assert_eq!(get(headers, "x-c"), None);
    }
    assert_eq!(seen.header("x-d"), Some("old"));
    gateway.assert_quiet().await;
}

#[tokio::test]
async fn the_host_upstream_is_what_the_cluster_says() {
    let upstream = Upstream::http1().start().await;
    for (host, expected) in [
        ("preserve", "gateway.test".to_owned()),
        ("endpoint", upstream.addr().to_string()),
        ("fixed.test", "fixed.test".to_owned()),
    ] {
        let line = format!("host = {host:?}");
        let gateway = Gateway::to(&upstream).cluster(&line).start().await;
        Client::http1(gateway.addr()).get("/").await;
        Client::http2(gateway.addr()).get("/").await;
        for seen in upstream.seen().iter().rev().take(2) {
            assert_eq!(seen.authority, expected, "{host}");
        }
    }
}

#[tokio::test]
async fn a_bad_document_is_rejected_with_all_its_errors() {
    let text = "[[listeners]]\naddress = \"{listen}\"\nadress = \"x\"\n\
                [[routes]]\nid = \"a\"\nmatch = { prefix = \"no-slash\" }\n\
                target = { cluster = \"missing-cluster\" }\n";
    let (status, said) = Gateway::document(text).rejected().await;
    assert!(!status.success());
    for part in ["adress", "no-slash", "missing-cluster"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
