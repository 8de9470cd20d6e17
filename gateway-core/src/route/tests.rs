//! Ranking, answers, explanations, rewrites, redirects and edits, sentence by sentence.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::path::PathError;

type Table = RouteTable<()>;

fn path(pattern: &str) -> RouteMatch {
    RouteMatch::path(pattern).unwrap()
}

fn prefix(prefix: &str) -> RouteMatch {
    RouteMatch::prefix(prefix).unwrap()
}

fn on(host: &str) -> RouteMatch {
    RouteMatch::any().host(host).unwrap()
}

fn route(id: &str, matching: RouteMatch) -> Route<()> {
    Route::new(id, ()).matching(matching)
}

fn table(routes: Vec<Route<()>>) -> Table {
    RouteTable::build(routes).unwrap()
}

/// The id of the route that takes `GET path`.
fn taken<'t>(table: &'t Table, path: &str) -> Option<&'t str> {
    let headers = HeaderMap::new();
    let hit = table.find(&Lookup::new(&Method::GET, path, &headers)).hit()?;
    Some(&hit.route.id)
}

fn taken_on<'t>(table: &'t Table, host: &str, path: &str) -> Option<&'t str> {
    let headers = HeaderMap::new();
    let hit = table.find(&Lookup::new(&Method::GET, path, &headers).host(host)).hit()?;
    Some(&hit.route.id)
}

/// `better` wins over `worse` for `path`, whichever stands first in the document.
#[track_caller]
fn assert_wins(better: RouteMatch, worse: RouteMatch, path: &str) {
    let better = route("better", better);
    let worse = route("worse", worse);
    for routes in [vec![better.clone(), worse.clone()], vec![worse.clone(), better.clone()]] {
        let table = table(routes);
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static("x-a"),
            HeaderValue::from_static("1"),
        )]);
        let lookup = Lookup::new(&Method::GET, path, &headers).host("a.b.test").query("v=1&w=1");
        let hit = table.find(&lookup).hit().unwrap();
        assert_eq!(hit.route.id, "better", "{path}");
    }
}

#[test]
fn priority_comes_before_anything_else() {
    let table = table(vec![
        route("exact", path("/a").host("a.test").unwrap()),
        route("urgent", RouteMatch::any()).priority(1),
        route("never", path("/a")).priority(-1),
    ]);
    assert_eq!(taken_on(&table, "a.test", "/a"), Some("urgent"));
}

#[test]
fn then_the_host_exact_longest_wildcard_none() {
    assert_wins(on("a.b.test"), on("*.b.test"), "/");
    assert_wins(on("*.b.test"), on("*.test"), "/");
    assert_wins(on("*.test"), RouteMatch::any(), "/");
    assert_wins(on("*.test"), path("/a"), "/a");
}

#[test]
fn less_specific_hosts_are_tried_when_no_route_of_the_best_host_matches() {
    let table = table(vec![
        route("exact", path("/only").host("a.b.test").unwrap()),
        route("wildcard", path("/wild").host("*.test").unwrap()),
        route("any", path("/any")),
    ]);
    assert_eq!(taken_on(&table, "a.b.test", "/only"), Some("exact"));
    assert_eq!(taken_on(&table, "A.B.test:80", "/wild"), Some("wildcard"));
    assert_eq!(taken_on(&table, "a.b.test.", "/any"), Some("any"));
    assert_eq!(taken_on(&table, "test", "/wild"), None);
    assert_eq!(taken(&table, "/only"), None, "no host, no route of a host");
    assert_eq!(taken(&table, "/any"), Some("any"));
    assert_eq!(taken_on(&table, &"x.".repeat(400), "/any"), Some("any"));
}

#[test]
fn then_the_path_segment_by_segment_from_the_left() {
    assert_wins(path("/a/b"), prefix("/a/b"), "/a/b");
    assert_wins(path("/a/b"), path("/a/{x}"), "/a/b");
    assert_wins(path("/a/b{x}"), path("/a/{x}"), "/a/bc");
    assert_wins(path("/a/{x}"), path("/a/{*rest}"), "/a/b");
    assert_wins(path("/a/{x}"), prefix("/a"), "/a/b");
    assert_wins(prefix("/a/b"), prefix("/a"), "/a/b");
    assert_wins(prefix("/a/b"), path("/a/{x}"), "/a/b");
    assert_wins(path("/a/{x}/{y}"), path("/{x}/b/c"), "/a/b/c");
    assert_wins(path("/a/{*rest}"), path("/{x}/b"), "/a/b");
    assert_wins(path("/a{x}/b"), path("/{x}b/{y}"), "/ab/b");
}

#[test]
fn the_rest_and_the_end_of_a_prefix_rank_alike() {
    let rest = route("rest", path("/a/{*rest}"));
    let prefix = route("prefix", prefix("/a"));
    assert_eq!(taken(&table(vec![rest.clone(), prefix.clone()]), "/a/b"), Some("rest"));
    assert_eq!(taken(&table(vec![prefix, rest]), "/a/b"), Some("prefix"));
}

#[cfg(feature = "regex")]
#[test]
fn a_regex_ranks_after_exact_and_before_the_others_the_longer_first() {
    let regex = |pattern| RouteMatch::regex(pattern).unwrap();
    assert_wins(path("/a/b"), regex("/a/b|/long/pattern"), "/a/b");
    assert_wins(regex("/.*"), path("/a/{x}"), "/a/b");
    assert_wins(regex("/.*"), prefix("/a/b"), "/a/b");
    assert_wins(regex("/a/.*"), regex("/.*"), "/a/b");
}

#[test]
fn then_methods_given_then_headers_then_query() {
    let one = || ValueMatch::exact("1");
    let header = |matching: RouteMatch| matching.header("x-a", one()).unwrap();
    assert_wins(path("/a").method(Method::GET), header(path("/a")), "/a");
    assert_wins(header(path("/a")), path("/a").query("v", one()).query("w", one()), "/a");
    assert_wins(
        header(path("/a")).header("x-b", ValueMatch::present(false)).unwrap(),
        header(path("/a")).query("v", one()),
        "/a",
    );
    assert_wins(path("/a").query("v", one()).query("w", one()), path("/a").query("v", one()), "/a");
    assert_wins(path("/{x}").query("v", one()), path("/{y}"), "/a");
    // The path comes first, however many conditions there are.
    assert_wins(path("/a"), header(path("/{x}").method(Method::GET)).query("v", one()), "/a");
}

#[test]
fn then_the_order_in_the_document() {
    let first = route("first", path("/a").method(Method::GET));
    let second = route("second", path("/a").methods([Method::GET, Method::POST]));
    assert_eq!(taken(&table(vec![first.clone(), second.clone()]), "/a"), Some("first"));
    assert_eq!(taken(&table(vec![second, first]), "/a"), Some("second"));
}

#[test]
fn a_route_is_ranked_by_the_match_that_took_the_request() {
    let table = table(vec![
        route("both", prefix("/a")).matching(path("/b/{x}")),
        route("other", path("/a/{x}")).matching(prefix("/b")),
    ]);
    assert_eq!(taken(&table, "/a/1"), Some("other"));
    assert_eq!(taken(&table, "/b/1"), Some("both"));
    let headers = HeaderMap::new();
    let hit = table.find(&Lookup::new(&Method::GET, "/b/1", &headers)).hit().unwrap();
    assert_eq!((hit.index, hit.matched), (0, 1));
}

#[test]
fn when_conditions_fail_the_next_in_rank_is_tried() {
    let canary = path("/a/b").header("x-env", ValueMatch::exact("canary")).unwrap();
    let table = table(vec![
        route("canary", canary),
        route("literal", prefix("/a/b").query("v", ValueMatch::exact("2"))),
        route("parameter", path("/a/{x}/c")),
        route("rest", prefix("/a")),
    ]);
    assert_eq!(taken(&table, "/a/b"), Some("rest"));
    assert_eq!(taken(&table, "/a/b/c"), Some("parameter"));
}

#[test]
fn if_everything_but_the_method_fits_the_answer_is_405_with_all_methods() {
    let table = table(vec![
        route("get", path("/a").method(Method::GET)),
        route("put", prefix("/a").methods([Method::PUT, Method::GET])),
        route("host", path("/a").host("a.test").unwrap().method(Method::DELETE)),
        route("other", path("/a").method(Method::PATCH).query("v", ValueMatch::exact("1"))),
    ]);
    let headers = HeaderMap::new();
    let find = |method: Method, path: &str| match table.find(&Lookup::new(&method, path, &headers))
    {
        Found::MethodNotAllowed(methods) => Some(methods),
        _ => None,
    };
    assert_eq!(find(Method::POST, "/a"), Some(vec![Method::GET, Method::PUT]));
    assert_eq!(find(Method::HEAD, "/a/b"), Some(vec![Method::GET, Method::PUT]));
    assert_eq!(find(Method::POST, "/b"), None);
    assert!(matches!(table.find(&Lookup::new(&Method::POST, "/b", &headers)), Found::NotFound));
}

#[test]
fn a_route_may_name_listeners() {
    let table = table(vec![
        route("public", path("/a")).listener("public").listener("also"),
        route("all", prefix("/")),
    ]);
    let headers = HeaderMap::new();
    let on = |listener: &'static str| {
        let lookup = Lookup::new(&Method::GET, "/a", &headers).listener(listener);
        table.find(&lookup).hit().unwrap().route.id.clone()
    };
    assert_eq!(
        (on("public"), on("also"), on("x")),
        ("public".into(), "public".into(), "all".into())
    );
}

#[test]
fn parameters_are_the_raw_text_and_outlive_the_lookup() {
    let table = table(vec![route("a", path("/a/v{major}-x/{id}/{*rest}"))]);
    let request = String::from("/a/v2-x/%20/b/c/");
    let headers = HeaderMap::new();
    let hit = table.find(&Lookup::new(&Method::GET, &request, &headers)).hit().unwrap();
    let params: PathParams = hit.params;
    drop(table);
    assert_eq!(params.value(&request, "major"), Some("2"));
    assert_eq!(params.value(&request, "id"), Some("%20"));
    assert_eq!(params.value(&request, "rest"), Some("b/c/"));
    assert_eq!(params.value(&request, "none"), None);
    assert_eq!(params.len(), 3);
}

#[test]
fn an_explanation_says_of_every_route_what_became_of_it() {
    let table = table(vec![
        route("orders", path("/orders/{id}")),
        route("users", path("/users/{id}").method(Method::GET)),
        route("all", prefix("/users")).matching(path("/x")),
        route("post", path("/users/7").method(Method::POST)),
        route("canary", path("/users/7").header("x-env", ValueMatch::exact("c")).unwrap()),
        route("off", RouteMatch::any()).enabled(false),
        route("host", on("a.test")),
        route("private", RouteMatch::any()).listener("private"),
    ]);
    let headers = HeaderMap::new();
    let lookup = Lookup::new(&Method::GET, "/users/7", &headers).listener("public");
    let lines: Vec<String> = table.explain(&lookup).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "orders: path: /orders/{id} does not take /users/7",
            "users: takes it, before all: more specific path",
            "all: fits, but the winner has: more specific path",
            "post: method: POST does not take GET",
            "canary: header: x-env exact \"c\" does not hold",
            "off: disabled",
            "host: host: a.test does not take a request without host",
            "private: listener: \"public\" is not one of private",
        ]
    );
}

/// What becomes of `request` where `matching` takes it.
fn rewritten(matching: RouteMatch, rewrite: Rewrite, request: &str) -> Result<String, PathError> {
    let table = table(vec![route("a", matching).rewrite(rewrite)]);
    let headers = HeaderMap::new();
    let hit = table.find(&Lookup::new(&Method::GET, request, &headers)).hit().unwrap();
    let rewrite = hit.route.rewrite.as_ref().unwrap();
    rewrite.apply(request, &hit).map(Cow::into_owned)
}

#[test]
fn a_prefix_is_replaced_and_trailing_slashes_change_nothing() {
    for (from, to) in [("/foo", "/xyz"), ("/foo/", "/xyz"), ("/foo", "/xyz/"), ("/foo/", "/xyz/")] {
        for (request, expected) in
            [("/foo", "/xyz"), ("/foo/", "/xyz/"), ("/foo/bar", "/xyz/bar"), ("/foo//b", "/xyz/b")]
        {
            let rewrite = Rewrite::new().prefix(to).unwrap();
            assert_eq!(rewritten(prefix(from), rewrite, request).as_deref(), Ok(expected));
        }
    }
    for to in ["", "/"] {
        for (request, expected) in
            [("/foo/bar", "/bar"), ("/foo", "/"), ("/foo/", "/"), ("/foo//bar", "/bar")]
        {
            let rewrite = Rewrite::new().prefix(to).unwrap();
            assert_eq!(rewritten(prefix("/foo"), rewrite, request).as_deref(), Ok(expected));
        }
    }
    let rewrite = Rewrite::new().prefix("/xyz").unwrap();
    assert_eq!(rewritten(prefix("/"), rewrite, "/bar").as_deref(), Ok("/xyz/bar"));
}

#[test]
fn template_parameters_are_the_raw_escaped_text() {
    let rewrite = |template: &str| Rewrite::new().path(template).unwrap();
    let rest = || path("/v1/{*rest}");
    assert_eq!(
        rewritten(rest(), rewrite("/v2/{rest}"), "/v1/a%20b/c").as_deref(),
        Ok("/v2/a%20b/c")
    );
    assert_eq!(rewritten(rest(), rewrite("/fixed"), "/v1/a").as_deref(), Ok("/fixed"));
    assert_eq!(rewritten(rest(), rewrite("/{rest}"), "/v1//a").as_deref(), Ok("/a"));
    let two = path("/{a}/{b}");
    assert_eq!(rewritten(two, rewrite("/x-{b}/{a}{b}"), "/1/2").as_deref(), Ok("/x-2/12"));
}

#[test]
fn a_template_never_makes_dot_segments() {
    let rewrite = Rewrite::new().path("/a/{x}/b").unwrap();
    assert!(rewritten(path("/f{x}"), rewrite.clone(), "/f..").is_err());
    assert!(rewritten(path("/f{x}"), rewrite.clone(), "/f.").is_err());
    assert!(rewritten(path("/f{x}"), rewrite, "/f...").is_ok());
}

#[test]
fn rewrites_that_cannot_work_are_rejected() {
    for template in ["", "a", "/{*rest}", "/{", "/}", "/{}", "/a?b=c", "/../a"] {
        assert!(Rewrite::new().path(template).is_err(), "{template}");
    }
    for prefix in ["a", "/{x}", "//a", "/.."] {
        assert!(Rewrite::new().prefix(prefix).is_err(), "{prefix}");
    }
    assert!(Rewrite::new().host("orders.internal:80").is_ok());
    for host in ["", "a@b", "a/b", "a b", ":80"] {
        assert!(Rewrite::new().host(host).is_err(), "{host}");
    }
}

const REQUEST: RedirectRequest<'_> = RedirectRequest {
    scheme: "http",
    host: "a.test:8080",
    path: "/old/x",
    query: Some("q=%20"),
    after_prefix: Some("/x"),
};

#[test]
fn a_redirect_has_one_of_five_statuses() {
    assert_eq!(Redirect::new().status, 302);
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(Redirect::new().status(status).unwrap().status, status);
    }
    for status in [200, 300, 304, 305, 400, 0] {
        assert!(Redirect::new().status(status).is_err());
    }
}

#[test]
fn a_location_keeps_what_the_redirect_does_not_say() {
    assert_eq!(Redirect::new().location(&REQUEST), "http://a.test:8080/old/x?q=%20");
    for host in ["a.test", "a.test:80", "a.test.", "a.test:", "a.test:0", "a.test:x"] {
        let default_port = RedirectRequest { host, query: None, ..REQUEST };
        assert_eq!(Redirect::new().location(&default_port), "http://a.test/old/x", "{host}");
    }
    let tls = RedirectRequest { scheme: "https", host: "a.test:443", ..REQUEST };
    assert_eq!(Redirect::new().location(&tls), "https://a.test/old/x?q=%20");
    let host = Redirect::new().host("example.org").unwrap();
    assert_eq!(host.location(&REQUEST), "http://example.org/old/x?q=%20");
    assert_eq!(host.location(&tls), "https://example.org/old/x?q=%20");
    let bare = RedirectRequest { host: "[::1]", ..REQUEST };
    assert_eq!(Redirect::new().location(&bare), "http://[::1]/old/x?q=%20");
    let address = RedirectRequest { host: "[::1]:8080", ..REQUEST };
    assert_eq!(Redirect::new().location(&address), "http://[::1]:8080/old/x?q=%20");
}

#[test]
fn a_location_has_the_port_of_its_scheme_where_that_is_given() {
    let https = Redirect::new().scheme("https").unwrap();
    assert_eq!(https.location(&REQUEST), "https://a.test/old/x?q=%20");
    let same = Redirect::new().scheme("http").unwrap();
    assert_eq!(same.location(&REQUEST), "http://a.test/old/x?q=%20");
    let port = https.clone().port(8443).unwrap();
    assert_eq!(port.location(&REQUEST), "https://a.test:8443/old/x?q=%20");
    let default_port = https.port(443).unwrap();
    assert_eq!(default_port.location(&REQUEST), "https://a.test/old/x?q=%20");
    let other = Redirect::new().port(80).unwrap();
    assert_eq!(other.location(&REQUEST), "http://a.test/old/x?q=%20");
}

#[test]
fn a_location_replaces_the_path_or_its_prefix() {
    let path = Redirect::new().path("/new").unwrap();
    assert_eq!(path.location(&REQUEST), "http://a.test:8080/new?q=%20");
    let prefix = Redirect::new().prefix("/new/").unwrap();
    assert_eq!(prefix.location(&REQUEST), "http://a.test:8080/new/x?q=%20");
    let nothing_left = RedirectRequest { after_prefix: Some(""), ..REQUEST };
    assert_eq!(prefix.location(&nothing_left), "http://a.test:8080/new?q=%20");
    let away = Redirect::new().prefix("/").unwrap();
    assert_eq!(away.location(&nothing_left), "http://a.test:8080/?q=%20");
}

#[test]
fn redirects_that_cannot_work_are_rejected() {
    assert!(Redirect::new().scheme("ftp").is_err());
    assert!(Redirect::new().port(0).is_err());
    for host in ["a:80", "*.a.test", "", "a/b"] {
        assert!(Redirect::new().host(host).is_err(), "{host}");
    }
    assert!(Redirect::new().path("new").is_err());
}

#[test]
fn headers_are_set_then_added_then_removed() {
    let edits = HeaderEdits::new()
        .remove("X-Gone")
        .unwrap()
        .add("x-gone", "1")
        .unwrap()
        .add("x-a", "2")
        .unwrap()
        .set("X-A", "1")
        .unwrap();
    let mut headers = HeaderMap::new();
    headers.append("x-a", HeaderValue::from_static("old"));
    headers.append("x-a", HeaderValue::from_static("older"));
    headers.insert("x-gone", HeaderValue::from_static("0"));
    edits.apply(&mut headers);
    let lines: Vec<_> = headers.get_all("x-a").iter().collect();
    assert_eq!(lines, ["1", "2"]);
    assert!(!headers.contains_key("x-gone"));
    assert!(HeaderEdits::new().is_empty());
}

#[test]
fn framing_hop_by_hop_and_host_are_rejected() {
    for name in [
        "Host",
        "Content-Length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "proxy-connection",
        "x a",
        "",
        ":path",
    ] {
        assert!(HeaderEdits::new().set(name, "1").is_err(), "{name}");
        assert!(HeaderEdits::new().add(name, "1").is_err(), "{name}");
        assert!(HeaderEdits::new().remove(name).is_err(), "{name}");
    }
    assert!(HeaderEdits::new().set("x-a", "1\r\nx-b: 2").is_err());
    let error = HeaderEdits::new().set("host", "a").unwrap_err();
    assert_eq!(
        error.to_string(),
        "header name: found `host`, expected another header (`rewrite.host` sets the host)"
    );
}

#[test]
fn metadata_is_sorted_by_name() {
    let route = route("a", RouteMatch::any())
        .metadata([("team", "shop"), ("area", "north")].into_iter().collect::<Metadata>());
    assert_eq!(route.metadata.value("team"), Some("shop"));
    assert_eq!(route.metadata.iter().next(), Some(("area", "north")));
}

/// The id of the route that takes a preflight for `asked`, or the methods that would be taken.
fn takes_preflight(table: &Table, asked: &Method) -> Result<String, Vec<Method>> {
    let headers = HeaderMap::new();
    let lookup = Lookup::new(&Method::OPTIONS, "/a", &headers).preflight(Some(asked));
    match table.find(&lookup) {
        Found::Route(hit) => Ok(hit.route.id.clone()),
        Found::MethodNotAllowed(methods) => Err(methods),
        Found::NotFound => Err(Vec::new()),
    }
}

#[test]
fn a_preflight_is_matched_as_the_method_it_asks_for_where_the_route_takes_them() {
    let read = route("read", path("/a").method(Method::GET)).preflight(true);
    let write = route("write", path("/a").method(Method::PUT));
    let table = table(vec![read, write]);
    assert_eq!(takes_preflight(&table, &Method::GET), Ok("read".to_owned()));
    let all = vec![Method::GET, Method::PUT];
    assert_eq!(takes_preflight(&table, &Method::PUT), Err(all.clone()), "an OPTIONS there");
    assert_eq!(takes_preflight(&table, &Method::OPTIONS), Err(all), "not its own method");
    let headers = HeaderMap::new();
    let lookup = Lookup::new(&Method::OPTIONS, "/a", &headers).preflight(Some(&Method::DELETE));
    let said: Vec<_> = table.explain(&lookup).iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "read: method: GET does not take DELETE, which the preflight asks for",
            "write: method: PUT does not take OPTIONS",
        ]
    );
}

#[test]
fn preflights_that_nobody_in_front_answers_are_options() {
    let table = table(vec![
        route("get", path("/a").method(Method::GET)).preflight(true),
        route("rest", path("/a")),
    ]);
    assert_eq!(takes_preflight(&table, &Method::GET), Ok("get".to_owned()));
    assert_eq!(takes_preflight(&table, &Method::PUT), Ok("rest".to_owned()));
}

#[test]
fn only_what_a_browser_asks_before_a_request_is_a_preflight() {
    let origin = ("origin", "https://a.test");
    let asks = ("access-control-request-method", "PUT");
    for (method, lines, expected) in [
        (Method::OPTIONS, &[origin, asks][..], Some(Method::PUT)),
        (Method::GET, &[origin, asks], None),
        (Method::OPTIONS, &[asks], None),
        (Method::OPTIONS, &[origin], None),
        (Method::OPTIONS, &[origin, asks, asks], None),
        (Method::OPTIONS, &[origin, ("access-control-request-method", "P T")], None),
        (Method::OPTIONS, &[origin, ("access-control-request-method", "")], None),
    ] {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(preflight_method(&method, &headers), expected, "{method} {lines:?}");
    }
}
