//! Documents: which route takes a request (contract 2).

use gateway_tests::{Client, Failures, Gateway, GatewayBuilder, Payload, Reply};
use http::Request;

pub(crate) const LISTENER: &str = "[[listeners]]\nname = \"public\"\naddress = \"{listen}\"\n";

/// A route that answers with its own id.
pub(crate) fn says(id: &str, matches: &str) -> String {
    format!(
        "[[routes]]\nid = {id:?}\nmatch = {matches}\n\
         target = {{ respond = {{ status = 200, body = {id:?}, \
         content_type = \"text/plain\" }} }}\n"
    )
}

pub(crate) fn document(routes: &[String]) -> GatewayBuilder {
    Gateway::document(format!("{LISTENER}{}", routes.concat()))
}

pub(crate) async fn ask(gateway: &Gateway, method: &str, host: &str, target: &str) -> Reply {
    let request = Request::builder().method(method).uri(target).header("host", host);
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
        failures.check(got == *expected, || format!("{host}{target}: {got}, not {expected}"));
    }
    failures.assert_none();
}

/// A target, header lines, and the id of the route that takes it.
type Line = (&'static str, &'static [(&'static str, &'static str)], &'static str);

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

/// What the routes of the next test take.
const CONDITIONS: &[Line] = &[
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
        says(
            "two",
            "{ path = \"/q\", query = [{ name = \"v\", exact = \"2 3\" }, \
             { name = \"w\", present = true }] }",
        ),
    ])
    .start()
    .await;
    let mut failures = Failures::new();
    for (target, headers, expected) in CONDITIONS {
        let mut request = Request::builder().uri(*target);
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Payload::empty()).expect("a request");
        let got = Client::http1(gateway.addr()).send(request).await.text();
        failures.check(got == *expected, || format!("{target} {headers:?}: {got}, not {expected}"));
    }
    failures.assert_none();
}

#[tokio::test]
async fn methods_rank_and_a_wrong_one_is_told_the_right_ones() {
    let gateway = document(&[
        says("all", "{ path = \"/all\" }"),
        says("get", "{ path = \"/all\", methods = [\"GET\"] }"),
        says("post", "{ path = \"/some\", methods = [\"POST\", \"PUT\"] }"),
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
    ask(&gateway, "GET", "h", "/none").await.assert_by_gateway(&[404]);
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
