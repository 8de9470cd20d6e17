//! `tls` of listeners and clusters, and `redirect`.

use gateway_core::context::TlsVersion;

use super::*;

fn listener(line: &str) -> String {
    format!(
        "[[listeners]]\naddress = \"127.0.0.1:80\"\n{line}\n[[routes]]\nid = \"r\"\nmatch = {{}}\n\
         target = {{ respond = {{}} }}\n"
    )
}

fn cluster(line: &str) -> String {
    format!(
        "{LISTENER}[clusters.a]\nendpoints = [\"https://b\"]\n{line}\n[[routes]]\nid = \"r\"\n\
         match = {{}}\ntarget = {{ cluster = \"a\" }}\n"
    )
}

#[test]
fn the_keys_of_listeners_are_read() {
    let text = listener(
        "tls = { certificates = [{ cert = \"a.pem\", key = \"a.key\" }], min_version = \"1.3\", \
         client_auth = \"optional\", client_ca = \"ca.pem\", client_crl = \"ca.crl\" }\n\
         timeouts = { tls = \"5s\" }",
    );
    let listener = &read(&text).document.listeners[0];
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!(tls.certificates, [CertificatePaths::new("a.pem", "a.key")]);
    assert_eq!((tls.min_version, tls.client_auth), (TlsVersion::Tls13, ClientAuth::Optional));
    assert_eq!(tls.client_ca.as_deref(), Some("ca.pem".as_ref()));
    assert_eq!(tls.client_crl.as_deref(), Some("ca.crl".as_ref()));
    assert_eq!(listener.timeouts.tls, Duration::from_secs(5));
    assert!(listener.redirect.is_none());
}

#[test]
fn the_keys_of_acme_are_read() {
    let text = listener(
        "tls = { acme = [{ domains = \"a.test\", storage = \"here\", terms_agreed = true }, \
         { domains = [\"b.test\", \"c.test\"], storage = \"there\", terms_agreed = true, \
         directory = \"https://ca.test/dir\", contact = [\"a@b.test\"], \
         challenge = \"tls-alpn-01\", profile = \"short\", renew_before = \"48h\", \
         external_account = { key_id = \"id\", hmac_key = \"planted\" } }] }",
    );
    let reading = read(&text);
    let tls = reading.document.listeners[0].tls.as_ref().unwrap();
    assert!(tls.certificates.is_empty());
    let [first, second] = tls.acme.as_slice() else { panic!("{:?}", tls.acme) };
    assert_eq!(*first, AcmeCertificate::new(vec!["a.test".to_owned()], "here"));
    assert_eq!((second.domains.len(), second.storage.to_str()), (2, Some("there")));
    assert_eq!(second.directory.as_deref(), Some("https://ca.test/dir"));
    assert_eq!(second.contact, ["a@b.test"]);
    assert_eq!(second.challenge, AcmeChallenge::TlsAlpn01);
    assert_eq!(second.profile.as_deref(), Some("short"));
    assert_eq!(second.renew_before, Some(Duration::from_secs(48 * 3600)));
    assert_eq!(second.external_account, Some(ExternalAccount::new("id", "planted")));
    assert!(!format!("{tls:?}").contains("planted"));
}

#[test]
fn the_keys_of_redirects_are_read() {
    let text = listener("redirect = { scheme = \"https\", port = 8443, status = 301 }");
    let redirect = read(&text).document.listeners[0].redirect.unwrap();
    assert_eq!((redirect.port, redirect.status.as_u16()), (8443, 301));
    let redirect = read(&listener("redirect = { scheme = \"https\" }"));
    let redirect = redirect.document.listeners[0].redirect.unwrap();
    assert_eq!((redirect.port, redirect.status.as_u16()), (443, 308));
}

#[test]
fn what_does_not_fit_together_is_said() {
    let pair = "certificates = [{ cert = \"a\", key = \"b\" }]";
    for (line, expected) in [
        ("tls = {}".to_owned(), "listeners[0].tls.certificates: missing"),
        ("tls = { certificates = [] }".to_owned(), "expected at least one certificate"),
        ("tls = { certificates = [{ cert = \"a\" }] }".to_owned(), "certificates[0].key: missing"),
        (format!("tls = {{ {pair}, client_auth = \"required\" }}"), "there is no `client_ca`"),
        (format!("tls = {{ {pair}, client_ca = \"c\" }}"), "clients would not be asked"),
        (format!("tls = {{ {pair}, min_version = \"1.1\" }}"), "expected one of \"1.2\", \"1.3\""),
        ("redirect = { scheme = \"http\" }".to_owned(), "expected one of \"https\""),
        ("redirect = { scheme = \"https\", status = 200 }".to_owned(), "301, 302, 303, 307 or 308"),
        (
            format!("tls = {{ {pair} }}\nredirect = {{ scheme = \"https\" }}"),
            "expected a listener in plain text",
        ),
    ] {
        let errors = errors(&listener(&line));
        assert!(errors.iter().any(|error| error.contains(expected)), "{line}: {errors:?}");
    }
    for (line, expected) in [
        ("tls = { client_cert = \"/dev/null\" }", "go together, expected both"),
        ("tls = { ca = \"/nowhere/ca.pem\" }", "clusters.a.tls.ca: \"/nowhere/ca.pem\" cannot be"),
        (
            "tls = { ca = \"/dev/null\", dangerous_accept_any_certificate = true }",
            "expected only one",
        ),
    ] {
        let errors = errors(&cluster(line));
        assert!(errors.iter().any(|error| error.contains(expected)), "{line}: {errors:?}");
    }
}

#[test]
fn what_is_dangerous_or_for_nothing_is_warned_about() {
    let warned = warnings(&cluster("tls = { dangerous_accept_any_certificate = true }"));
    assert!(warned[0].contains("clusters.a.tls.dangerous_accept_any_certificate: whoever answers"));
    let plain = cluster("tls = { server_name = \"b\" }").replace("https://", "http://");
    assert!(warnings(&plain)[0].contains("no endpoint is `https`"));
}
