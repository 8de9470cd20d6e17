//! Patterns and the origins that try to look like theirs.

use http::HeaderValue;

use super::*;

fn origins(patterns: &[&str]) -> Origins {
    Origins::new(patterns.iter().map(|pattern| pattern.parse().unwrap()))
}

fn takes(origins: &Origins, origin: &str) -> bool {
    origins.takes(&HeaderValue::from_bytes(origin.as_bytes()).unwrap())
}

#[test]
fn an_exact_origin_takes_nothing_that_looks_like_it() {
    let origins = origins(&["https://example.com"]);
    assert!(takes(&origins, "https://example.com"));
    for other in [
        "http://example.com",
        "https://example.com.evil.com",
        "https://evil-example.com",
        "https://evilexample.com",
        "https://example.com.",
        "https://example.com:443",
        "https://example.com:8443",
        "https://example.com/",
        "https://example.com#",
        "https://example.com@evil.com",
        "https://evil.com@example.com",
        "https://EXAMPLE.com",
        "HTTPS://example.com",
        "https://sub.example.com",
        "https://example.com https://evil.com",
        "https://example.com, https://example.com",
        "https://exämple.com",
        "https:example.com",
        "example.com",
        "*",
        "null",
        "",
    ] {
        assert!(!takes(&origins, other), "{other:?}");
    }
}

#[test]
fn a_star_stands_for_one_or_more_labels() {
    let origins = origins(&["https://*.bar.com"]);
    for origin in ["https://a.bar.com", "https://a.b.bar.com", "https://xn--1.bar.com"] {
        assert!(takes(&origins, origin), "{origin}");
    }
    for other in [
        "https://bar.com",
        "https://.bar.com",
        "https://a..bar.com",
        "https://foobar.com",
        "https://a.bar.com.evil.com",
        "https://a.bar.com.",
        "https://evil.com/.bar.com",
        "https://evil.com#.bar.com",
        "https://evil.com?.bar.com",
        "https://evil.com\\.bar.com",
        "https://evil.com%2f.bar.com",
        "https://evil.com:80.bar.com",
        "https://user@a.bar.com",
        "https://a.bar.com:8443",
        "https://a.bar.com:443",
        "https://A.bar.com",
        "https://ä.bar.com",
        "https://a b.bar.com",
        "http://a.bar.com",
        "null",
    ] {
        assert!(!takes(&origins, other), "{other:?}");
    }
}

#[test]
fn ports_must_fit_unless_any_will_do() {
    let one = origins(&["http://localhost:8080", "https://*.a.test:8443"]);
    assert!(takes(&one, "http://localhost:8080") && takes(&one, "https://x.a.test:8443"));
    for other in ["http://localhost", "http://localhost:80801", "https://x.a.test"] {
        assert!(!takes(&one, other), "{other}");
    }
    let any = origins(&["http://localhost:*"]);
    for origin in ["http://localhost", "http://localhost:1", "http://localhost:65535"] {
        assert!(takes(&any, origin), "{origin}");
    }
    for other in [
        "http://localhost:",
        "http://localhost:0",
        "http://localhost:65536",
        "http://localhost:080",
        "http://localhost:80",
        "http://localhost:8a",
        "https://localhost",
    ] {
        assert!(!takes(&any, other), "{other}");
    }
    let own = origins(&["https://a.test:443", "http://b.test:80"]);
    assert!(takes(&own, "https://a.test") && takes(&own, "http://b.test"));
}

#[test]
fn null_is_taken_only_where_it_is_written() {
    assert!(!takes(&origins(&["*"]), "null"));
    assert!(!takes(&origins(&["https://*"]), "null"));
    assert!(takes(&origins(&["null"]), "null"));
    assert!(takes(&origins(&["*", "null"]), "null"));
    assert!(!takes(&origins(&["null"]), "https://a.test"));
    assert!(!takes(&origins(&["*"]), "nonsense"));
}

#[test]
fn addresses_and_other_schemes_have_origins_too() {
    let origins = origins(&["http://[::0:1]:*", "http://127.0.0.1", "app://localhost"]);
    for origin in ["http://[::1]:3000", "http://127.0.0.1", "app://localhost"] {
        assert!(takes(&origins, origin), "{origin}");
    }
    for other in ["http://[::2]:3000", "http://[::1", "http://[::1]x", "http://127.0.0.1:81"] {
        assert!(!takes(&origins, other), "{other}");
    }
}

#[test]
fn patterns_are_said_in_one_form() {
    for (written, said) in [
        ("HTTPS://App.Example.COM:443", "https://app.example.com"),
        ("https://*.Example.com:*", "https://*.example.com:*"),
        ("http://*", "http://*"),
        ("http://[0:0::1]:8080", "http://[::1]:8080"),
        ("*", "*"),
        ("null", "null"),
    ] {
        assert_eq!(written.parse::<OriginPattern>().unwrap().to_string(), said);
    }
}

#[test]
fn what_is_no_pattern_is_rejected() {
    for (text, expected) in [
        ("example.com", "an origin such as"),
        ("https://", "an origin such as"),
        ("https://a..b", "an origin such as"),
        ("https://a.test.", "an origin such as"),
        ("https://a.test/", "ends with its host or port"),
        ("https://a.test/path", "ends with its host or port"),
        ("https://me@a.test", "no user"),
        ("https://a.test:0", "a port"),
        ("https://a.test:99999", "a port"),
        ("https://a.test:", "a port"),
        ("https://a.*.test", "first label"),
        ("https://*a.test", "first label"),
        ("https://*.", "first label"),
        ("https://*.*.test", "first label"),
        ("https://bücher.test", "ASCII"),
        ("*://a.test", "an origin such as"),
    ] {
        let error = text.parse::<OriginPattern>().unwrap_err();
        assert!(error.expected().contains(expected), "{text}: {error}");
        assert_eq!(error.found(), text);
    }
}

#[test]
fn the_origin_of_a_url_ends_with_its_authority() {
    for (url, origin) in [
        ("https://a.test/path?x=https://b.test", Some("https://a.test")),
        ("https://a.test?x", Some("https://a.test")),
        ("https://a.test#x", Some("https://a.test")),
        ("https://a.test:8443", Some("https://a.test:8443")),
        ("https://user@a.test/", None),
        ("about:blank", None),
    ] {
        assert_eq!(Origin::of_url(url), origin.and_then(Origin::parse), "{url}");
    }
}

#[test]
fn a_host_line_says_the_same_origin_in_more_than_one_way() {
    let origin = Origin::parse("https://a.test").unwrap();
    for host in ["a.test", "A.Test", "a.test:443"] {
        assert!(origin.is_at("https", host), "{host}");
    }
    for (scheme, host) in [
        ("http", "a.test"),
        ("https", "a.test:80"),
        ("https", "b.a.test"),
        ("https", "a.test:"),
        ("https", "a.test:443:443"),
        ("https", ""),
    ] {
        assert!(!origin.is_at(scheme, host), "{scheme} {host}");
    }
    let port = Origin::parse("http://a.test:8080").unwrap();
    assert!(port.is_at("http", "a.test:8080") && !port.is_at("http", "a.test"));
}
