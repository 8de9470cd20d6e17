//! Every kind of error and warning with its exact words.

use super::*;

/// The errors of a route with `line` in it; it stands on line 6.
fn route_errors(line: &str) -> Vec<String> {
    errors(&format!(
        "{LISTENER}[[routes]]\nid = \"a\"\ntarget = {{ module = \"users\" }}\n{line}\n"
    ))
}

/// The errors of a cluster with `line` in it; it stands on line 4.
fn cluster_errors(line: &str) -> Vec<String> {
    errors(&format!("{LISTENER}[clusters.a]\n{line}\n"))
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
         `routes`, `drain`; did you mean \"workers\"?",
            "g.toml:3:1: listeners[0].address: missing, expected \"IP:PORT\" such as \
         \"127.0.0.1:8080\", or \"unix:/PATH\"",
            "g.toml:4:1: listeners[0].adress: unknown key, expected one of `address`, `name`, \
         `protocol`, `proxy_protocol`, `path`, `forwarded`, `limits`, `timeouts`; did you mean \
         \"address\"?",
            "g.toml:6:13: clusters.orders.endpoints: found an empty list, expected at least one \
         endpoint",
            "g.toml:7:11: clusters.orders.balance: found \"round_robbin\", expected one of \
         \"round_robin\", \"power_of_two\"; did you mean \"round_robin\"?",
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
            "g.toml:3:1: listeners[0].tls: unknown key, expected one of `address`, `name`, \
             `protocol`, `proxy_protocol`, `path`, `forwarded`, `limits`, `timeouts`",
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
fn clusters() {
    for (line, expected) in [
        (
            "balance = \"round_robin\"",
            "g.toml:3:1: clusters.a.endpoints: missing, expected a list of endpoints",
        ),
        (
            "endpoints = [\"127.0.0.1:9000\"]",
            "g.toml:4:14: clusters.a.endpoints[0]: found \"127.0.0.1:9000\", expected \
             http://HOST[:PORT], h2c://HOST[:PORT], https://HOST[:PORT] or unix:/PATH, without a \
             path",
        ),
        (
            "endpoints = [\"http://b\", { url = \"http://b:80\" }]",
            "g.toml:4:26: clusters.a.endpoints[1]: found \"http://b:80\", which is in the list \
             already",
        ),
        (
            "endpoints = [{ url = \"http://b\", weight = 2 }]",
            "g.toml:4:34: clusters.a.endpoints[0].weight: unknown key, expected one of `url`",
        ),
        (
            "endpoints = [\"http://b\"]\nhost = \"a b\"",
            "g.toml:5:8: clusters.a.host: found \"a b\", expected \"preserve\", \"endpoint\" or a \
             host name with an optional port",
        ),
        (
            "endpoints = [\"http://b\"]\npool = { total = 10 }",
            "g.toml:5:18: clusters.a.pool.total: `idle` (64) is more than `total` (10), expected \
             at most as many",
        ),
        (
            "endpoints = [\"http://b\"]\npool = { pending_timeout = \"0s\" }",
            "g.toml:5:28: clusters.a.pool.pending_timeout: found \"0s\", expected more than \
             nothing: it cannot be off",
        ),
    ] {
        assert_eq!(cluster_errors(line), [expected], "{line}");
    }
}

#[test]
fn a_cluster_that_nothing_leads_to_is_a_warning() {
    let cluster = "[clusters.\"a b\"]\nendpoints = [\"http://b\"]\n";
    let reading = read(&format!("routes = []\n{LISTENER}{cluster}"));
    let warnings: Vec<_> = reading.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["g.toml:4:1: clusters.\"a b\": no route leads to this cluster"]);
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
fn policies() {
    for (line, expected) in [
        (
            "match = {}\nmetadata = { team = 3 }",
            "g.toml:7:21: routes[0].metadata.team: found 3, expected text",
        ),
        (
            "match = {}\npolicy.body_limit = 10",
            "g.toml:7:21: routes[0].policy.body_limit: found 10, expected a size such as \
             \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"",
        ),
        (
            "match = {}\npolicy.request_headers = { set = { host = \"b\" } }",
            "g.toml:7:43: routes[0].policy.request_headers.set.host: found \"host\", expected \
             another header (`rewrite.host` sets the host)",
        ),
        (
            "match = {}\npolicy.response_headers = { remove = [\"connection\"] }",
            "g.toml:7:39: routes[0].policy.response_headers.remove[0]: found \"connection\", \
             expected a header that does not frame the message or belong to the connection",
        ),
        (
            "match = {}\npolicy.retry = {}",
            "g.toml:7:8: routes[0].policy.retry: unknown key, expected one of `timeout`, \
             `request_headers`, `response_headers`, `body_limit`",
        ),
    ] {
        assert_eq!(route_errors(line), [expected], "{line}");
    }
}

/// The errors of a route with this target; it stands on line 6.
fn target_errors(target: &str) -> Vec<String> {
    let route = "[[routes]]\nid = \"a\"\nmatch = { path = \"/a\" }\n";
    errors(&format!("{LISTENER}{route}target = {target}\n"))
}

#[test]
fn targets() {
    for (target, expected) in [
        (
            "{}",
            "g.toml:6:10: routes[0].target: no target, expected one of `cluster`, `module`, \
             `redirect`, `respond`",
        ),
        (
            "{ module = \"user\" }",
            "g.toml:6:21: routes[0].target.module: found \"user\", expected the name of a module \
             of this program (\"users\"); did you mean \"users\"?",
        ),
        (
            "{ cluster = \"a\" }",
            "g.toml:6:22: routes[0].target.cluster: found \"a\", expected the name of a cluster \
             (there is none)",
        ),
        (
            "{ redirect = { status = 200 } }",
            "g.toml:6:34: routes[0].target.redirect.status: found 200, expected 301, 302, 303, \
             307 or 308",
        ),
        (
            "{ redirect = { prefix = \"/b\" } }",
            "g.toml:6:34: routes[0].target.redirect.prefix: needs every match of the route to be \
             a prefix",
        ),
        (
            "{ respond = { status = 204, body = \"a\" } }",
            "g.toml:6:45: routes[0].target.respond.body: found \"a\", expected no body: a 204 \
             answer has none",
        ),
        (
            "{ respond = { body = \"a\", content_type = \"a\\nb\" } }",
            "g.toml:6:51: routes[0].target.respond.content_type: found \"a\\nb\", expected a media \
             type such as \"text/plain\"",
        ),
    ] {
        assert_eq!(target_errors(target), [expected], "{target}");
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
fn a_try_longer_than_its_request_is_a_warning() {
    let text = format!(
        "{LISTENER}[clusters.a]\nendpoints = [\"http://b\"]\ntimeouts = {{ try = \"1m\" }}\n\
         [[routes]]\nid = \"r\"\nmatch = {{}}\ntarget = {{ cluster = \"a\" }}\n"
    );
    let warnings: Vec<_> = read(&text).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["g.toml:6:1: routes[0].policy.timeout: a try of clusters.a may take 1m, longer than the \
         30s of the whole request"]
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
