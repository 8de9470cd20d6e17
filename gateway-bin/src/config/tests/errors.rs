//! Every kind of error and warning with its exact words.

use super::*;

/// The errors of a route with `line` in it; it stands on line 6.
fn route_errors(line: &str) -> Vec<String> {
    errors(&format!(
        "{LISTENER}[[routes]]\nid = \"a\"\ntarget = {{ module = \"users\" }}\n{line}\n"
    ))
}

/// The errors of a listener with `line` in it; it stands on line 3.
fn listener_errors(line: &str) -> Vec<String> {
    errors(&format!("{LISTENER}{line}\n"))
}

#[test]
fn all_errors_are_said_at_once_in_the_order_of_the_document() {
    let text = "workers = -1\nwokers = 2\n[[listeners]]\nadress = \"127.0.0.1:80\"\n\
                [clusters.orders]\nendpoints = []\nbalance = \"round_robbin\"\n\
                [[routes]]\nid = \"a\"\nmatch = { path = \"orders\" }\n\
                target = { cluster = \"ordres\" }\npolicy.timeout = 30\n";
    assert_eq!(
        errors(text),
        [
            "g.toml:1:11: workers: found -1, expected a number from 0 to 1024",
            "g.toml:2:1: wokers: unknown key, expected one of `workers`, `listeners`, `clusters`, \
         `routes`, `drain`, `startup`, `registry`, `identity`, `stores`, `audit`, `admin`, `metrics`; did you mean \"workers\"?",
            "g.toml:3:1: listeners[0].address: missing, expected \"IP:PORT\" such as \
         \"127.0.0.1:8080\", or \"unix:/PATH\"",
            "g.toml:4:1: listeners[0].adress: unknown key, expected one of `address`, `name`, \
         `unix_mode`, `protocol`, `proxy_protocol`, `tls`, `redirect`, `path`, `forwarded`, `limits`, `timeouts`; did you mean \
         \"address\"?",
            "g.toml:6:13: clusters.orders.endpoints: found an empty list, expected at least one \
         endpoint",
            "g.toml:7:11: clusters.orders.balance: found \"round_robbin\", expected one of \
         \"round_robin\", \"weighted_round_robin\", \"random\", \"least_requests\", \
         \"power_of_two\", \"peak_ewma\", \"consistent_hash\"; did you mean \"round_robin\"?",
            "g.toml:10:18: routes[0].match.path: found \"orders\", expected a path that a \
         request can have (path does not begin with '/')",
            "g.toml:11:22: routes[0].target.cluster: found \"ordres\", expected the name of a \
             cluster \
         (\"orders\"); did you mean \"orders\"?",
            "g.toml:12:18: routes[0].policy.timeout: found 30, expected a duration such as \
             \"250ms\", \
         \"30s\", \"5m\" or \"1h\"",
        ]
    );
}

#[test]
fn a_document_without_anything() {
    assert_eq!(errors(""), ["g.toml: listeners: missing, expected at least one [[listeners]]"]);
    assert_eq!(
        errors("listeners = []\n"),
        ["g.toml:1:13: listeners: found an empty list, expected at least one listener"]
    );
    let reading = read(LISTENER);
    let warnings: Vec<_> = reading.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["g.toml: no routes: every request is answered with 404"]);
}

#[test]
fn files_that_cannot_be_read() {
    let error = errors_of(&Source::file("no/such.toml"));
    assert_eq!(
        error,
        ["no/such.toml: cannot be read: No such file or directory (os error 2); give the \
             path of a TOML \
         document"]
    );
}

#[test]
fn listeners() {
    for (line, expected) in [
        (
            "protocol = \"http3\"",
            "g.toml:3:12: listeners[0].protocol: found \"http3\", expected one of \"auto\", \
             \"http1\", \"http2\"; did you mean \"http1\"?",
        ),
        ("name = \"\"", "g.toml:3:8: listeners[0].name: found \"\", expected a name"),
        (
            "proxy_protocol = { trusted = [] }",
            "g.toml:3:30: listeners[0].proxy_protocol.trusted: found an empty list, expected at \
             least one network; leave `proxy_protocol` out to trust nobody",
        ),
        (
            "proxy_protocol = {}",
            "g.toml:3:18: listeners[0].proxy_protocol.trusted: missing, expected a list of \
             networks such as [\"10.0.0.0/8\"]",
        ),
        (
            "forwarded = { trusted = [\"10.0.0.0/33\"] }",
            "g.toml:3:26: listeners[0].forwarded.trusted[0]: found \"10.0.0.0/33\", expected a \
             network such as \"10.0.0.0/8\", or an address",
        ),
        (
            "path = { merge_slashes = \"yes\" }",
            "g.toml:3:26: listeners[0].path.merge_slashes: found \"yes\", expected true or false",
        ),
        (
            "limits = { uri = \"8KB\" }",
            "g.toml:3:18: listeners[0].limits.uri: found \"8KB\", expected a size such as \
             \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"",
        ),
        (
            "limits = { uri = \"1MiB\" }",
            "g.toml:3:18: listeners[0].limits.uri: `uri` is more than `headers`, which counts the \
             start line too",
        ),
        (
            "timeouts = { idle = \"9000h\" }",
            "g.toml:3:21: listeners[0].timeouts.idle: found \"9000h\", expected at most a year, \
             \"8760h\"",
        ),
        (
            "tls = { certificates = [] }",
            "g.toml:3:24: listeners[0].tls.certificates: found an empty list, expected at least \
             one certificate",
        ),
        (
            "limits = 3",
            "g.toml:3:10: listeners[0].limits: found 3, expected a table such as { uri = \"8KiB\", \
             headers = \"64KiB\" }",
        ),
    ] {
        assert_eq!(listener_errors(line), [expected], "{line}");
    }
}

#[test]
fn listeners_in_each_others_way() {
    let twice = format!(
        "{LISTENER}{LISTENER}name = \"b\"\n[[listeners]]\naddress = \"[::]:1\"\nname = \"b\"\n"
    );
    assert_eq!(
        errors(&twice),
        [
            "g.toml:4:11: listeners[1].address: found \"127.0.0.1:80\", which is the address of \
         listeners[0] already",
            "g.toml:8:8: listeners[2].name: found \"b\", which is the name of listeners[1] \
             already, \
         expected one of its own",
        ]
    );
    let any_port = "[[listeners]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n\
                    [[listeners]]\nname = \"b\"\naddress = \"127.0.0.1:0\"\n";
    assert_eq!(read(any_port).document.listeners.len(), 2);
}

#[test]
fn matches() {
    for (line, expected) in [
        ("", "g.toml:3:1: routes[0].match: missing, expected a table such as { prefix = \"/\" }"),
        (
            "match = []",
            "g.toml:6:9: routes[0].match: found an empty list, expected at least one match",
        ),
        (
            "match = { path = \"/a\", prefix = \"/a\" }",
            "g.toml:6:33: routes[0].match.prefix: `prefix` together with `path`, expected only one",
        ),
        (
            "match = { methods = [\"GET\", \"G T\"] }",
            "g.toml:6:29: routes[0].match.methods[1]: found \"G T\", expected a method such as \
             `GET`",
        ),
        (
            "match = { headers = [{ name = \"x y\", exact = \"1\" }] }",
            "g.toml:6:31: routes[0].match.headers[0].name: found \"x y\", expected a header name",
        ),
        (
            "match = { query = [{ name = \"v\" }] }",
            "g.toml:6:20: routes[0].match.query[0]: no condition, expected one of `exact`, \
             `prefix`, `suffix`, `contains`, `regex`, `present`, `not`",
        ),
        (
            "match = {}\nlistener = [\"publik\"]",
            "g.toml:7:13: routes[0].listener[0]: found \"publik\", expected the name of a listener \
             (\"127.0.0.1:80\")",
        ),
        (
            "match = {}\nlistener = \"publik\"",
            "g.toml:7:12: routes[0].listener: found \"publik\", expected the name of a listener \
             (\"127.0.0.1:80\")",
        ),
        (
            "match = { path = \"/a\" }\nrewrite = { prefix = \"/b\" }",
            "g.toml:7:22: routes[0].rewrite.prefix: route `a`, match 1: rewrite.prefix needs a \
             prefix match",
        ),
        (
            "match = { path = \"/a/{b}\" }\nrewrite = { path = \"/{c}\" }",
            "g.toml:7:20: routes[0].rewrite.path: route `a`, match 1: rewrite.path asks for \
             `{c}`, which the match does not have",
        ),
    ] {
        assert_eq!(route_errors(line), [expected], "{line}");
    }
}

#[test]
fn routes_in_each_others_way() {
    let route = |id: &str, matching: &str| {
        format!(
            "[[routes]]\nid = \"{id}\"\nmatch = {matching}\ntarget = {{ module = \"users\" }}\n"
        )
    };
    let text = format!(
        "{LISTENER}{}{}{}",
        route("a", "{ prefix = \"/a\" }"),
        route("b", "[{ path = \"/b\" }, { prefix = \"/a/\" }]"),
        route("a", "{ path = \"/c\" }")
    );
    assert_eq!(
        errors(&text),
        ["g.toml:12:6: routes[2].id: found \"a\", which is the id of routes[0] already, \
             expected \
         one of its own",]
    );
    let text = format!(
        "{LISTENER}{}priority = 1\n{}",
        route("a", "{ prefix = \"/\" }"),
        route("b", "{ path = \"/b\" }")
    );
    let warnings: Vec<_> = read(&text).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["g.toml:10:9: routes[1].match: route `b`, match 1: can never take a request, match 1 of \
         route `a` takes them all before"]
    );
}

#[test]
fn a_document_made_in_code_is_checked_too() {
    let mut document = read(include_str!("../../../../examples/config/minimal.toml")).document;
    document.clusters.clear();
    let problems = Reading::of(document, &modules()).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "document: routes[0].target.cluster: found \"orders\", expected the name of a cluster \
         (there is none)"
    );
}
