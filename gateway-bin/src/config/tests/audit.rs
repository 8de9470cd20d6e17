//! `[audit]`.

use gateway_layers::audit::{AuditKind, AuditPrincipal, SinkConfig};

use super::*;

fn audit(text: &str) -> Audit {
    read(&format!("{LISTENER}[audit]\n{text}\n")).document.audit.unwrap()
}

#[test]
fn every_kind_of_event_goes_where_it_is_said() {
    let mut expected = Audit::new();
    expected.log = true;
    assert_eq!(audit("log = true"), expected);
    let http = audit("http = { url = \"http://a.test/\" }").http.unwrap();
    assert_eq!((http.token, http.ca, http.settings), (None, None, SinkConfig::default()));
    let one = audit("file = \"a\"\nevents = \"limit\"\nprincipal = \"off\"\nflush = \"0s\"");
    assert_eq!((one.events, one.principal), (vec![AuditKind::Limit], AuditPrincipal::Off));
    assert_eq!(one.flush, Duration::ZERO);
}

#[test]
fn the_environment_makes_an_audit_of_its_own() {
    let source = Source::text("g.toml", LISTENER).variables([
        ("GATEWAY__AUDIT__HTTP__URL".into(), "http://a.test/events".into()),
        ("GATEWAY__AUDIT__HTTP__TOKEN".into(), "shown to it".into()),
    ]);
    let http = source.read(&modules()).unwrap().document.audit.unwrap().http.unwrap();
    assert_eq!(http.url.reveal(), "http://a.test/events");
    assert_eq!(http.token, Some("shown to it".into()));
}

#[test]
fn what_cannot_be_meant_is_said_without_the_secrets() {
    for (text, expected) in [
        (
            "events = [\"limit\"]",
            "g.toml:3:1: audit: nobody takes the events, expected `log`, `file` or `http`",
        ),
        (
            "log = true\nevents = []",
            "g.toml:5:10: audit.events: found an empty list, expected at least one kind of events",
        ),
        (
            "log = true\nevents = [\"limits\"]",
            "g.toml:5:11: audit.events[0]: found \"limits\", expected one of \"authentication\", \
             \"authorization\", \"limit\", \"request\", \"connection\", \"configuration\"; did you \
             mean \"limit\"?",
        ),
        (
            "log = true\nprincipal = \"hashed\"",
            "g.toml:3:1: audit.principal_key: missing, expected a secret of 16 bytes or more, since \
             a hash without one tells who it was to everybody who tries names",
        ),
        (
            "log = true\nprincipal = \"hashed\"\nprincipal_key = \"short\"",
            "g.toml:6:17: audit.principal_key: is too short, expected a secret of 16 bytes or more, \
             since a hash without one tells who it was to everybody who tries names",
        ),
        (
            "log = true\nprincipal_key = \"0123456789abcdef\"",
            "g.toml:5:17: audit.principal_key: is for `principal = \"hashed\"` alone",
        ),
        (
            "http = { token = \"planted\" }",
            "g.toml:4:8: audit.http.url: missing, expected a URL such as \
             \"https://audit.example/events\"",
        ),
        (
            "http = { url = \"http://a\", timeout = \"0s\" }",
            "g.toml:4:38: audit.http.timeout: found \"0s\", expected more than nothing: it cannot be \
             off",
        ),
        (
            "http = { url = \"http://a\", queue = 0 }",
            "g.toml:4:36: audit.http.queue: found 0, expected a number from 1 to 10000000",
        ),
    ] {
        assert_eq!(errors(&format!("{LISTENER}[audit]\n{text}\n")), [expected], "{text}");
    }
}
