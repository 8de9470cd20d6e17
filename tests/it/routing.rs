//! Documents: which route takes a request, and what it does with it (contract 2 to 4).

use gateway_tests::{
    Answer, Client, Failures, Gateway, GatewayBuilder, Payload, Reply, Upstream, get,
};
use http::Request;

const LISTENER: &str = "[[listeners]]\nname = \"public\"\naddress = \"{listen}\"\n";

/// A route that answers with its own id.
fn says(id: &str, matches: &str) -> String {
    format!(
        "[[routes]]\nid = {id:?}\nmatch = {matches}\n\
         target = {{ respond = {{ status = 200, body = {id:?}, content_type = \"text/plain\" }} }}\n"
    )
}

fn document(routes: &[String]) -> GatewayBuilder {
    Gateway::document(format!("{LISTENER}{}", routes.concat()))
}

async fn ask(gateway: &Gateway, method: &str, host: &str, target: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", host);
    let request = request.body(Payload::empty()).expect("a request");
    Client::http1(gateway.addr()).send(request).await
}

/// Asks line by line; what a line expects is the id of a route, or a status.
async fn table(gateway: &Gateway, lines: &[(&str, &str, &str)]) {
    let mut failures = Failures::new();
    for (host, target, expected) in lines {
        let reply = ask(gateway, "GET", host, target).await;
        let got = match reply.status {
            200 => reply.text(),
            status => status.to_string(),
        };
        failures.check(got == *expected, || {
            format!("{host}{target}: {got}, not {expected}")
        });
    }
    failures.assert_none();
}

/// A target, header lines, and the id of the route that takes it.
type Line = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

#[tokio::test]
async fn hosts_are_exact_wildcard_or_any() {
    let gateway = document(&[
        says("any", "{ prefix = \"/\" }"),
        says("wild", "{ host = \"*.example.com\", prefix = \"/\" }"),
        says("deeper", "{ host = \"*.api.example.com\", prefix = \"/\" }"),
        says("exact", "{ host = \"shop.example.com\", prefix = \"/\" }"),
        says("only-a", "{ host = \"part.example.com\", path = \"/a\" }"),
    ])
    .start()
    .await;
    table(
        &gateway,
        &[
            ("shop.example.com", "/", "exact"),
            ("SHOP.Example.COM", "/", "exact"),
            ("shop.example.com:8080", "/", "exact"),
            ("shop.example.com.", "/", "exact"),
            ("shop.example.com.:8080", "/", "exact"),
            ("other.example.com", "/", "wild"),
            ("a.b.example.com", "/", "wild"),
            ("v1.api.example.com", "/", "deeper"),
            ("api.example.com", "/", "wild"),
            ("example.com", "/", "any"),
            ("notexample.com", "/", "any"),
            ("part.example.com", "/a", "only-a"),
            ("part.example.com", "/b", "wild"),
        ],
    )
    .await;
}

#[tokio::test]
async fn paths_are_exact_templates_or_prefixes() {
    let gateway = document(&[
        says("prefix", "{ prefix = \"/a\" }"),
        says("prefix-slash", "{ prefix = \"/b/\" }"),
        says("exact", "{ path = \"/a/exact\" }"),
        says("template", "{ path = \"/a/{name}/end\" }"),
        says("literal", "{ path = \"/a/fixed/end\" }"),
        says("part", "{ path = \"/a/v-{version}/end\" }"),
        says("rest", "{ path = \"/files/{*rest}\" }"),
    ])
    .start()
    .await;
    table(
        &gateway,
        &[
            ("h", "/a", "prefix"),
            ("h", "/a/", "prefix"),
            ("h", "/a/b", "prefix"),
            ("h", "/a?x", "prefix"),
            ("h", "/ab", "404"),
            ("h", "/b", "prefix-slash"),
            ("h", "/b/", "prefix-slash"),
            ("h", "/b/c", "prefix-slash"),
            ("h", "/bc", "404"),
            ("h", "/a/exact", "exact"),
            ("h", "/a/exact/", "prefix"),
            ("h", "/A/exact", "404"),
            ("h", "/a/one/end", "template"),
            ("h", "/a/one/end/", "prefix"),
            ("h", "/a//end", "prefix"),
            ("h", "/a/fixed/end", "literal"),
            ("h", "/a/v-2/end", "part"),
            ("h", "/a/%66ixed/end", "literal"),
            ("h", "/x/../a/./exact", "exact"),
            ("h", "/files/", "404"),
            ("h", "/files", "404"),
            ("h", "/files/x", "rest"),
            ("h", "/files/x/y", "rest"),
            ("h", "/", "404"),
        ],
    )
    .await;
}

#[tokio::test]
async fn headers_and_queries_are_conditions() {
    let gateway = document(&[
        says("plain", "{ prefix = \"/\" }"),
        says("exact", "{ prefix = \"/\", headers = [{ name = \"X-Env\", exact = \"canary\" }] }"),
        says("present", "{ path = \"/p\", headers = [{ name = \"x-any\", present = true }] }"),
        says("absent", "{ path = \"/n\", headers = [{ name = \"x-any\", present = false }] }"),
        says("not", "{ path = \"/not\", headers = [{ name = \"x-v\", not = { exact = \"1\" } }] }"),
        says("start", "{ path = \"/k\", headers = [{ name = \"x-v\", prefix = \"ab\" }] }"),
        says("end", "{ path = \"/k\", headers = [{ name = \"x-v\", suffix = \"yz\" }] }"),
        says("query", "{ path = \"/q\", query = [{ name = \"v\", exact = \"2 3\" }] }"),
        says("two", "{ path = \"/q\", query = [{ name = \"v\", exact = \"2 3\" }, { name = \"w\", present = true }] }"),
    ])
    .start()
    .await;
    let lines: &[Line] = &[
        ("/", &[], "plain"),
        ("/", &[("x-env", "canary")], "exact"),
        ("/", &[("x-env", "Canary")], "plain"),
        ("/", &[("x-env", "  canary ")], "exact"),
        ("/", &[("x-env", "a"), ("x-env", "canary")], "exact"),
        ("/p", &[("x-any", "")], "present"),
        ("/p", &[], "plain"),
        ("/n", &[], "absent"),
        ("/n", &[("x-any", "1")], "plain"),
        ("/not", &[], "not"),
        ("/not", &[("x-v", "2")], "not"),
        ("/not", &[("x-v", "1")], "plain"),
        ("/not", &[("x-v", "2"), ("x-v", "1")], "plain"),
        ("/k", &[("x-v", "abc")], "start"),
        ("/k", &[("x-v", "xyz")], "end"),
        ("/k", &[("x-v", "zab")], "plain"),
        ("/q?v=2%203", &[], "query"),
        ("/q?v=2", &[], "plain"),
        ("/q?v=2%203&v=9", &[], "query"),
        ("/q?v=9&v=2%203", &[], "plain"),
        ("/q?w&v=2%203", &[], "two"),
    ];
    let mut failures = Failures::new();
    for (target, headers, expected) in lines {
        let mut request = Request::builder().uri(*target);
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Payload::empty()).expect("a request");
        let got = Client::http1(gateway.addr()).send(request).await.text();
        failures.check(got == *expected, || {
            format!("{target} {headers:?}: {got}, not {expected}")
        });
    }
    failures.assert_none();
}

#[tokio::test]
async fn methods_rank_and_a_wrong_one_is_told_the_right_ones() {
    let gateway = document(&[
        says("all", "{ path = \"/all\" }"),
        says("get", "{ path = \"/all\", methods = [\"GET\"] }"),
        says(
            "post",
            "{ path = \"/some\", methods = [\"POST\", \"PUT\"] }",
        ),
        says("delete", "{ path = \"/some\", methods = [\"DELETE\"] }"),
    ])
    .start()
    .await;
    assert_eq!(ask(&gateway, "GET", "h", "/all").await.text(), "get");
    assert_eq!(ask(&gateway, "POST", "h", "/all").await.text(), "all");
    assert_eq!(ask(&gateway, "PUT", "h", "/some").await.text(), "post");
    assert_eq!(ask(&gateway, "DELETE", "h", "/some").await.text(), "delete");
    for method in ["GET", "PATCH", "get", "post"] {
        let reply = ask(&gateway, method, "h", "/some").await;
        reply.assert_by_gateway(&[405]);
        let allow = reply.header("allow").expect("an Allow field");
        let mut methods: Vec<&str> = allow.split(',').map(str::trim).collect();
        methods.sort_unstable();
        assert_eq!(methods, ["DELETE", "POST", "PUT"], "{method}");
    }
    let head = ask(&gateway, "HEAD", "h", "/some").await;
    assert_eq!((head.status, head.body.len()), (405, 0));
    ask(&gateway, "GET", "h", "/none")
        .await
        .assert_by_gateway(&[404]);
    for mut client in [Client::http1(gateway.addr()), Client::http2(gateway.addr())] {
        client.get("/none").await.assert_by_gateway(&[404]);
        client.post("/none", "body").await.assert_by_gateway(&[404]);
        let head = client.method("HEAD", "/none", Payload::empty()).await;
        assert_eq!((head.status, head.body.len()), (404, 0));
        assert!(head.is_by_gateway() && head.is_complete());
    }
}

#[tokio::test]
async fn priority_comes_first_and_order_last() {
    let high = says("high", "{ prefix = \"/\" }").replace("match", "priority = 1\nmatch");
    let off = says("off", "{ path = \"/off\" }").replace("match", "enabled = false\nmatch");
    let gateway = document(&[
        says("first", "{ path = \"/same\" }").replace("match", "priority = 1\nmatch"),
        says("second", "{ path = \"/same\" }").replace("match", "priority = 1\nmatch"),
        says("exact", "{ path = \"/exact\" }"),
        off,
        high,
        says("either", "[{ path = \"/one\" }, { path = \"/two\" }]")
            .replace("match", "priority = 2\nmatch"),
    ])
    .start()
    .await;
    table(
        &gateway,
        &[
            ("h", "/same", "first"),
            ("h", "/exact", "high"),
            ("h", "/off", "high"),
            ("h", "/one", "either"),
            ("h", "/two", "either"),
            ("h", "/three", "high"),
        ],
    )
    .await;
}

/// A gateway with one cluster and these routes; `TO` in them stands for the target.
async fn forwarding(upstream: &Upstream, routes: &[&str]) -> Gateway {
    let routes = routes
        .join("\n")
        .replace("TO", "target = { cluster = \"upstream\" }");
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
        failures.check(got == Some(expected), || {
            format!("{target}: {got:?}, not {expected}")
        });
    }
    failures.assert_none();
    client.get("/host").await.assert_ok("ok");
    assert_eq!(
        upstream.seen().pop().expect("a request").authority,
        "inner.test"
    );
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
        redirect(
            "/default",
            "{ scheme = \"https\", port = 443, status = 307 }",
        ),
        redirect(
            "/host",
            "{ host = \"example.org\", scheme = \"http\", status = 303 }",
        ),
        redirect("/prefix", "{ prefix = \"/moved\" }"),
    ])
    .start()
    .await;
    let port = gateway.addr().port();
    let here = format!("http://shop.test:{port}");
    let lines = [
        ("/plain/x?q=1", 302, format!("{here}/new?q=1")),
        (
            "/scheme/x?q=1",
            308,
            "https://shop.test/scheme/x?q=1".to_owned(),
        ),
        ("/port", 301, "https://shop.test:8443/port".to_owned()),
        ("/default", 307, "https://shop.test/default".to_owned()),
        (
            "/host/a%20b",
            303,
            "http://example.org/host/a%20b".to_owned(),
        ),
        ("/prefix/x", 302, format!("{here}/moved/x")),
    ];
    for (target, status, location) in lines {
        let reply = ask(&gateway, "GET", "shop.test:1234", target).await;
        assert_eq!(reply.status, status, "{target}");
        assert_eq!(
            reply.header("location"),
            Some(location.as_str()),
            "{target}"
        );
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
        assert_eq!(
            (head.header("content-length"), head.body.len()),
            (Some("5"), 0)
        );
    }
}

#[tokio::test]
async fn header_edits_set_then_add_then_remove() {
    let answer = Answer::ok("ok")
        .header("x-a", "old")
        .header("x-b", "old")
        .header("x-c", "old");
    let upstream = Upstream::http1().answer(answer).start().await;
    let edits = "{ set = { x-a = \"set\", X-New = \"set\" }, add = { x-b = \"added\" }, \
                 remove = [\"X-C\"] }";
    let gateway = Gateway::to(&upstream)
        .route(&format!("policy.request_headers = {edits}"))
        .route(&format!("policy.response_headers = {edits}"))
        .start()
        .await;
    let request = Request::builder()
        .uri("/")
        .header("x-a", "old")
        .header("x-b", "old");
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
async fn a_split_gives_every_cluster_its_share() {
    let old = Upstream::http1().answer(Answer::ok("old")).start().await;
    let new = Upstream::http1().answer(Answer::ok("new")).start().await;
    let document = format!(
        "{LISTENER}[clusters.old]\nendpoints = [{:?}]\n[clusters.new]\nendpoints = [{:?}]\n\
         [[routes]]\nmatch = {{ prefix = \"/none\" }}\ntarget = {{ split = [\
         {{ cluster = \"old\", weight = 0 }}, {{ cluster = \"new\", weight = 0 }}] }}\n\
         [[routes]]\nmatch = {{ prefix = \"/\" }}\ntarget = {{ split = [\
         {{ cluster = \"old\", weight = 75 }}, {{ cluster = \"new\", weight = 25, \
         request_headers = {{ set = {{ x-canary = \"1\" }} }} }}] }}\n",
        old.url(),
        new.url()
    );
    let gateway = Gateway::document(document)
        .knows(&old)
        .knows(&new)
        .start()
        .await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..400 {
        assert_eq!(client.get("/").await.status, 200);
    }
    // Six standard deviations of 400 coins of one in four.
    let share = new.seen().len();
    assert!((48..=152).contains(&share), "{share} of 400");
    assert_eq!(old.seen().len() + share, 400);
    assert!(
        new.seen()
            .iter()
            .all(|seen| seen.header("x-canary") == Some("1"))
    );
    assert!(
        old.seen()
            .iter()
            .all(|seen| seen.header("x-canary").is_none())
    );
    client.get("/none").await.assert_by_gateway(&[500]);
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
async fn a_bad_document_is_refused_with_all_its_errors() {
    let text = "[[listeners]]\naddress = \"{listen}\"\nadress = \"x\"\n\
                [[routes]]\nid = \"a\"\nmatch = { prefix = \"no-slash\" }\n\
                target = { cluster = \"missing-cluster\" }\n";
    let (status, said) = Gateway::document(text).refused().await;
    assert!(!status.success());
    for part in ["adress", "no-slash", "missing-cluster"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
