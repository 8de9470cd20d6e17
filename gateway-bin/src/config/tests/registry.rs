//! `[registry]`, `[admin]` and `[startup]`.

use super::*;

/// The errors of a document with `part` in it; it begins on line 3.
fn part_errors(part: &str) -> Vec<String> {
    errors(&format!("{LISTENER}{part}\n"))
}

#[test]
fn who_may_register() {
    for (part, expected) in [
        (
            "[registry]\nallow = [\"10.0.0.0/8\"]",
            "g.toml:3:1: registry: no token, expected `tokens`, `token_file` or `authentication \
             = \"off\"`",
        ),
        (
            "[registry]\nauthentication = \"off\"",
            "g.toml:3:1: registry.allow: missing, expected networks such as [\"10.0.0.0/8\"]",
        ),
        (
            "[registry]\ntokens = [\"short\"]\nallow = [\"10.0.0.0/8\"]",
            "g.toml:4:10: registry.tokens: token 1 (counted from 1) is shorter than 16 bytes",
        ),
        (
            "[registry]\ntokens = [{ token = \"0123456789abcdef\", services = \"a*b*\" }]\nallow \
             = [\"10.0.0.0/8\"]",
            "g.toml:4:10: registry.tokens: `a*b*` is no name of a service and no pattern with one \
             `*`, such as `orders-*`",
        ),
        (
            "[registry]\ntokens = [\"0123456789abcdef\", \"0123456789abcdef\"]\nallow = \
             [\"10.0.0.0/8\"]",
            "g.toml:4:10: registry.tokens: token 2 (counted from 1) is there twice",
        ),
        (
            "[registry]\ntokens = [\"0123456789abcdef\"]\ntoken_file = \"t\"\nallow = \
             [\"10.0.0.0/8\"]",
            "g.toml:5:14: registry.token_file: `token_file` together with `tokens`, expected \
             only one",
        ),
        (
            "[registry]\ntoken_file = \"no/such\"\nallow = [\"10.0.0.0/8\"]",
            "g.toml:4:14: registry.token_file: \"no/such\" cannot be read: No such file or \
             directory (os error 2)",
        ),
        (
            "[registry]\nauthentication = \"none\"\ntokens = [\"0123456789abcdef\"]\nallow = \
             [\"10.0.0.0/8\"]",
            "g.toml:4:18: registry.authentication: found \"none\", expected one of \"token\", \
             \"off\"",
        ),
        (
            "[registry]\nauthentication = \"off\"\nallow = []",
            "g.toml:5:9: registry.allow: found an empty list, expected at least one network, \
             address or host name",
        ),
        (
            "[registry]\nauthentication = \"off\"\nallow = [\"127.0.0.0/8\"]",
            "g.toml:5:10: registry.allow[0]: `127.0.0.0/8` cannot be allowed: such addresses \
             are allowed one by one",
        ),
        (
            "[registry]\nauthentication = \"off\"\nallow = [\"10.0.0.0/40\"]",
            "g.toml:5:10: registry.allow[0]: `10.0.0.0/40` cannot be allowed: expected a \
             network, an address or a host name",
        ),
    ] {
        assert_eq!(part_errors(part), [expected], "{part}");
    }
}

#[test]
fn what_a_registry_keeps() {
    for (part, expected) in [
        (
            "[registry]\nauthentication = \"off\"\nallow = [\"10.0.0.1\"]\nports = \
             [\"9000-8000\"]",
            "g.toml:6:10: registry.ports[0]: found \"9000-8000\", expected a port, or a range \
             of ports such as \"8000-8999\"",
        ),
        (
            "[registry]\nauthentication = \"off\"\nallow = [\"10.0.0.1\"]\nlease = \"10m\"",
            "g.toml:3:1: registry: `lease` (10m) is not between `min_lease` (5s) and \
             `max_lease` (5m)",
        ),
        (
            "[registry]\nauthentication = \"off\"\nallow = [\"10.0.0.1\"]\nhealth_check = { path = \
             \"ready\" }",
            "g.toml:6:25: registry.health_check.path: found \"ready\", expected a path such as \
             \"/health\"",
        ),
        (
            "[registry]\nauthentication = \"off\"\nallow = [\"10.0.0.1\"]\nlimits = { instances \
             = 0 }",
            "g.toml:6:24: registry.limits.instances: found 0, expected a number from 1 to \
             1000000",
        ),
        (
            "[registry]\nauthentication = \"off\"\nallow = [\"10.0.0.1\"]\nredis = {}",
            "g.toml:6:9: registry.redis.url: missing, expected a URL such as \
             \"redis://127.0.0.1:6379\"",
        ),
        (
            "[registry]\nauthentication = \"off\"\nallow = [\"10.0.0.1\"]\nstore = \"redis\"",
            "g.toml:6:1: registry.store: unknown key, expected one of `authentication`, \
             `tokens`, `token_file`, `allow`, `ports`, `lease`, `min_lease`, `max_lease`, \
             `health_check`, `limits`, `redis`",
        ),
    ] {
        assert_eq!(part_errors(part), [expected], "{part}");
    }
}

#[test]
fn admin_and_startup() {
    for (part, expected) in [
        (
            "[admin]",
            "g.toml:3:1: admin.address: missing, expected a loopback address such as \
             \"127.0.0.1:9901\"",
        ),
        (
            "[admin]\naddress = \"0.0.0.0:9901\"",
            "g.toml:4:11: admin.address: found \"0.0.0.0:9901\", expected a loopback address \
             such as \"127.0.0.1:9901\"",
        ),
        (
            "[admin]\naddress = \"9901\"",
            "g.toml:4:11: admin.address: found \"9901\", expected a loopback address such as \
             \"127.0.0.1:9901\"",
        ),
        (
            "[startup]\nwait = 5",
            "g.toml:4:8: startup.wait: found 5, expected a duration such as \"250ms\", \"30s\", \
             \"5m\" or \"1h\"",
        ),
        (
            "[startup]\nwiat = \"5s\"",
            "g.toml:4:1: startup.wiat: unknown key, expected one of `wait`; did you mean \
             \"wait\"?",
        ),
    ] {
        assert_eq!(part_errors(part), [expected], "{part}");
    }
}

#[test]
fn a_registry_has_defaults() {
    use gateway_layers::registry::{CheckConfig, LeaseConfig, RegistryLimits};

    let part = "[registry]\nauthentication = \"off\"\nallow = \"10.0.0.0/8\"\nports = 8000\n";
    let registry = read(&format!("{LISTENER}{part}")).document.registry.unwrap();
    assert_eq!(registry.allow, ["10.0.0.0/8"]);
    assert_eq!(registry.ports, [8000..=8000]);
    assert_eq!(registry.leases, LeaseConfig::default());
    assert_eq!(registry.checks, CheckConfig::default());
    assert_eq!(registry.limits, RegistryLimits::default());
    assert!(registry.tokens.is_none() && registry.redis.is_none());
}

#[test]
fn what_a_document_keeps_secret_is_not_shown() {
    let part = "[registry]\ntokens = \"tops3cret-0123456789\"\nallow = \"10.0.0.0/8\"\n\
                redis = { url = \"redis://:tops3cret@a\" }\n[clusters.a]\nendpoints = [\"http://b\"]\n\
                sticky = { cookie = \"gw\", secret = \"tops3cret\" }\n[clusters.b]\n\
                discovery.consul = { address = \"http://c\", service = \"d\", token = \"tops3cret\" }\n";
    let shown = format!("{:?}", read(&format!("{LISTENER}{part}")).document);
    assert!(!shown.contains("tops3cret"), "{shown}");
    let bytes = format!("{:?}", "tops3cret".as_bytes());
    assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
}
