//! The environment over a document.

use std::ffi::OsString;

use super::*;

fn with_variables(text: &str, variables: &[(&str, &str)]) -> Source {
    let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    Source::text("g.toml", text).variables(variables.iter().map(pair).collect::<Vec<_>>())
}

#[test]
#[cfg(all(feature = "cel", feature = "postgres", feature = "tls"))]
fn the_environment_overrides_any_field() {
    let text = include_str!("../../../../examples/config/full.toml");
    let source = with_variables(
        text,
        &[
            ("PATH", "/bin"),
            ("GATEWAY__WORKERS", "3"),
            ("GATEWAY__LISTENERS__0__ADDRESS", "[::1]:9090"),
            ("GATEWAY__LISTENERS__0__PATH__MERGE_SLASHES", "false"),
            ("GATEWAY__LISTENERS__3__ADDRESS", "unix:/tmp/a"),
            ("GATEWAY__CLUSTERS__PICTURES__ENDPOINTS", "[\"http://x\", { url = \"http://y\" }]"),
            ("GATEWAY__CLUSTERS__ORDERS__ENDPOINTS__0__URL", "http://z"),
            ("GATEWAY__ROUTES__0__POLICY__TIMEOUT", "25s"),
            ("GATEWAY__ROUTES__0__LISTENER__0", "behind-balancer"),
        ],
    );
    let document = source.read(&modules()).unwrap().document;
    assert_eq!(document.workers, 3);
    assert_eq!(document.listeners.len(), 4);
    assert_eq!(document.listeners[0].address.to_string(), "[::1]:9090");
    assert!(!document.listeners[0].path.merge_slashes);
    assert_eq!(document.clusters[1].endpoints.len(), 2);
    assert_eq!(document.clusters[0].endpoints[0].address.to_string(), "http://z:80");
    assert_eq!(document.routes[0].policy.timeout, Some(Duration::from_secs(25)));
    assert_eq!(document.routes[0].listeners, ["behind-balancer"]);
}

#[test]
fn errors_of_the_environment_name_the_variable() {
    let source = with_variables(
        LISTENER,
        &[
            ("GATEWAY__WORKERS", "many"),
            ("GATEWAY__LISTENERS__0__ADRESS", "127.0.0.1:1"),
            ("GATEWAY__LISTENERS__5__ADDRESS", "127.0.0.1:1"),
            ("GATEWAY__LISTENERS____ADDRESS", "127.0.0.1:1"),
            ("GATEWAY__ROUTES__0__ID", "a"),
        ],
    );
    let unknown = "expected one of `address`, `name`, `unix_mode`, `protocol`, `proxy_protocol`, `tls`, `redirect`, `path`, \
                   `forwarded`, `limits`, `timeouts`; did you mean \"address\"?";
    assert_eq!(errors_of(&source), [
        "GATEWAY__LISTENERS____ADDRESS: listeners: an empty part in the name, expected the parts \
         of a path with __ between"
            .to_owned(),
        "GATEWAY__LISTENERS__5__ADDRESS: listeners: found the index \"5\", expected a number from \
         0 to 1"
            .to_owned(),
        "GATEWAY__WORKERS: workers: found \"many\", expected a number from 0 to 1024".to_owned(),
        format!("GATEWAY__LISTENERS__0__ADRESS: listeners[0].adress: unknown key, {unknown}"),
        "GATEWAY__ROUTES__0__ID: routes[0].match: missing, expected a table such as { prefix = \
         \"/\" }"
            .to_owned(),
        "GATEWAY__ROUTES__0__ID: routes[0].target: missing, expected a table such as { cluster = \
         \"NAME\" }"
            .to_owned(),
    ]);
}
