//! `[clusters.NAME]`: endpoints, balancing, health, overload.

use super::*;

/// The errors of a cluster with `line` in it; it stands on line 4.
fn errors_in(line: &str) -> Vec<String> {
    errors(&format!("{LISTENER}[clusters.a]\n{line}\n"))
}

/// The errors of a cluster with endpoints and `line` in it; it stands on line 5.
fn cluster_errors(line: &str) -> Vec<String> {
    errors_in(&format!("endpoints = [\"http://b\"]\n{line}"))
}

#[test]
fn endpoints() {
    for (line, expected) in [
        (
            "balance = \"round_robin\"",
            "g.toml:3:1: clusters.a: no endpoints, expected `clusters.a.endpoints` or \
             `clusters.a.discovery`",
        ),
        (
            "endpoints = [\"127.0.0.1:9000\"]",
            "g.toml:4:14: clusters.a.endpoints[0]: found \"127.0.0.1:9000\", expected \
             http://HOST[:PORT], h2c://HOST[:PORT], https://HOST[:PORT] or unix:/PATH, without \
             a path",
        ),
        (
            "endpoints = [\"http://b\", { url = \"http://b:80\" }]",
            "g.toml:4:26: clusters.a.endpoints[1]: found \"http://b:80\", which is in the list \
             already",
        ),
        (
            "endpoints = [{ url = \"http://b\", wieght = 2 }]",
            "g.toml:4:34: clusters.a.endpoints[0].wieght: unknown key, expected one of `url`, \
             `weight`, `zone`, `priority`; did you mean \"weight\"?",
        ),
        (
            "endpoints = [{ weight = 2 }]",
            "g.toml:4:14: clusters.a.endpoints[0].url: missing, expected http://HOST[:PORT], \
             h2c://HOST[:PORT], https://HOST[:PORT] or unix:/PATH, without a path",
        ),
        (
            "endpoints = [{ url = \"http://b\", weight = 10001 }]",
            "g.toml:4:43: clusters.a.endpoints[0].weight: found 10001, expected a number from 0 \
             to 10000",
        ),
        (
            "endpoints = [{ url = \"http://b\", priority = -1 }]",
            "g.toml:4:45: clusters.a.endpoints[0].priority: found -1, expected a number from 0 \
             to 4294967295",
        ),
        (
            "endpoints = [{ url = \"http://b\", zone = \"\" }]",
            "g.toml:4:41: clusters.a.endpoints[0].zone: found \"\", expected the name of a zone",
        ),
        (
            "endpoints = [\"http://b\"]\ndiscovery = { file = \"e.json\" }",
            "g.toml:5:13: clusters.a.discovery: `discovery` together with `endpoints`, expected \
             only one",
        ),
    ] {
        assert_eq!(errors_in(line), [expected], "{line}");
    }
}

#[test]
fn settings() {
    for (line, expected) in [
        (
            "host = \"a b\"",
            "g.toml:5:8: clusters.a.host: found \"a b\", expected \"preserve\", \"endpoint\" or \
             a host name with an optional port",
        ),
        (
            "pool = { idle = 64, total = 10 }",
            "g.toml:5:17: clusters.a.pool.idle: `idle` (64) is more than `total` (10), \
             expected at most as many",
        ),
        (
            "pool = { pending_timeout = \"0s\" }",
            "g.toml:5:28: clusters.a.pool.pending_timeout: found \"0s\", expected more than \
             nothing: it cannot be off",
        ),
        ("zone = \"\"", "g.toml:5:8: clusters.a.zone: found \"\", expected the name of a zone"),
        (
            "slow_start = 30",
            "g.toml:5:14: clusters.a.slow_start: found 30, expected a duration such as \
             \"250ms\", \"30s\", \"5m\" or \"1h\"",
        ),
        (
            "panic_threshold = 1.5",
            "g.toml:5:19: clusters.a.panic_threshold: found 1.5, expected a number from 0 to 1, \
             or \"off\"",
        ),
        (
            "panic_threshold = \"never\"",
            "g.toml:5:19: clusters.a.panic_threshold: found \"never\", expected a number from 0 \
             to 1, or \"off\"",
        ),
        (
            "endpoint_limit = 0",
            "g.toml:5:18: clusters.a.endpoint_limit: found 0, expected a number from 1 to \
             1000000",
        ),
    ] {
        assert_eq!(cluster_errors(line), [expected], "{line}");
    }
}

#[test]
fn balancers_and_cookies() {
    for (line, expected) in [
        (
            "balance = \"fastest\"",
            "g.toml:5:11: clusters.a.balance: found \"fastest\", expected one of \
             \"round_robin\", \"weighted_round_robin\", \"random\", \"least_requests\", \
             \"power_of_two\", \"peak_ewma\", \"consistent_hash\"",
        ),
        (
            "balance = { consistent_hash = { keys = [] } }",
            "g.toml:5:40: clusters.a.balance.consistent_hash.keys: found an empty list, \
             expected at least one key",
        ),
        (
            "balance = { consistent_hash = { keys = [\"x-user\"] } }",
            "g.toml:5:41: clusters.a.balance.consistent_hash.keys[0]: found \"x-user\", \
             expected `header:NAME`, `cookie:NAME`, `param:NAME`, `principal` or `ip`",
        ),
        (
            "balance = { consistent_hash = { load = 0 } }",
            "g.toml:5:40: clusters.a.balance.consistent_hash.load: found 0, expected a number \
             from 1 to 100, or \"off\"",
        ),
        (
            "sticky = { max_age = \"1h\" }",
            "g.toml:5:10: clusters.a.sticky.cookie: missing, expected the name of a cookie",
        ),
        (
            "sticky = { cookie = \"a b\" }",
            "g.toml:5:21: clusters.a.sticky.cookie: `a b` is no name of a cookie, expected \
             letters, digits, `-` and `_`",
        ),
        (
            "sticky = { cookie = \"gw\", path = \"a\" }",
            "g.toml:5:34: clusters.a.sticky.path: `a` is no path of a cookie, expected one that \
             begins with `/`, without `;`",
        ),
        (
            "sticky = { cookie = \"gw\", same_site = \"Lax\" }",
            "g.toml:5:39: clusters.a.sticky.same_site: found \"Lax\", expected one of \
             \"strict\", \"lax\", \"none\"; did you mean \"lax\"?",
        ),
        (
            "sticky = { cookie = \"gw\", on_unavailable = \"fail\" }",
            "g.toml:5:44: clusters.a.sticky.on_unavailable: found \"fail\", expected one of \
             \"redistribute\", \"reject\"",
        ),
    ] {
        assert_eq!(cluster_errors(line), [expected], "{line}");
    }
}

#[test]
fn health_and_ejection() {
    for (line, expected) in [
        (
            "health_check = {}",
            "g.toml:5:16: clusters.a.health_check: asks nothing, expected one of `http`, `grpc`, `tcp`",
        ),
        (
            "health_check = { http = {}, tcp = {} }",
            "g.toml:5:35: clusters.a.health_check.tcp: `tcp` together with `http`, expected only one",
        ),
        (
            "health_check = { http = { path = \"healthz\" } }",
            "g.toml:5:34: clusters.a.health_check.http.path: found \"healthz\", expected a path such \
             as \"/healthz\", with an optional query",
        ),
        (
            "health_check = { http = { status = \"ok\" } }",
            "g.toml:5:36: clusters.a.health_check.http.status: found \"ok\", expected a range of \
             statuses such as \"200-299\", or several: \"200, 204\"",
        ),
        (
            "health_check = { http = { headers = { \"a b\" = \"1\" } } }",
            "g.toml:5:47: clusters.a.health_check.http.headers.\"a b\": found \"1\", expected a \
             header field",
        ),
        (
            "health_check = { tcp = { port = 1 } }",
            "g.toml:5:26: clusters.a.health_check.tcp.port: unknown key, expected none",
        ),
        (
            "health_check = { tcp = {}, fall = 0 }",
            "g.toml:5:35: clusters.a.health_check.fall: found 0, expected a number from 1 to 1000",
        ),
        (
            "health_check = { tcp = {}, timeout = \"0s\" }",
            "g.toml:5:38: clusters.a.health_check.timeout: found \"0s\", expected more than nothing: \
             it cannot be off",
        ),
        (
            "outlier_detection = true",
            "g.toml:5:21: clusters.a.outlier_detection: found true, expected a table such as { \
             consecutive_failures = 5, base_ejection_time = \"30s\" }, or \"off\"",
        ),
        (
            "outlier_detection = { base_ejection_time = \"10m\" }",
            "g.toml:5:44: clusters.a.outlier_detection.base_ejection_time: `max_ejection_time` is less than `base_ejection_time`, expected at \
             least as much",
        ),
        (
            "outlier_detection = { max_ejected_ratio = 10 }",
            "g.toml:5:43: clusters.a.outlier_detection.max_ejected_ratio: found 10, expected a number from 0 to 1",
        ),
        (
            "outlier_detection = { consecutive_failures = 0 }",
            "g.toml:5:46: clusters.a.outlier_detection.consecutive_failures: found 0, expected a number from 1 to \
             1000000",
        ),
        (
            "outlier_detection = { success_rate = { min_endpoints = 1 } }",
            "g.toml:5:56: clusters.a.outlier_detection.success_rate.min_endpoints: found 1, expected a \
             number from 2 to 1000000",
        ),
    ] {
        assert_eq!(cluster_errors(line), [expected], "{line}");
    }
}

#[test]
fn circuit_breakers_and_concurrency() {
    for (line, expected) in [
        (
            "circuit_breaker = { failure_ratio = 0 }",
            "g.toml:5:19: clusters.a.circuit_breaker: `failure_ratio` is 0, expected a number \
             above 0 and at most 1",
        ),
        (
            "circuit_breaker = { failure_ratio = \"off\" }",
            "g.toml:5:19: clusters.a.circuit_breaker: `failure_ratio` is nothing, expected a \
             ratio, unless `consecutive_failures` or `slow` is set: without any of them the breaker \
             never opens",
        ),
        (
            "circuit_breaker = { window = \"10ms\" }",
            "g.toml:5:19: clusters.a.circuit_breaker: `window` is 10ms, expected a time from \
             100ms to 3600s",
        ),
        (
            "circuit_breaker = { open = \"2m\" }",
            "g.toml:5:19: clusters.a.circuit_breaker: `open_max` is 60s, expected at least \
             `open`, 120s",
        ),
        (
            "circuit_breaker = { slow = { ratio = 0.1 } }",
            "g.toml:5:28: clusters.a.circuit_breaker.slow.threshold: missing, expected a \
             duration such as \"1s\"",
        ),
        (
            "concurrency = { limit = 0 }",
            "g.toml:5:25: clusters.a.concurrency.limit: found 0, expected a number from 1 to \
             4194303",
        ),
        (
            "concurrency = { queue = 100000 }",
            "g.toml:5:25: clusters.a.concurrency.queue: found 100000, expected a number from 0 \
             to 65535",
        ),
        (
            "concurrency = { adaptive = { min = 2000 } }",
            "g.toml:5:36: clusters.a.concurrency.adaptive.min: `max` is less than `min`, \
             expected at least as much",
        ),
        (
            "concurrency = { adaptive = { tolerance = 0.5 } }",
            "g.toml:5:42: clusters.a.concurrency.adaptive.tolerance: found 0.5, expected a \
             number from 1 to 100",
        ),
        (
            "concurrency = { shed = { lowest = 0.5 } }",
            "g.toml:5:26: clusters.a.concurrency.shed.lowest: unknown key, expected one of \
             `critical`, `high`, `normal`, `low`",
        ),
    ] {
        assert_eq!(cluster_errors(line), [expected], "{line}");
    }
}

#[test]
fn what_a_cluster_can_turn_off() {
    let text = format!(
        "{LISTENER}[clusters.a]\nendpoints = [\"http://b\"]\noutlier_detection = \"off\"\n\
         panic_threshold = \"off\"\nbalance = {{ consistent_hash = {{ load = \"off\" }} }}\n\
         circuit_breaker = {{ failure_ratio = \"off\", consecutive_failures = 3 }}\n\
         [clusters.b]\nendpoints = [\"http://b\"]\noutlier_detection = {{ consecutive_failures = \"off\" }}\n"
    );
    let document = read(&text).document;
    let [a, b] = document.clusters.as_slice() else { panic!("{document:?}") };
    assert_eq!((a.outlier_detection, a.panic_threshold), (None, None));
    let keys = vec![HashKey::ClientIp];
    assert_eq!(a.balance, Balance::ConsistentHash { keys, load: None });
    let breaker = a.circuit_breaker.as_ref().unwrap();
    assert_eq!((breaker.failure_ratio, breaker.consecutive_failures), (None, Some(3)));
    assert_eq!(b.outlier_detection.unwrap().consecutive_failures, None);
}

#[test]
fn every_balancer_is_read_and_shown_by_its_name() {
    for name in [
        "round_robin",
        "weighted_round_robin",
        "random",
        "least_requests",
        "power_of_two",
        "peak_ewma",
        "consistent_hash",
    ] {
        let text =
            format!("{LISTENER}[clusters.a]\nendpoints = [\"http://b\"]\nbalance = \"{name}\"\n");
        assert_eq!(read(&text).document.clusters[0].balance.to_string(), name);
    }
}

#[test]
fn a_cluster_that_nothing_leads_to_is_a_warning() {
    let cluster = "[clusters.\"a b\"]\nendpoints = [\"http://b\"]\n";
    assert_eq!(
        warnings(&format!("routes = []\n{LISTENER}{cluster}")),
        ["g.toml:4:1: clusters.\"a b\": no route leads to this cluster"]
    );
}

#[test]
fn policies_and_splits_lead_to_clusters_too() {
    let cluster = |name| format!("[clusters.{name}]\nendpoints = [\"http://b\"]\n");
    let text = format!(
        "{LISTENER}{}{}{}[[routes]]\nmatch = {{}}\ntarget.split = [{{ cluster = \"a\" }}]\n\
         policy = {{ mirror = {{ cluster = \"b\" }}, fallback = {{ cluster = \"c\" }} }}\n",
        cluster("a"),
        cluster("b"),
        cluster("c")
    );
    assert_eq!(warnings(&text), [""; 0]);
}

#[test]
fn a_cluster_of_weight_nothing_is_a_warning() {
    let text = format!(
        "{LISTENER}[clusters.a]\nendpoints = [{{ url = \"http://b\", weight = 0 }}]\n\
         [[routes]]\nmatch = {{}}\ntarget.cluster = \"a\"\n"
    );
    assert_eq!(
        warnings(&text),
        ["g.toml:4:13: clusters.a.endpoints: every weight is 0: no endpoint takes a request"]
    );
}
