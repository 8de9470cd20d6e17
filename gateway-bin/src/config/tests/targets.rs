//! `target` of a route.

use super::*;

/// The errors of a route with this target; it stands on line 6.
fn target_errors(target: &str) -> Vec<String> {
    errors(&route(target))
}

/// The same, where there is a registry.
fn registry_errors(target: &str) -> Vec<String> {
    let registry = "[registry]\nauthentication = \"off\"\nallow = [\"10.0.0.0/8\"]\n";
    errors(&format!("{}{registry}", route(target)))
}

fn route(target: &str) -> String {
    let route = "[[routes]]\nid = \"a\"\nmatch = { path = \"/a\" }\n";
    format!("{LISTENER}{route}target = {target}\n")
}

#[test]
fn targets() {
    for (line, expected) in [
        (
            "{}",
            "g.toml:6:10: routes[0].target: no target, expected one of `cluster`, `module`, \
             `split`, `registry`, `capability`, `redirect`, `respond`",
        ),
        (
            "{ module = \"user\" }",
            "g.toml:6:21: routes[0].target.module: found \"user\", expected the name of a \
             module of this program (\"users\"); did you mean \"users\"?",
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
            "g.toml:6:34: routes[0].target.redirect.prefix: needs every match of the route to \
             be a prefix",
        ),
        (
            "{ respond = { status = 204, body = \"a\" } }",
            "g.toml:6:45: routes[0].target.respond.body: found \"a\", expected no body: a 204 \
             answer has none",
        ),
        (
            "{ respond = { body = \"a\", content_type = \"a\\nb\" } }",
            "g.toml:6:51: routes[0].target.respond.content_type: found \"a\\nb\", expected a \
             media type such as \"text/plain\"",
        ),
        (
            "{ module = \"users\", redirect = {} }",
            "g.toml:6:41: routes[0].target.redirect: `redirect` together with `module`, \
             expected only one",
        ),
    ] {
        assert_eq!(target_errors(line), [expected], "{line}");
    }
}

#[test]
fn splits() {
    for (line, expected) in [
        (
            "{ split = [] }",
            "g.toml:6:20: routes[0].target.split: found an empty list, expected 1 to 64 entries",
        ),
        (
            "{ split = \"a\" }",
            "g.toml:6:20: routes[0].target.split: found \"a\", expected a list such as [{ \
             cluster = \"a\", weight = 90 }, { cluster = \"b\", weight = 10 }]",
        ),
        (
            "{ split = [{ weight = 1 }] }",
            "g.toml:6:21: routes[0].target.split[0]: leads nowhere, expected one of `cluster`, \
             `module`",
        ),
        (
            "{ split = [{ module = \"users\" }, { module = \"users\" }] }",
            "g.toml:6:43: routes[0].target.split[1]: found \"users\" twice, expected a `name` \
             of its own",
        ),
        (
            "{ split = [{ module = \"users\" }, { cluster = \"b\" }] }",
            "g.toml:6:55: routes[0].target.split[1].cluster: found \"b\", expected the name of \
             a cluster (there is none)",
        ),
        (
            "{ split = [{ module = \"users\", weight = -1 }] }",
            "g.toml:6:50: routes[0].target.split[0].weight: found -1, expected a number from 0 \
             to 1000000",
        ),
        (
            "{ split = [{ module = \"users\" }], split_by = [\"session\"] }",
            "g.toml:6:56: routes[0].target.split_by[0]: found \"session\", expected \
             `header:NAME`, `cookie:NAME`, `param:NAME`, `principal` or `ip`",
        ),
        (
            "{ split = [{ module = \"users\" }], force_header = \"x y\" }",
            "g.toml:6:59: routes[0].target.force_header: found \"x y\", expected the name of a \
             header field",
        ),
        (
            "{ module = \"users\", force_header = \"x-a\" }",
            "g.toml:6:30: routes[0].target.force_header: unknown key, expected one of \
             `cluster`, `module`, `split`, `registry`, `capability`, `redirect`, `respond`",
        ),
    ] {
        assert_eq!(target_errors(line), [expected], "{line}");
    }
}

#[test]
fn a_registry_is_needed_for_what_is_registered() {
    for (line, expected) in [
        (
            "{ registry = {} }",
            "g.toml:6:23: routes[0].target.registry: there is no [registry] in the document",
        ),
        (
            "{ capability = { param = { a = \"b\" } } }",
            "g.toml:6:25: routes[0].target.capability: there is no [registry] in the document",
        ),
    ] {
        assert_eq!(target_errors(line), [expected], "{line}");
    }
}

#[test]
fn capabilities() {
    for (line, expected) in [
        (
            "{ registry = { prefix = \"/a\" } }",
            "g.toml:6:25: routes[0].target.registry.prefix: unknown key, expected none",
        ),
        (
            "{ capability = {} }",
            "g.toml:6:25: routes[0].target.capability: nothing is asked for, expected one of \
             `metadata`, `param`, `header`, `query`",
        ),
        (
            "{ capability = { header = { a = \"x y\" } } }",
            "g.toml:6:42: routes[0].target.capability.header.a: found \"x y\", expected the \
             name of a header field",
        ),
        (
            "{ capability = { param = { a = \"b\" }, selection = \"any\" } }",
            "g.toml:6:60: routes[0].target.capability.selection: found \"any\", expected one of \
             \"least_loaded\", \"first\"",
        ),
    ] {
        assert_eq!(registry_errors(line), [expected], "{line}");
    }
}

#[test]
fn a_registry_that_cannot_be_read_is_said_once() {
    let text = format!("{}[registry]\nauthentication = \"off\"\n", route("{ registry = {} }"));
    assert_eq!(
        errors(&text),
        ["g.toml:7:1: registry.allow: missing, expected networks such as [\"10.0.0.0/8\"]"]
    );
}

#[test]
fn an_entry_is_called_by_where_it_leads() {
    let reading = read(&route("{ split = [{ module = \"users\" }] }"));
    let Target::Split(split) = &reading.document.routes[0].target else { panic!("{reading:?}") };
    let [entry] = split.entries.as_slice() else { panic!("{split:?}") };
    assert_eq!((entry.name.as_str(), entry.weight), ("users", 1));
    assert!(split.by.is_empty() && split.force_header.is_none());
}

#[test]
fn a_split_of_weight_nothing_is_a_warning() {
    assert_eq!(
        warnings(&route("{ split = [{ module = \"users\", weight = 0 }] }")),
        ["g.toml:6:20: routes[0].target.split: every weight is 0: requests are answered with 500"]
    );
}
