//! `policy` of a route.

use super::*;

/// The errors of a route with `line` in it; it stands on line 7.
fn route_errors(line: &str) -> Vec<String> {
    errors(&route(line))
}

fn route(line: &str) -> String {
    let target = "target = { module = \"users\" }";
    format!("{LISTENER}[[routes]]\nid = \"a\"\n{target}\nmatch = {{}}\n{line}\n")
}

#[test]
fn policies() {
    for (line, expected) in [
        ("metadata = { team = 3 }", "g.toml:7:21: routes[0].metadata.team: found 3, expected text"),
        (
            "policy.body_limit = 10",
            "g.toml:7:21: routes[0].policy.body_limit: found 10, expected a size such as \
             \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"",
        ),
        (
            "policy.request_headers = { set = { host = \"b\" } }",
            "g.toml:7:43: routes[0].policy.request_headers.set.host: found \"host\", expected \
             another header (`rewrite.host` sets the host)",
        ),
        (
            "policy.response_headers = { remove = [\"connection\"] }",
            "g.toml:7:39: routes[0].policy.response_headers.remove[0]: found \"connection\", \
             expected a header that does not frame the message or belong to the connection",
        ),
        (
            "policy.retries = {}",
            "g.toml:7:8: routes[0].policy.retries: unknown key, expected one of `public`, \
             `identity`, `mtls`, `jwt`, `introspection`, `delegated`, `api_key`, `basic`, \
             `service_token`, `signature`, `authorize`, `external_auth`, `rate_limit`, `timeout`, \
             `honor_client_deadline`, `attempt_timeout`, `response_head_timeout`, `tunnel_idle`, `retry`, `hedge`, `mirror`, \
             `fallback`, `request_headers`, \
             `response_headers`, `body_limit`, `security_headers`, `cors`, `ip`, `methods`, \
             `content_types`, `csrf`",
        ),
    ] {
        assert_eq!(route_errors(line), [expected], "{line}");
    }
}

#[test]
fn retries_and_hedges() {
    for (line, expected) in [
        (
            "policy.retry = { max_retries = 11 }",
            "g.toml:7:32: routes[0].policy.retry.max_retries: found 11, expected a number from \
             0 to 10",
        ),
        (
            "policy.retry = { on = [\"conect\"] }",
            "g.toml:7:24: routes[0].policy.retry.on[0]: found \"conect\", expected one of \
             \"connect\", \"reset\", \"timeout\", \"unavailable\"; did you mean \"connect\"?",
        ),
        (
            "policy.retry = { statuses = [200] }",
            "g.toml:7:30: routes[0].policy.retry.statuses[0]: found 200, expected a number from \
             400 to 599",
        ),
        (
            "policy.retry = { methods = [\"P T\"] }",
            "g.toml:7:29: routes[0].policy.retry.methods[0]: found \"P T\", expected a method \
             such as \"POST\"",
        ),
        (
            "policy.retry = { replay_limit = \"0B\" }",
            "g.toml:7:33: routes[0].policy.retry.replay_limit: found \"0B\", expected more than \
             \"0B\"",
        ),
        (
            "policy.retry = { budget = { ratio = -1 } }",
            "g.toml:7:37: routes[0].policy.retry.budget.ratio: found -1, expected a number from \
             0 to 10",
        ),
        (
            "policy.hedge = { delay = \"50ms\", percentile = 95 }",
            "g.toml:7:47: routes[0].policy.hedge.percentile: `percentile` together with \
             `delay`, expected only one",
        ),
        (
            "policy.hedge = { percentile = 0.95 }",
            "g.toml:7:31: routes[0].policy.hedge.percentile: found 0.95, expected a number from \
             1 to 100",
        ),
        (
            "policy.hedge = { delay = \"0s\" }",
            "g.toml:7:26: routes[0].policy.hedge.delay: found \"0s\", expected more than \
             nothing: it cannot be off",
        ),
        (
            "policy.hedge = { max_extra = 5 }",
            "g.toml:7:30: routes[0].policy.hedge.max_extra: found 5, expected a number from 0 \
             to 4",
        ),
    ] {
        assert_eq!(route_errors(line), [expected], "{line}");
    }
}

#[test]
fn mirrors_and_fallbacks() {
    for (line, expected) in [
        (
            "policy.mirror = {}",
            "g.toml:7:17: routes[0].policy.mirror: leads nowhere, expected one of `cluster`, \
             `module`",
        ),
        (
            "policy.mirror = { cluster = \"b\" }",
            "g.toml:7:29: routes[0].policy.mirror.cluster: found \"b\", expected the name of a \
             cluster (there is none)",
        ),
        (
            "policy.mirror = [{ module = \"users\" }, { module = \"user\" }]",
            "g.toml:7:51: routes[0].policy.mirror[1].module: found \"user\", expected the name \
             of a module of this program (\"users\"); did you mean \"users\"?",
        ),
        (
            "policy.mirror = { module = \"users\", percent = 200 }",
            "g.toml:7:47: routes[0].policy.mirror.percent: found 200, expected a number from 0 \
             to 100",
        ),
        (
            "policy.mirror = { module = \"users\", methods = \"unsafe\" }",
            "g.toml:7:47: routes[0].policy.mirror.methods: found \"unsafe\", expected \"safe\", \
             \"all\" or a list of methods",
        ),
        (
            "policy.fallback = {}",
            "g.toml:7:19: routes[0].policy.fallback: leads nowhere, expected one of `cluster`, \
             `module`, `respond`",
        ),
        (
            "policy.fallback = { cluster = \"b\" }",
            "g.toml:7:31: routes[0].policy.fallback.cluster: found \"b\", expected the name of \
             a cluster (there is none)",
        ),
        (
            "policy.fallback = { module = \"users\", respond = {} }",
            "g.toml:7:49: routes[0].policy.fallback.respond: `respond` together with `module`, \
             expected only one",
        ),
        (
            "policy.fallback = { module = \"users\", on = [\"timeouts\"] }",
            "g.toml:7:45: routes[0].policy.fallback.on[0]: found \"timeouts\", expected one of \
             \"connect\", \"reset\", \"invalid\", \"timeout\", \"unavailable\", \"failed\"; did \
             you mean \"timeout\"?",
        ),
        (
            "policy.fallback = { module = \"users\", statuses = [404] }",
            "g.toml:7:51: routes[0].policy.fallback.statuses[0]: found 404, expected a number \
             from 500 to 599",
        ),
        (
            "policy.fallback = { respond = { status = 99 } }",
            "g.toml:7:42: routes[0].policy.fallback.respond.status: found 99, expected a number \
             from 200 to 599",
        ),
    ] {
        assert_eq!(route_errors(line), [expected], "{line}");
    }
}

#[test]
fn policies_have_defaults() {
    let policy = |line: &str| read(&route(line)).document.routes.remove(0).policy;
    assert_eq!(policy("policy.retry = {}").retry, Some(Retry::default()));
    assert_eq!(
        policy("policy.hedge = {}").hedge,
        Some(gateway_layers::hedge::HedgeConfig::default())
    );
    let mirrored = policy("policy.mirror = { module = \"users\" }");
    assert_eq!(mirrored.mirrors[0].settings, gateway_layers::mirror::MirrorConfig::default());
    let compared = policy("policy.mirror = { module = \"users\", compare = {} }");
    let defaults = gateway_layers::mirror::CompareConfig::default();
    assert_eq!(compared.mirrors[0].settings.compare, Some(defaults));
    let fallback = policy("policy.fallback = { respond = {} }").fallback.unwrap();
    assert_eq!(fallback.to, FallbackTo::Respond(Respond::default()));
    assert_eq!(fallback.config, gateway_layers::fallback::FallbackConfig::default());
}

#[test]
fn attempts_that_may_exceed_the_total_are_a_warning() {
    assert_eq!(
        warnings(&route("policy = { timeout = \"10s\", attempt_timeout = \"6s\", retry = {} }")),
        ["g.toml:7:22: routes[0].policy.timeout: 2 attempts of 6s may take 12s, longer than the \
             10s of the whole request"]
    );
    assert_eq!(
        warnings(&route("policy = { timeout = \"12s\", attempt_timeout = \"6s\", retry = {} }")),
        [""; 0]
    );
    assert_eq!(
        warnings(&route("policy = { timeout = \"0s\", attempt_timeout = \"6s\", retry = {} }")),
        [""; 0]
    );
}

#[test]
fn the_tries_of_a_cluster_are_counted_once() {
    let cluster = |name| format!("[clusters.{name}]\nendpoints = [\"http://b\"]\n");
    let timeouts = "timeouts = { attempt = \"20s\" }\n";
    let route = "[[routes]]\nid = \"r\"\nmatch = {}\npolicy.retry = {}\npolicy.timeout = \"30s\"\n\
                 target.split = [{ cluster = \"a\" }, { cluster = \"b\" }]\n";
    let text = format!("{LISTENER}{}{timeouts}{}{timeouts}{route}", cluster("a"), cluster("b"));
    assert_eq!(
        warnings(&text),
        [
            "g.toml:13:18: routes[0].policy.timeout: 2 attempts of 20s may take 40s, longer than the \
          30s of the whole request"
        ]
    );
}

#[test]
fn a_try_longer_than_its_request_is_a_warning() {
    let text = format!(
        "{LISTENER}[clusters.a]\nendpoints = [\"http://b\"]\ntimeouts = {{ attempt = \"1m\" }}\n\
         [[routes]]\nid = \"r\"\nmatch = {{}}\ntarget = {{ cluster = \"a\" }}\n\
         policy.timeout = \"30s\"\n"
    );
    assert_eq!(
        warnings(&text),
        [
            "g.toml:10:18: routes[0].policy.timeout: a try of clusters.a may take 1m, longer than the \
         30s of the whole request"
        ]
    );
    assert_eq!(
        warnings(&route("policy = { timeout = \"10s\", attempt_timeout = \"11s\" }")),
        [
            "g.toml:7:22: routes[0].policy.timeout: a try of the target may take 11s, longer than the \
         10s of the whole request"
        ]
    );
}

#[test]
fn a_class_that_there_is_not_is_a_warning() {
    assert_eq!(
        warnings(&route("metadata = { priority = \"hihg\" }")),
        ["g.toml:7:25: routes[0].metadata.priority: found \"hihg\", expected the name of a class \
         (\"critical\", \"high\", \"normal\", \"low\"); did you mean \"high\"?"]
    );
}
