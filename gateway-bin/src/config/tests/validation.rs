//! What looks at the head of a request: CORS, security headers, lists, CSRF.

use super::*;

/// The errors of a route with `line` in it; it stands on line 7.
fn route_errors(line: &str) -> Vec<String> {
    errors(&document(line))
}

fn document(line: &str) -> String {
    let target = "target = { module = \"users\" }";
    format!("{LISTENER}[[routes]]\nid = \"a\"\n{target}\nmatch = {{}}\n{line}\n")
}

fn policy(line: &str) -> Policy {
    let reading = read(&document(line));
    assert_eq!(reading.warnings, []);
    reading.document.routes[0].policy.clone()
}

#[track_caller]
fn assert_errors(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        assert_eq!(route_errors(line), [*expected], "{line}");
    }
}

#[test]
fn cors() {
    assert_errors(&[
        (
            "policy.cors = {}",
            "g.toml:7:15: routes[0].policy.cors.allow_origins: missing, expected a list such as \
             [\"https://*.example.com\"]",
        ),
        (
            "policy.cors = { allow_origins = [] }",
            "g.toml:7:33: routes[0].policy.cors.allow_origins: found an empty list, expected at \
             least one origin",
        ),
        (
            "policy.cors = { allow_origins = [\"example.com\"] }",
            "g.toml:7:34: routes[0].policy.cors.allow_origins[0]: found \"example.com\", expected \
             an origin such as \"https://app.example.com\", \"https://*.example.com\" or \"*\"",
        ),
        (
            "policy.cors = { allow_origins = [\"https://a.test/\"] }",
            "g.toml:7:34: routes[0].policy.cors.allow_origins[0]: found \"https://a.test/\", \
             expected an origin, which ends with its host or port",
        ),
        (
            "policy.cors = { allow_origins = [\"*\"], allow_credentials = true }",
            "g.toml:7:33: routes[0].policy.cors.allow_origins: found a list, expected origins by \
             name: with `allow_credentials` every site could act as its visitor",
        ),
        (
            "policy.cors = { allow_origins = [\"*\"], allow_methods = [\"get\"] }",
            "g.toml:7:57: routes[0].policy.cors.allow_methods[0]: found \"get\", expected `GET`",
        ),
        (
            "policy.cors = { allow_origins = [\"*\"], allow_headers = [\"x a\"] }",
            "g.toml:7:57: routes[0].policy.cors.allow_headers[0]: found \"x a\", expected a header \
             name",
        ),
        (
            "policy.cors = { allow_origins = [\"https://a.test\"], expose_headers = \"*\", \
             allow_credentials = true }",
            "g.toml:7:70: routes[0].policy.cors.expose_headers: found \"*\", expected names: with \
             `allow_credentials` browsers take `*` for a name",
        ),
        (
            "policy.cors = { allow_origins = [\"*\"], credentials = true }",
            "g.toml:7:40: routes[0].policy.cors.credentials: unknown key, expected one of \
             `allow_origins`, `allow_methods`, `allow_headers`, `expose_headers`, \
             `allow_credentials`, `max_age`",
        ),
    ]);
    let cors = policy(
        "policy.cors = { allow_origins = [\"https://a.test\"], allow_methods = \
        \"*\", allow_headers = [\"*\", \"Authorization\"], allow_credentials = true }",
    );
    let config = cors.cors.unwrap().config().clone();
    assert!(config.allow_methods.any && config.allow_headers.any);
    assert_eq!(config.allow_headers.listed, [http::header::AUTHORIZATION]);
    assert_eq!(config.max_age, None);
}

#[test]
fn a_route_whose_preflights_never_come_is_pointed_out() {
    let matches = |text: &str| {
        let cors = "policy.cors = { allow_origins = [\"*\"] }";
        document(cors).replace("match = {}", &format!("match = {text}"))
    };
    let said = warnings(&matches("{ headers = [{ name = \"x-env\", exact = \"a\" }] }"));
    assert_eq!(
        said,
        ["g.toml:7:15: routes[0].policy.cors: no preflight gets here: it has none of the headers \
          that every match of the route asks for"]
    );
    for good in [
        "{ headers = [{ name = \"x-env\", not = { present = true } }] }",
        "{ headers = [{ name = \"origin\", prefix = \"https://\" }] }",
        "[{ headers = [{ name = \"x-env\", exact = \"a\" }] }, { prefix = \"/a\" }]",
    ] {
        assert_eq!(warnings(&matches(good)), [""; 0], "{good}");
    }
}

#[test]
fn security_headers() {
    assert_errors(&[
        (
            "policy.security_headers = \"on\"",
            "g.toml:7:27: routes[0].policy.security_headers: found \"on\", expected true or a \
             table such as { frame_options = \"SAMEORIGIN\" }",
        ),
        (
            "policy.security_headers = { hsts = true }",
            "g.toml:7:36: routes[0].policy.security_headers.hsts: found true, expected the value \
             of a header field, or \"off\"",
        ),
        (
            "policy.security_headers = { hsts = \"\" }",
            "g.toml:7:36: routes[0].policy.security_headers.hsts: found \"\", expected the value \
             of a header field, or \"off\"",
        ),
    ]);
    let preset = gateway_layers::security_headers::SecurityHeadersConfig::default();
    for line in ["policy.security_headers = true", "policy.security_headers = {}"] {
        assert_eq!(*policy(line).security_headers.unwrap().config(), preset, "{line}");
    }
    assert!(policy("policy.security_headers = false").security_headers.is_none());
    let some = policy("policy.security_headers = { hsts = \"off\", replace = true }");
    let config = some.security_headers.unwrap().config().clone();
    assert!(config.hsts.is_none() && config.replace && config.frame_options.is_some());
}

#[test]
fn addresses() {
    assert_errors(&[
        (
            "policy.ip = {}",
            "g.toml:7:13: routes[0].policy.ip: no list, expected one of `allow`, `allow_file`, \
             `deny`, `deny_file`",
        ),
        (
            "policy.ip = { allow = [] }",
            "g.toml:7:23: routes[0].policy.ip.allow: found an empty list, expected at least one \
             network",
        ),
        (
            "policy.ip = { deny = [\"10.0.0.0/33\"] }",
            "g.toml:7:23: routes[0].policy.ip.deny[0]: found \"10.0.0.0/33\", expected a network \
             such as \"10.0.0.0/8\", or an address",
        ),
    ]);
    let missing = route_errors("policy.ip = { deny_file = \"/there/is/none\" }");
    assert!(missing[0].contains("deny_file: \"/there/is/none\" cannot be read"), "{missing:?}");
    let ip = policy("policy.ip = { deny = [\"192.0.2.1\"] }").ip.unwrap();
    assert!(ip.allowed().is_none());
    assert!(!ip.admits("192.0.2.1".parse().unwrap()) && ip.admits("192.0.2.2".parse().unwrap()));
}

#[test]
fn addresses_from_a_file() {
    let path = std::env::temp_dir().join(format!("gateway-networks-{}", std::process::id()));
    let line = format!("policy.ip = {{ allow = [\"::1\"], allow_file = {path:?} }}");
    std::fs::write(&path, "# the office\n10.0.0.0/8\n\n192.0.2.7  # one\n").unwrap();
    let ip = policy(&line).ip.unwrap();
    assert_eq!(ip.allowed().unwrap().len(), 3);
    for address in ["10.1.2.3", "192.0.2.7", "::1"] {
        assert!(ip.admits(address.parse().unwrap()), "{address}");
    }
    assert!(!ip.admits("192.0.2.8".parse().unwrap()));
    std::fs::write(&path, "10.0.0.0/8\nhere\n").unwrap();
    let said = route_errors(&line);
    assert!(
        said[0].ends_with(
            "routes[0].policy.ip.allow_file: line 2: found \"here\", expected a network such as \
         \"10.0.0.0/8\", or an address"
        ),
        "{said:?}"
    );
    std::fs::write(&path, "# nobody yet\n").unwrap();
    let said = route_errors(&line);
    assert!(said[0].ends_with("no network in the file, expected at least one"), "{said:?}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn methods_and_content_types() {
    assert_errors(&[
        (
            "policy.methods = []",
            "g.toml:7:18: routes[0].policy.methods: found an empty list, expected at least one \
             method; leave it out for every method",
        ),
        (
            "policy.methods = [\"get\"]",
            "g.toml:7:19: routes[0].policy.methods[0]: found \"get\", expected `GET`",
        ),
        (
            "policy.content_types = []",
            "g.toml:7:24: routes[0].policy.content_types: found an empty list, expected at least \
             one media type; leave it out for any",
        ),
        (
            "policy.content_types = [\"json\"]",
            "g.toml:7:25: routes[0].policy.content_types[0]: found \"json\", expected a media type \
             such as \"application/json\", \"application/*+json\" or \"image/*\"",
        ),
    ]);
}

#[test]
fn csrf() {
    assert_errors(&[
        (
            "policy.csrf = \"strict\"",
            "g.toml:7:15: routes[0].policy.csrf: found \"strict\", expected true or a table such \
             as { cookies = [\"session\"] }",
        ),
        (
            "policy.csrf = { trusted_origins = [\"*\"] }",
            "g.toml:7:35: routes[0].policy.csrf.trusted_origins: found a list, expected origins \
             that not every site can have",
        ),
        (
            "policy.csrf = { cookies = [] }",
            "g.toml:7:27: routes[0].policy.csrf.cookies: found an empty list, expected at least \
             one name; leave it out to check every request",
        ),
        (
            "policy.csrf = { cookies = [\"a=b\"] }",
            "g.toml:7:28: routes[0].policy.csrf.cookies[0]: found \"a=b\", expected the name of a \
             cookie",
        ),
    ]);
    let all = policy("policy.csrf = true").csrf.unwrap();
    assert_eq!(*all.config(), gateway_layers::csrf::CsrfConfig::default());
    assert!(policy("policy.csrf = false").csrf.is_none());
}
