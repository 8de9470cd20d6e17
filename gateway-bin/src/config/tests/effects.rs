//! Settings without an effect, and messages that show the way out.

use super::*;

const ISSUER: &str = "[identity.jwt.main]\nissuer = \"i\"\naudience = \"a\"\n";

fn routed(policy: &str) -> String {
    format!(
        "{LISTENER}[[routes]]\nid = \"a\"\nmatch = {{ prefix = \"/\" }}\n\
         target = {{ module = \"users\" }}\n{policy}\n"
    )
}

/// The only warning of `text`.
fn warning(text: &str) -> String {
    let warnings = warnings(text);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings.into_iter().next().unwrap()
}

/// The only error of `text`.
fn error(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

#[track_caller]
fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{text}");
}

#[test]
fn warns_of_a_star_in_a_path() {
    let text = routed("").replace("prefix = \"/\"", "prefix = \"/orders/*\"");
    assert_contains(&warning(&text), "expected `prefix = \"/orders\"` for everything below");
}

#[test]
fn rejects_a_cost_that_no_limit_holds() {
    let text = routed("policy.rate_limit = { limit = 100, burst = 5, cost = 6 }");
    assert_contains(&error(&text), "a request costs 6, and the limit never holds more than 5");
    let text = routed("policy.rate_limit = { limit = 9, cost = 6, tiers = { free = 2 } }");
    assert_contains(&error(&text), "tier `free` never holds more than 2");
}

#[test]
fn warns_of_a_key_that_no_request_has() {
    let text = routed("policy.rate_limit = { limit = 1, key = \"api_key\" }");
    assert_contains(&warning(&text), "counts by `api_key`, and the route has no `policy.api_key`");
    let text = routed("policy.rate_limit = { limit = 1, key = \"principal\" }");
    assert_contains(&warning(&text), "no way to authenticate callers");
}

#[test]
fn warns_of_tokens_that_never_expire() {
    let keys = "keys = { url = \"https://i.example/keys\" }\nrequired_claims = [\"sub\"]\n";
    let text = format!("{}{ISSUER}{keys}", routed("policy.jwt = \"main\""));
    assert_contains(&warning(&text), "a token without it is valid forever");
}

#[test]
fn warns_of_keys_over_plain_http() {
    let text = |host: &str| {
        let keys = format!("keys = {{ url = \"http://{host}/keys\" }}\n");
        format!("{}{ISSUER}{keys}", routed("policy.jwt = \"main\""))
    };
    assert_contains(&warning(&text("i.example")), "over plain http");
    for here in ["localhost:1", "127.0.0.1:1", "[::1]:1"] {
        assert_eq!(warnings(&text(here)), [""; 0]);
    }
}

#[test]
fn warns_of_public_routes_with_roles() {
    let keys = "keys = { url = \"https://i.example/keys\" }\n";
    let policy = "policy = { public = true, jwt = { provider = \"main\", roles = [\"a\"] } }";
    let text = format!("{}{ISSUER}{keys}", routed(policy));
    assert_contains(&warning(&text), "callers without credentials pass");
}

#[test]
fn warns_of_a_fallback_that_never_happens() {
    let fallback = "policy.fallback = { on = [\"timeout\"], respond = { status = 200 } }";
    let text = routed(&format!("policy.timeout = \"0s\"\n{fallback}"));
    assert_contains(&warning(&text), "`timeout` never happens");
    let text = routed(&format!("policy.timeout = \"1s\"\n{fallback}"));
    assert_eq!(warnings(&text), [""; 0]);
}

#[test]
fn warns_of_a_fallback_for_timeouts_that_are_all_off() {
    let fallback = "policy.fallback = { on = [\"timeout\"], respond = { status = 200 } }";
    let text = |timeouts: &str, policy: &str| {
        let cluster = format!(
            "[clusters.b]\nendpoints = [\"http://b:1\"]\ntimeouts = {{ {timeouts} }}\n[[routes]]"
        );
        let text = routed(&format!("{policy}\n{fallback}")).replace("[[routes]]", &cluster);
        text.replace("module = \"users\"", "cluster = \"b\"")
    };
    let off = "connect = \"0s\", response_head = \"0s\", idle = \"0s\"";
    for policy in ["", "policy.honor_client_deadline = false", "policy.timeout = \"0s\""] {
        assert_contains(
            &warning(&text(off, policy)),
            "every timeout of the route and of its target",
        );
    }
    for (timeouts, policy) in [
        ("", ""),
        ("response_head = \"0s\"", ""),
        ("idle = \"0s\"", ""),
        (&*format!("{off}, attempt = \"1s\""), ""),
        (off, "policy.timeout = \"1s\""),
        (off, "policy.attempt_timeout = \"1s\""),
        (off, "policy.response_head_timeout = \"1s\""),
    ] {
        assert_eq!(warnings(&text(timeouts, policy)), [""; 0], "{timeouts} {policy}");
    }
    let idle = text("idle = \"0s\"", "policy.response_head_timeout = \"0s\"");
    assert_contains(&warning(&idle), "routes[0].policy.fallback.on: every timeout");
}

#[test]
fn warns_of_a_fallback_from_what_the_gateway_makes_itself() {
    let text = |status: u16, fallback: &str| {
        let policy = format!("policy.timeout = \"1s\"\npolicy.fallback = {{ {fallback} }}");
        let target = format!("respond = {{ status = {status} }}");
        routed(&policy).replace("module = \"users\"", &target)
    };
    let respond = "respond = { status = 200 }";
    let on = format!("on = [\"timeout\", \"connect\"], {respond}");
    assert_contains(&warning(&text(200, &on)), "200 is none of `statuses`: it never answers");
    assert_contains(&warning(&text(200, respond)), "policy.fallback: the gateway makes");
    assert_contains(&warning(&text(503, &on)), "what never happens: `timeout`, `connect`");
    assert_eq!(warnings(&text(503, respond)), [""; 0]);
}

#[test]
fn warns_of_one_replica_that_shares() {
    let limit = routed("policy.rate_limit = { limit = 1, store = \"redis\" }");
    let redis = "[stores.redis]\nurl = \"redis://127.0.0.1\"\n";
    assert_contains(&warning(&format!("{limit}{redis}")), "every gateway allows the whole limit");
    assert_contains(
        &warning(&format!("{limit}{redis}replicas = 1\n")),
        "stores.redis.replicas: `on_unavailable` is \"share\" and `replicas` is 1",
    );
    assert_eq!(warnings(&format!("{limit}{redis}replicas = 2\n")), [""; 0]);
    let open = "on_unavailable = \"open\"\nreplicas = 1\n";
    assert_eq!(warnings(&format!("{limit}{redis}{open}")), [""; 0]);
}

#[test]
fn host_takes_a_list() {
    let hosts = "host = [\"a.example\", \"*.b.example\"], prefix = \"/\"";
    let text = routed("").replace("prefix = \"/\"", hosts);
    let reading = read(&text);
    let matches = &reading.document.routes[0].matches;
    assert_eq!(matches.len(), 2);
    assert!(matches.iter().all(|one| one.host.is_some()));
    let text = routed("").replace("prefix = \"/\"", "host = []");
    assert_contains(&error(&text), "at least one host");
}

#[test]
fn names_the_table_of_a_setting() {
    let text = routed("timeout = \"1s\"");
    assert_contains(&error(&text), "it belongs in `policy` of the route");
    let cluster = |key: &str| {
        let text = routed("").replace("[[routes]]", "[clusters.b]\nKEY\n[[routes]]");
        text.replace("KEY", &format!("endpoints = [\"http://b:1\"]\n{key}"))
    };
    let text = cluster("max_age = \"1m\"");
    assert_contains(&error(&text), "it belongs in `pool` of the cluster");
    // What is near is meant before what stands elsewhere.
    let text = cluster("timeout = \"1m\"");
    assert_contains(&error(&text), "did you mean \"timeouts\"?");
    let text = format!("{}[timeouts]\nidle = \"1s\"\n", routed(""));
    assert_contains(&error(&text), "it belongs in [[listeners]] or [clusters.NAME]");
}

#[test]
fn names_the_variable_of_a_placeholder() {
    let text = "[[listeners]]\naddress = \"${ADDRESS}\"\n";
    assert_contains(
        &errors(text)[0],
        "set the environment variable `GATEWAY__LISTENERS__0__ADDRESS`",
    );
    let text = routed("").replace("id = \"a\"", "id = \"${NAME}\"");
    assert_contains(&warning(&text), "`GATEWAY__ROUTES__0__ID`");
}

#[test]
fn strips_a_byte_order_mark() {
    let text = format!("\u{feff}{}", routed(""));
    assert_eq!(warnings(&text), [""; 0]);
}

#[test]
fn tells_where_a_file_is_not_utf8() {
    let path = std::env::temp_dir().join(format!("gateway-utf8-{}.toml", std::process::id()));
    std::fs::write(&path, b"workers = 1\n# \xc3\xa4 \xff\n").unwrap();
    let problems = Source::file(&path).read(&Modules::default()).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_contains(&problems.to_string(), "is not UTF-8: byte 0xff at line 2, column 5");
}
