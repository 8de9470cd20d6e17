//! What becomes of a certificate that is there.

use gateway_tests::Client;
use gateway_tests::certs::Authority;

use super::*;

#[tokio::test]
async fn a_renewed_certificate_is_shown_while_old_connections_go_on() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().lifetime(12).start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    eventually_is(&gateway, "gateway.test", is_valid).await;
    let tls = pebble.client("gateway.test").await;
    let first = shown(&gateway, &tls).await;
    let mut old = [Client::http1(gateway.addr()), Client::http2(gateway.addr())]
        .map(|client| client.over(&tls));
    for client in &mut old {
        client.get("/").await.assert_ok("hello");
    }
    // Long before it expires; and until then nobody is rejected.
    while shown(&gateway, &tls).await == first {
        assert!(pebble.orders() <= 2, "{}", pebble.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for client in &mut old {
        client.get("/").await.assert_ok("hello");
        assert_eq!(client.connections(), 1);
    }
    assert_eq!((pebble.accounts(), pebble.issued()), (1, 2));
    assert!(is_valid(&gateway.admin().certificate("gateway.test").await));
}

#[tokio::test]
async fn an_authority_that_is_away_is_waited_for() {
    let setup = Setup::new();
    let Some(mut pebble) = setup.pebble().start() else { return };
    pebble.stop();
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    let failed = |shown: &Value| shown["failures"].as_u64().is_some_and(|failures| failures > 0);
    let shown = eventually_is(&gateway, "gateway.test", failed).await;
    assert_eq!(shown["state"], "missing");
    assert!(shown["next_try"].is_string() && shown["not_after"].is_null(), "{shown:#}");
    // Nobody is shown anything else in the meantime, and everybody can see why.
    let authority = Authority::new("nobody");
    let rejected = ask(gateway.addr(), &ClientTls::new(&authority, "gateway.test")).await;
    assert!(rejected.is_err_and(|error| !error.contains("UnknownIssuer")));
    let ready = gateway.admin().ready().await;
    assert_eq!(ready.json()["without_certificate"], serde_json::json!(["gateway.test"]));
    assert!(gateway.log().contains("handshakes for it are rejected"), "{}", gateway.log());
    assert!(gateway.log().contains("no new certificate"), "{}", gateway.log());
    assert!(pebble.run());
    let shown = eventually_is(&gateway, "gateway.test", is_valid).await;
    assert!(shown["last_error"].is_null() && shown["failures"] == 0, "{shown:#}");
}

#[tokio::test]
async fn an_authority_that_forgot_the_account_gets_another() {
    let setup = Setup::new();
    let Some(mut pebble) = setup.pebble().lifetime(12).start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    eventually_is(&gateway, "gateway.test", is_valid).await;
    pebble.stop();
    assert!(pebble.run());
    let until = tokio::time::Instant::now() + SOON;
    while pebble.issued() == 0 {
        assert!(tokio::time::Instant::now() < until, "{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(pebble.accounts(), 1);
    assert!(gateway.log().contains("does not know the account"), "{}", gateway.log());
}

#[tokio::test]
async fn a_reload_that_changes_nothing_keeps_the_state_and_one_that_removes_a_name_ends_it() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().start() else { return };
    let upstream = hello().await;
    let (first, second) =
        (setup.acme(&pebble, "[\"first.test\"]", ""), setup.acme(&pebble, "[\"second.test\"]", ""));
    let both = format!("[{first}, {second}]");
    let gateway = setup.gateway(&upstream, &both).start().await;
    let before = eventually_is(&gateway, "first.test", is_valid).await;
    eventually_is(&gateway, "second.test", is_valid).await;
    gateway.signal("HUP");
    let reloaded = || gateway.log().contains("document reloaded");
    gateway_tests::eventually_within(SOON, "a reload", reloaded, |done| *done).await;
    assert_eq!(gateway.admin().certificate("first.test").await, before);
    assert_eq!(pebble.orders(), 2);
    gateway.edit_document(&both, &first);
    assert_eq!(gateway.admin().reload().await.status, 200);
    let all = gateway.admin().get("/certificates").await.json();
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all:#}");
    let (one, other) = (pebble.client("first.test").await, pebble.client("second.test").await);
    assert_eq!(ask(gateway.addr(), &one).await.as_deref(), Ok(OK));
    assert!(ask(gateway.addr(), &other).await.is_err());
    // What comes back is there: it is in the storage.
    gateway.edit_document(&first, &both);
    assert_eq!(gateway.admin().reload().await.status, 200);
    assert_eq!(ask(gateway.addr(), &other).await.as_deref(), Ok(OK));
    assert_eq!(pebble.orders(), 2);
}

/// A gateway between ours and the authority, which says when to renew as well (RFC 9773): the one
/// of the packages does not.
async fn saying_when(pebble: &Pebble, window: &str) -> (Gateway, Files, String) {
    let (authority, files) = (Authority::new("between"), Files::new());
    let pair = files.pair("between", &authority.server(&["127.0.0.1"]));
    let ca = files.write("between-ca.pem", &authority.pem());
    let addr: std::net::SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let at = |path: &str| format!("https://{addr}/{path}");
    let directory = serde_json::json!({
        "newNonce": at("nonce-plz"),
        "newAccount": at("sign-me-up"),
        "newOrder": at("order-plz"),
        "revokeCert": at("revoke-cert"),
        "keyChange": at("rollover-account-key"),
        "renewalInfo": at("renewal-info"),
    });
    let (upstream, upstream_ca) = (format!("https://{}", pebble.addr()), pebble.ca());
    let document = format!(
        "[[listeners]]\nname = \"between\"\naddress = \"{{listen}}\"\n\
         tls = {{ certificates = [{pair}] }}\n\
         [clusters.pebble]\nendpoints = [{upstream:?}]\ntls = {{ ca = {upstream_ca:?} }}\n\
         [[routes]]\nid = \"directory\"\nmatch = {{ path = \"/dir\" }}\n\
         target = {{ respond = {{ body = '{directory}', content_type = \"application/json\" }} }}\n\
         [[routes]]\nid = \"when\"\nmatch = {{ prefix = \"/renewal-info\" }}\n\
         target = {{ respond = {{ body = '{window}', content_type = \"application/json\" }} }}\n\
         policy.response_headers = {{ set = {{ retry-after = \"21600\" }} }}\n\
         [[routes]]\nid = \"rest\"\nmatch = {{ prefix = \"/\" }}\ntarget = {{ cluster = \"pebble\" }}\n"
    );
    (Gateway::document(document).at(addr).start().await, files, ca)
}

/// A window of two days, in the words of the standard.
fn window(year: u16) -> String {
    let (start, end) = (format!("{year}-01-01T00:00:00Z"), format!("{year}-01-03T00:00:00Z"));
    serde_json::json!({ "suggestedWindow": { "start": start, "end": end } }).to_string()
}

#[tokio::test]
async fn the_authority_says_when_to_renew_and_is_not_asked_all_the_time() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().start() else { return };
    let (between, _files, ca) = saying_when(&pebble, &window(2100)).await;
    let upstream = hello().await;
    let directory = format!("https://{}/dir", between.addr());
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let acme = acme.replace(&pebble.directory(), &directory).replace(&pebble.ca(), &ca);
    {
        let gateway = setup.gateway(&upstream, &acme).start().await;
        eventually_is(&gateway, "gateway.test", is_valid).await;
    }
    // Some hours later it wants all of its certificates to be replaced: in the past means now.
    between.edit_document(&window(2100), &window(2020));
    between.signal("HUP");
    let reloaded = || between.log().contains("document reloaded");
    gateway_tests::eventually_within(SOON, "a reload", reloaded, |done| *done).await;
    let file = std::fs::File::options().write(true).open(setup.certificate_file());
    let hours = std::time::SystemTime::now() - Duration::from_secs(12 * 60 * 60);
    file.expect("a certificate").set_modified(hours).expect("a date");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    let until = tokio::time::Instant::now() + SOON;
    while pebble.issued() < 2 {
        assert!(tokio::time::Instant::now() < until, "{}\n{}", gateway.log(), between.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It says the same of the new one, which is no reason to go on and on.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(pebble.issued(), 2);
    let tls = pebble.client("gateway.test").await;
    assert_eq!(ask(gateway.addr(), &tls).await.as_deref(), Ok(OK));
}
