//! What goes wrong, and who is told.

use super::*;

#[tokio::test]
async fn a_name_that_cannot_be_proved_is_shown_and_not_tried_all_the_time() {
    let setup = Setup::new();
    // The authority looks where nobody listens.
    let Some(pebble) = setup.pebble().tls_port(free_port()).start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    let failed = |shown: &Value| shown["failures"].as_u64().is_some_and(|failures| failures > 0);
    let shown = eventually_is(&gateway, "gateway.test", failed).await;
    let error = shown["last_error"].as_str().expect("an error");
    assert!(error.contains("gateway.test: "), "{error}");
    assert!(error.contains("Failed to connect"), "{error}");
    assert_eq!(shown["state"], "missing");
    // Minutes, since authorities count what they reject.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let later = gateway.admin().certificate("gateway.test").await;
    assert_eq!(later["next_try"], shown["next_try"]);
    assert_eq!((pebble.orders(), later["failures"].as_u64()), (1, Some(1)));
    assert!(gateway.log().contains("gateway.test: "), "{}", gateway.log());
}

#[tokio::test]
async fn a_pending_name_is_not_answered_with_another_certificate() {
    let setup = Setup::new();
    let Some(mut pebble) = setup.pebble().start() else { return };
    pebble.stop();
    let upstream = hello().await;
    let authority = gateway_tests::certs::Authority::new("files");
    let pair = setup.storage.pair("file", &authority.server(&["file.test"]));
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let line = format!("tls = {{ certificates = [{pair}], acme = {acme} }}");
    let addr = ([127, 0, 0, 1], setup.tls_port).into();
    let gateway = Gateway::to(&upstream).listener(&line).at(addr).with_admin().start().await;
    let file = ClientTls::new(&authority, "file.test");
    assert_eq!(ask(gateway.addr(), &file).await.as_deref(), Ok(OK));
    // Not by the certificate of the file, which is the one for everything else.
    let rejected = ask(gateway.addr(), &ClientTls::new(&authority, "gateway.test")).await;
    assert!(
        rejected.as_ref().is_err_and(|error| !error.contains("not valid for name")),
        "{rejected:?}"
    );
    let other = ask(gateway.addr(), &ClientTls::new(&authority, "other.test")).await;
    assert!(other.as_ref().is_err_and(|error| error.contains("not valid for name")), "{other:?}");
    let shown = gateway.admin().get("/certificates").await.json();
    let sources: Vec<_> =
        shown.as_array().into_iter().flatten().map(|one| &one["source"]).collect();
    assert_eq!(sources, ["file", "acme"]);
}

#[tokio::test]
async fn nothing_starts_with_what_an_authority_would_reject() {
    let setup = Setup::new();
    let upstream = hello().await;
    let authority = gateway_tests::certs::Authority::new("files");
    let pair = setup.storage.pair("file", &authority.server(&["file.test"]));
    let blocked = setup.storage.write("blocked", "");
    let storage = setup.storage_path();
    let acme = |rest: &str| format!("{{ storage = {storage:?}, terms_agreed = true, {rest} }}");
    let tls = |acme: &str| format!("tls = {{ acme = {acme} }}");
    for (line, path, found) in [
        (tls(&acme("domains = [\"*.gateway.test\"]")), ".acme.domains[0]", "dns-01"),
        (
            tls(&acme("domains = [\"*.a.test\"], challenge = \"http-01\"")),
            ".acme.challenge",
            "no listener in plain text",
        ),
        (tls(&acme("domains = [\"a.test\", \"A.test\"]")), ".acme.domains[1]", "not there already"),
        (tls(&acme("domains = [\"10.0.0.1\"]")), ".acme.domains[0]", "not an address"),
        (tls(&acme("domains = []")), ".acme.domains", "at least one name"),
        (tls("[]"), ".acme", "at least one certificate to order"),
        (
            tls(&format!("[{one}, {one}]", one = acme("domains = [\"a.test\"]"))),
            ".acme[1].domains[0]",
            "another certificate of this listener",
        ),
        (
            tls(&acme("domains = \"a.test\"").replace("true", "false")),
            ".acme.terms_agreed",
            "found false, expected true",
        ),
        (tls("{ domains = \"a.test\", storage = \"a\" }"), ".acme.terms_agreed", "missing"),
        (
            tls(&acme("domains = \"a.test\", directory = \"http://a.test/dir\"")),
            ".acme.directory",
            "expected an https URL",
        ),
        (tls(&acme("domains = \"a.test\", contact = \"nobody\"")), ".acme.contact", "mail address"),
        (
            tls(&acme("domains = \"a.test\"").replace(&storage, &format!("{blocked}/below"))),
            ".acme.storage",
            "cannot be written to",
        ),
        (
            format!(
                "tls = {{ certificates = [{pair}], acme = {} }}",
                acme("domains = [\"a.test\", \"file.test\"]")
            ),
            ".acme.domains[1]",
            "expected it in one of both",
        ),
        (tls(&acme("domains = \"a.test\", ca = \"/nowhere\"")), ".acme.ca", "cannot be read"),
        (
            tls(&acme("domains = \"a.test\", external_account = { key_id = \"a\" }")),
            ".acme.external_account.hmac_key",
            "missing",
        ),
        (
            tls(&acme("domains = \"a.test\", challenges = \"http-01\"")),
            ".acme.challenges",
            "did you mean",
        ),
    ] {
        let (status, log) = Gateway::to(&upstream).listener(&line).rejected().await;
        assert!(!status.success());
        let path = format!("listeners[0].tls{path}: ");
        assert!(log.contains(&path) && log.contains(found), "{line}\n{path} {found}\n{log}");
    }
    assert!(!std::path::Path::new(&storage).exists(), "a check leaves nothing behind");
}
