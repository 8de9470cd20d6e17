//! What each part of a match takes, sentence by sentence.

use http::{HeaderMap, HeaderValue, Method};

use super::*;

#[track_caller]
fn assert_paths(pattern: &PathMatch, takes: &[&str], rejects: &[&str]) {
    for path in takes {
        assert!(pattern.takes(path), "{pattern} should take {path}");
    }
    for path in rejects {
        assert!(!pattern.takes(path), "{pattern} should not take {path}");
    }
}

fn path(pattern: &str) -> PathMatch {
    PathMatch::path(pattern).unwrap()
}

fn prefix(prefix: &str) -> PathMatch {
    PathMatch::prefix(prefix).unwrap()
}

#[track_caller]
fn rejection<T: std::fmt::Debug>(result: Result<T, RouteError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_host_is_exact_or_a_wildcard_without_regard_to_case() {
    let exact = HostMatch::parse("API.example.com").unwrap();
    for host in
        ["api.example.com", "Api.Example.COM:8080", "api.example.com.", "api.example.com.:1"]
    {
        assert!(exact.takes(host), "{host}");
    }
    for host in ["x.api.example.com", "example.com", "api.example.com..", "", "api.example.comx"] {
        assert!(!exact.takes(host), "{host}");
    }
}

#[test]
fn a_wildcard_takes_one_or_more_labels_not_the_apex() {
    let wildcard = HostMatch::parse("*.example.com").unwrap();
    for host in ["a.example.com", "a.b.EXAMPLE.com", "a.example.com.:80"] {
        assert!(wildcard.takes(host), "{host}");
    }
    for host in ["example.com", ".example.com", "aexample.com", "a.example.com.org", "\u{e9}"] {
        assert!(!wildcard.takes(host), "{host}");
    }
}

#[test]
fn addresses_are_hosts() {
    assert!(HostMatch::parse("[::1]").unwrap().takes("[::1]:8080"));
    assert!(HostMatch::parse("10.0.0.1").unwrap().takes("10.0.0.1:80"));
    assert!(HostMatch::parse("[x]").is_err());
}

#[test]
fn a_host_that_could_never_be_asked_for_is_rejected() {
    let cases = [
        ("a.test:80", "host: found `a.test:80`, expected a host without a port"),
        (
            "a.*.test",
            "host: found `a.*.test`, expected `*` only as the whole first label, as in \
             `*.example.com`",
        ),
    ];
    for (host, expected) in cases {
        assert_eq!(rejection(HostMatch::parse(host)), expected);
    }
    for host in ["", "*", "*.", "a..b", "caf\u{e9}.test", "a b", "*a.test", &"a".repeat(254)] {
        assert!(HostMatch::parse(host).is_err(), "{host}");
    }
}

#[test]
fn a_trailing_slash_counts_in_paths() {
    assert_paths(&path("/a"), &["/a"], &["/a/", "/A", "/", "/ab"]);
    assert_paths(&path("/a/"), &["/a/"], &["/a"]);
    assert_paths(&path("/a/{x}"), &["/a/b"], &["/a/b/", "/a/", "/a"]);
    assert_paths(&path("/a/{x}/"), &["/a/b/"], &["/a/b", "/a//"]);
}

#[test]
fn a_parameter_takes_a_non_empty_run_inside_one_segment() {
    assert_paths(&path("/{x}/c"), &["/b/c", "/b;v=1/c", "/%2F/c"], &["//c", "/a/b/c", "/c"]);
    assert_paths(&path("/v{x}"), &["/v1", "/vv"], &["/v", "/w1", "/v1/"]);
    assert_paths(&path("/{x}.json"), &["/a.json", "/.json.json"], &["/.json", "/ajson"]);
    assert_paths(&path("/a{x}a"), &["/aba"], &["/aa", "/a"]);
}

#[test]
fn the_rest_takes_at_least_one_character() {
    assert_paths(&path("/a/{*rest}"), &["/a/b", "/a/b/c/", "/a//"], &["/a", "/a/", "/ab"]);
    assert_paths(&path("/{*rest}"), &["/a"], &["/", "*"]);
}

#[test]
fn a_prefix_takes_whole_segments_and_its_trailing_slash_is_ignored() {
    for text in ["/a", "/a/", "/a//"] {
        assert_paths(&prefix(text), &["/a", "/a/", "/a/b", "/a/b/c"], &["/ab", "/", "/b/a", "/A"]);
    }
    assert_paths(&prefix("/"), &["/", "/a", "/a/b/"], &["*", ""]);
    assert_eq!(prefix("/a").after_prefix("/a/b"), Some("/b"));
    assert_eq!(prefix("/a/").after_prefix("/a"), Some(""));
    assert_eq!(prefix("/a").after_prefix("/ab"), None);
}

#[test]
fn patterns_are_brought_into_the_form_of_requests() {
    assert_paths(&path("/caf\u{e9}"), &["/caf%C3%A9"], &[]);
    assert_paths(&path("/caf%c3%a9/%7e{x}"), &["/caf%C3%A9/~b"], &[]);
    assert_paths(&path("/%7Bx%7D"), &["/%7Bx%7D"], &["/a"]);
    assert_paths(&prefix("/a%2fb"), &["/a%2Fb/c"], &[]);
}

#[test]
fn a_path_that_could_never_be_asked_for_is_rejected() {
    assert_eq!(
        rejection(PathMatch::path("orders")),
        "path: found `orders`, expected a path that a request can have (path does not begin with \
         '/')"
    );
    for pattern in [
        "", "/a/../b", "/a/./b", "/a?b", "/a b", "/%zz", "/a\\b", "/{", "/}", "/{}", "/{a}{b}",
        "/{a", "/a}{b", "/{a b}", "/{*}", "/{*a}/b", "/x{*a}", "/{a}/{a}", "/{a/b}", "/{{a}}",
    ] {
        assert!(PathMatch::path(pattern).is_err(), "{pattern}");
    }
    for pattern in ["a", "", "/{x}", "/a/..", "/a?"] {
        assert!(PathMatch::prefix(pattern).is_err(), "{pattern}");
    }
    assert!(PathMatch::path(&"/a".repeat(128)).is_ok());
    assert!(PathMatch::path(&"/{a}".repeat(129)).is_err());
}

#[cfg(feature = "regex")]
#[test]
fn a_regex_must_match_the_whole_text() {
    let digits = PathMatch::regex("/[0-9]+").unwrap();
    assert_paths(&digits, &["/1", "/123"], &["/1a", "/1\n", "x/1", "/"]);
    assert_paths(&PathMatch::regex("/a|/b").unwrap(), &["/a", "/b"], &["/ax", "x/b"]);
    for pattern in ["a)|(?:b", "(", "(?x)a # b)"] {
        assert!(PathMatch::regex(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn methods_are_exact_tokens() {
    let get = RouteMatch::any().method(Method::GET).methods;
    assert!(get.takes(&Method::GET));
    assert!(!get.takes(&Method::HEAD), "GET does not imply HEAD");
    assert!(!get.takes(&Method::from_bytes(b"get").unwrap()));
    assert!(RouteMatch::any().methods.takes(&Method::from_bytes(b"BREW").unwrap()));
    assert_eq!(MethodMatch::parse("GET"), Ok(Method::GET));
    assert_eq!(rejection(MethodMatch::parse("get")), "methods: found `get`, expected `GET`");
    assert!(MethodMatch::parse("a b").is_err());
    let both = RouteMatch::any().methods([Method::POST, Method::GET, Method::POST]).methods;
    assert_eq!(both.to_string(), "GET, POST");
}

fn header_holds(condition: ValueMatch, lines: &[&'static str]) -> bool {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-a", HeaderValue::from_static(line));
    }
    HeaderMatch::new("X-A", condition).unwrap().takes(&headers)
}

#[test]
fn header_values_are_compared_with_regard_to_case_without_surrounding_blanks() {
    assert!(header_holds(ValueMatch::exact("b c"), &[" b c\t"]));
    assert!(!header_holds(ValueMatch::exact("b"), &["B"]));
    assert!(header_holds(ValueMatch::prefix("b"), &["bc"]));
    assert!(header_holds(ValueMatch::suffix("c"), &["bc "]));
    assert!(header_holds(ValueMatch::contains("b"), &["abc"]));
    assert!(!header_holds(ValueMatch::contains("d"), &["abc"]));
}

#[test]
fn a_condition_holds_if_one_line_fulfils_it_and_not_if_none_does() {
    let one = || ValueMatch::exact("1");
    assert!(header_holds(one(), &["0", "1"]));
    assert!(!header_holds(one(), &["0", "2"]));
    assert!(!header_holds(one(), &[]));
    assert!(!header_holds(ValueMatch::not(one()), &["0", "1"]));
    assert!(header_holds(ValueMatch::not(one()), &["0", "2"]));
    assert!(header_holds(ValueMatch::not(one()), &[]), "true when absent");
    assert!(header_holds(ValueMatch::not(ValueMatch::not(one())), &["1"]));
}

#[test]
fn presence_asks_for_the_name_alone() {
    assert!(header_holds(ValueMatch::present(true), &[""]));
    assert!(!header_holds(ValueMatch::present(true), &[]));
    assert!(header_holds(ValueMatch::present(false), &[]));
    assert!(!header_holds(ValueMatch::present(false), &["1"]));
    assert!(header_holds(ValueMatch::not(ValueMatch::present(true)), &[]));
}

#[cfg(feature = "regex")]
#[test]
fn a_regex_sees_whole_values_that_are_utf8() {
    assert!(header_holds(ValueMatch::regex("[0-9]+").unwrap(), &["a", "12"]));
    assert!(!header_holds(ValueMatch::regex("[0-9]+").unwrap(), &["12a"]));
    let mut headers = HeaderMap::new();
    headers.insert("x-a", HeaderValue::from_bytes(b"\xff").unwrap());
    let any = HeaderMatch::new("x-a", ValueMatch::regex(".*").unwrap()).unwrap();
    assert!(!any.takes(&headers));
}

fn query_holds(name: &str, condition: ValueMatch, query: &str) -> bool {
    QueryMatch::new(name, condition).takes(Some(query))
}

#[test]
fn query_names_and_values_are_percent_decoded() {
    let exact = ValueMatch::exact;
    assert!(query_holds("v", exact("2"), "v=2"));
    assert!(query_holds("v", exact("2"), "a=1&%76=%32"));
    assert!(query_holds("a b", exact("c d&"), "a+b=c%20d%26"));
    assert!(query_holds("v", exact("\u{e9}"), "v=%c3%a9"));
    assert!(query_holds("v", exact("%zz%4"), "v=%zz%4"));
    assert!(query_holds("v", exact("a=b"), "v=a=b"));
    assert!(query_holds("v", exact(""), "v"));
    assert!(query_holds("v", exact(""), "&&v=&"));
    assert!(!query_holds("v", exact("2"), "V=2"), "names with regard to case");
    assert!(!query_holds("v", exact("2"), "a=v=2"));
    assert!(query_holds("v", ValueMatch::suffix("z"), &format!("v={}z", "%41".repeat(500))));
}

#[test]
fn of_a_repeated_parameter_the_first_counts() {
    assert!(query_holds("v", ValueMatch::exact("1"), "v=1&v=2"));
    assert!(!query_holds("v", ValueMatch::exact("2"), "v=1&v=2"));
    assert!(query_holds("v", ValueMatch::not(ValueMatch::exact("2")), "v=1&v=2"));
}

#[test]
fn an_absent_parameter_fulfils_only_absence() {
    for query in [None, Some(""), Some("w=1")] {
        let holds = |condition| QueryMatch::new("v", condition).takes(query);
        assert!(!holds(ValueMatch::exact("")));
        assert!(!holds(ValueMatch::present(true)));
        assert!(holds(ValueMatch::present(false)));
        assert!(holds(ValueMatch::not(ValueMatch::exact("1"))));
    }
}

#[test]
fn a_header_condition_needs_a_header_name() {
    let found = rejection(RouteMatch::any().header("x a", ValueMatch::present(true)));
    assert_eq!(found, "headers: found `x a`, expected a header name");
}
