//! From nothing to a certificate.

use std::os::unix::fs::PermissionsExt;

use gateway_tests::{Client, Payload};

use super::*;

#[tokio::test]
async fn a_certificate_is_ordered_and_proved_in_tls() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\", \"www.gateway.test\"]", "");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    let certificate = eventually_is(&gateway, "gateway.test", is_valid).await;
    assert_eq!(certificate["source"], "acme");
    assert_eq!(certificate["names"], serde_json::json!(["gateway.test", "www.gateway.test"]));
    assert_eq!(certificate["challenge"], "tls-alpn-01");
    assert_eq!(certificate["listeners"], serde_json::json!(["public"]));
    assert!(certificate["last_error"].is_null() && certificate["not_after"].is_string());
    for name in ["gateway.test", "www.gateway.test"] {
        let tls = pebble.client(name).await;
        assert_eq!(ask(gateway.addr(), &tls).await.as_deref(), Ok(OK));
        Client::http2(gateway.addr()).over(&tls).get("/").await.assert_ok("hello");
        // What proved the name is forgotten.
        let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
        assert!(tls.offering(&["acme-tls/1"]).handshake(socket).await.is_err());
    }
    // Once, and not once for each worker.
    assert_eq!((pebble.accounts(), pebble.orders(), pebble.issued()), (1, 1, 1));
    let ready = gateway.admin().ready().await;
    assert_eq!(ready.json()["without_certificate"], serde_json::json!([]));
    let line = gateway.admin().status().await;
    assert_eq!(line["tls_listeners"][0]["certificates"][0]["names"][0], "gateway.test");
}

#[tokio::test]
async fn what_is_stored_is_for_the_owner_alone() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "\"gateway.test\"", "");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    eventually_is(&gateway, "gateway.test", is_valid).await;
    let mut places = vec![std::path::PathBuf::from(setup.storage_path())];
    let mut files = 0;
    while let Some(place) = places.pop() {
        let there = std::fs::metadata(&place).expect("it is there");
        let mode = there.permissions().mode() & 0o777;
        assert_eq!(mode, if there.is_dir() { 0o700 } else { 0o600 }, "{place:?}");
        if there.is_dir() {
            let inside = std::fs::read_dir(&place).expect("a directory");
            places.extend(inside.map(|entry| entry.expect("an entry").path()));
        } else {
            files += 1;
        }
    }
    // An account with its lock, and a certificate with its own.
    assert_eq!(files, 4);
}

#[tokio::test]
async fn a_name_is_proved_in_plain_text_whatever_the_listener_does_else() {
    for line in ["", "redirect = { scheme = \"https\", port = 8443 }\n"] {
        let setup = Setup::new();
        let Some(pebble) = setup.pebble().start() else { return };
        let upstream = hello().await;
        let acme = setup.acme(&pebble, "[\"gateway.test\"]", ", challenge = \"http-01\"");
        let gateway = setup.gateway(&upstream, &acme).listener(&setup.plain(line)).start().await;
        let certificate = eventually_is(&gateway, "gateway.test", is_valid).await;
        assert_eq!(certificate["challenge"], "http-01");
        let tls = pebble.client("gateway.test").await;
        assert_eq!(ask(gateway.addr(), &tls).await.as_deref(), Ok(OK));
        // What nobody is waiting for goes to routes, as it did before.
        let plain = ([127, 0, 0, 1], setup.http_port).into();
        let path = "/.well-known/acme-challenge/unknown";
        Client::http1(plain).get(path).await.assert_ok("hello");
        let other = Client::http1(plain).get("/other").await;
        assert_eq!(other.status, if line.is_empty() { 200 } else { 308 });
        // No upstream saw what was for the gateway.
        let seen = upstream.seen();
        let mut asked = seen.iter().filter(|seen| seen.target.contains("acme-challenge"));
        assert!(asked.all(|seen| seen.target == path), "{seen:?}");
    }
}

#[tokio::test]
async fn a_restart_orders_nothing_and_further_names_need_no_further_account() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let tls = {
        let gateway = setup.gateway(&upstream, &acme).start().await;
        eventually_is(&gateway, "gateway.test", is_valid).await;
        gateway.signal("TERM");
        assert!(gateway.ended_within(SOON).await.success());
        pebble.client("gateway.test").await
    };
    let gateway = setup.gateway(&upstream, &acme).start().await;
    // At once: it was there before anybody could connect.
    assert_eq!(ask(gateway.addr(), &tls).await.as_deref(), Ok(OK));
    assert!(is_valid(&gateway.admin().certificate("gateway.test").await));
    assert_eq!(pebble.orders(), 1);
    let more = setup.acme(&pebble, "[\"second.test\"]", ", contact = \"ops@example.org\"");
    gateway.edit_document(&acme, &format!("[{acme}, {more}]"));
    assert_eq!(gateway.admin().reload().await.status, 200);
    eventually_is(&gateway, "second.test", is_valid).await;
    assert_eq!((pebble.accounts(), pebble.orders()), (1, 2));
    let second = pebble.client("second.test").await;
    assert_eq!(ask(gateway.addr(), &second).await.as_deref(), Ok(OK));
    assert_eq!(ask(gateway.addr(), &tls).await.as_deref(), Ok(OK));
}

#[tokio::test]
async fn nonces_that_are_rejected_are_drawn_again() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().nonce_reject(60).start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let gateway = setup.gateway(&upstream, &acme).start().await;
    let certificate = eventually_is(&gateway, "gateway.test", is_valid).await;
    assert_eq!(certificate["failures"], 0);
    assert!(!gateway.log().contains("no new certificate"), "{}", gateway.log());
    assert_eq!(pebble.issued(), 1);
}

/// The key of an external account, as an authority hands it out.
const EXTERNAL: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

#[tokio::test]
async fn an_external_account_is_shown_where_it_is_asked_for_and_nowhere_else() {
    let setup = Setup::new();
    let Some(pebble) = setup.pebble().external_account("kid-1", EXTERNAL).start() else { return };
    let upstream = hello().await;
    let without = setup.acme(&pebble, "[\"gateway.test\"]", "");
    let gateway = setup.gateway(&upstream, &without).environment("RUST_LOG", "trace").start().await;
    let failed = |shown: &Value| shown["failures"].as_u64().is_some_and(|failures| failures > 0);
    let shown = eventually_is(&gateway, "gateway.test", failed).await;
    let error = shown["last_error"].as_str().expect("an error");
    assert!(error.contains("externalAccountRequired"), "{error}");
    let external =
        format!(", external_account = {{ key_id = \"kid-1\", hmac_key = {EXTERNAL:?} }}");
    let with = setup.acme(&pebble, "[\"gateway.test\"]", &external);
    gateway.edit_document(&without, &with);
    assert_eq!(gateway.admin().reload().await.status, 200);
    eventually_is(&gateway, "gateway.test", is_valid).await;
    // A damaged key is rejected without being repeated.
    gateway.edit_document(EXTERNAL, &format!("{EXTERNAL}?"));
    let rejected = gateway.admin().reload().await;
    assert_eq!(rejected.status, 409);
    assert!(rejected.text().contains("external_account.hmac_key"), "{}", rejected.text());
    let mut said = gateway.log();
    let admin = gateway.admin();
    said.push_str(&rejected.text());
    said.push_str(&admin.get("/certificates").await.text());
    said.push_str(&admin.status().await.to_string());
    said.push_str(&admin.explain("http://gateway.test/").await);
    assert!(!said.contains(EXTERNAL), "the key of the external account");
    for secret in setup.secrets() {
        assert!(!said.contains(&secret), "a stored secret");
    }
}

impl Setup {
    /// Pieces of every private key that is stored.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        for folder in ["accounts", "certificates"] {
            let folder = self.storage.folder().join("acme").join(folder);
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let text = std::fs::read_to_string(entry.expect("an entry").path());
                let text = text.expect("a text");
                let account: Option<Value> = serde_json::from_str(&text).ok();
                if let Some(key) = account
                    .and_then(|one| one["credentials"]["key_pkcs8"].as_str().map(str::to_owned))
                {
                    secrets.push(key);
                }
                let key = text.split("END PRIVATE KEY").next().filter(|_| text.contains("PRIVATE"));
                let lines = key.into_iter().flat_map(str::lines);
                secrets.extend(lines.filter(|line| line.len() > 20).skip(1).map(str::to_owned));
            }
        }
        assert!(secrets.len() >= 3, "{}", secrets.len());
        secrets
    }
}

#[tokio::test]
async fn a_pending_token_is_answered_to_who_asks_properly() {
    // The authority is sent to a port of the test, which asks the gateway by itself.
    let setup = Setup::new();
    let checked = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = checked.local_addr().expect("an address").port();
    let Some(pebble) = setup.pebble().http_port(port).start() else { return };
    let upstream = hello().await;
    let acme = setup.acme(&pebble, "[\"gateway.test\"]", ", challenge = \"http-01\"");
    let gateway = setup.gateway(&upstream, &acme).listener(&setup.plain("")).start().await;
    let (mut asking, _) = checked.accept().await.expect("the authority");
    let mut head = vec![0; 4096];
    let read = tokio::io::AsyncReadExt::read(&mut asking, &mut head).await.expect("a request");
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    let path = head.split(' ').nth(1).expect("a path").to_owned();
    let token = path.strip_prefix("/.well-known/acme-challenge/").expect("a token");
    let plain = ([127, 0, 0, 1], setup.http_port).into();
    for mut client in [Client::http1(plain), Client::http2(plain)] {
        let answer = client.get(&path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/octet-stream"))
        );
        assert!(answer.text().starts_with(&format!("{token}.")), "{}", answer.text());
        let head = client.method("HEAD", &path, Payload::empty()).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        // Another method, a path around it, and the other listener are no question of an authority.
        client.post(&path, "x").await.assert_ok("hello");
        client.get(&format!("{path}/x")).await.assert_ok("hello");
        client.get(&path[..path.len() - 1]).await.assert_ok("hello");
    }
    assert!(ask(gateway.addr(), &pebble.client("gateway.test").await).await.is_err());
}
