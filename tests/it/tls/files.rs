//! Certificates in files: those that can be used at start, and again when they change.

use std::os::unix::fs::symlink;
use std::time::Duration;

use gateway_tests::certs::{Authority, ClientTls, expired};
use gateway_tests::{Client, Gateway, eventually_within};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;

use super::{OK, Setup, ask, gateway, hello};

/// Longer than two looks at the files.
const SOON: Duration = Duration::from_secs(10);

/// The certificate that a client of `tls` sees.
async fn shown(gateway: &Gateway, tls: &ClientTls) -> CertificateDer<'static> {
    let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
    let stream = tls.handshake(socket).await.expect("a handshake");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
}

/// Waits until new connections see the certificate `pem`.
async fn eventually_shows(gateway: &Gateway, tls: &ClientTls, pem: &str) {
    let until = tokio::time::Instant::now() + SOON;
    while shown(gateway, tls).await != der(pem) {
        assert!(tokio::time::Instant::now() < until, "not shown:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_while_old_connections_go_on() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls("")).with_admin().start().await;
    let tls = setup.trusting();
    let mut old = [Client::http1(gateway.addr()), Client::http2(gateway.addr())]
        .map(|client| client.over(&tls));
    for client in &mut old {
        client.get("/").await.assert_ok("hello");
    }
    let next = setup.authority.server(&["gateway.test", "next.test"]);
    setup.files.pair("a", &next);
    eventually_shows(&gateway, &tls, &next.cert).await;
    for client in &mut old {
        client.get("/").await.assert_ok("hello");
        assert_eq!(client.connections(), 1);
    }
    let status = gateway.admin().status().await;
    let names = &status["tls_listeners"][0]["certificates"][0]["names"];
    assert_eq!(*names, serde_json::json!(["gateway.test", "next.test"]));
    assert!(gateway.log().contains("certificate files loaded"), "{}", gateway.log());
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_the_next_good_one_does() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls("")).with_admin().start().await;
    let tls = setup.trusting();
    let before = shown(&gateway, &tls).await;
    let old = setup.authority.issue(expired);
    let next = setup.authority.server(&["gateway.test"]);
    for (cert, key, found) in [
        ("rubbish", next.key.as_str(), "has no certificate"),
        (&next.cert, &old.key, "does not belong to the certificate"),
        (&old.cert, &old.key, "expired on"),
    ] {
        setup.files.write("a.pem", cert);
        setup.files.write("a.key", key);
        let until = tokio::time::Instant::now() + SOON;
        loop {
            let status = gateway.admin().status().await;
            let rejected = status["tls_listeners"][0]["files_rejected"].as_str();
            if rejected.is_some_and(|rejected| rejected.contains(found)) {
                break;
            }
            assert!(tokio::time::Instant::now() < until, "{found}: {status}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(shown(&gateway, &tls).await, before);
        // A reload says so as well, and changes nothing either.
        let reply = gateway.admin().reload().await;
        assert_eq!(reply.status, 409);
        assert!(reply.text().contains(found), "{}", reply.text());
        assert_eq!(shown(&gateway, &tls).await, before);
    }
    assert!(gateway.log().contains("certificate files rejected"), "{}", gateway.log());
    setup.files.pair("a", &next);
    eventually_shows(&gateway, &tls, &next.cert).await;
    let status = gateway.admin().status().await;
    assert!(status["tls_listeners"][0]["files_rejected"].is_null(), "{status}");
}

#[tokio::test]
async fn a_mounted_secret_changes_by_its_link() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let folder = setup.files.folder().to_owned();
    let pairs = [(); 2].map(|()| setup.authority.server(&["gateway.test"]));
    for (index, pair) in pairs.iter().enumerate() {
        let version = folder.join(format!("..version{index}"));
        std::fs::create_dir(&version).expect("a folder");
        std::fs::write(version.join("tls.crt"), &pair.cert).expect("write");
        std::fs::write(version.join("tls.key"), &pair.key).expect("write");
    }
    symlink("..version0", folder.join("..data")).expect("a link");
    let path = |name: &str| {
        symlink(format!("..data/{name}"), folder.join(name)).expect("a link");
        folder.join(name).display().to_string()
    };
    let (cert, key) = (path("tls.crt"), path("tls.key"));
    let line = format!("tls = {{ certificates = [{{ cert = {cert:?}, key = {key:?} }}] }}");
    let gateway = gateway(&upstream, &line).start().await;
    let tls = setup.trusting();
    assert_eq!(shown(&gateway, &tls).await, der(&pairs[0].cert));
    symlink("..version1", folder.join("..data_tmp")).expect("a link");
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).expect("rename");
    eventually_shows(&gateway, &tls, &pairs[1].cert).await;
}

#[tokio::test]
async fn a_reload_takes_other_files_and_another_mode() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls("")).with_admin().start().await;
    let tls = setup.trusting();
    assert_eq!(ask(gateway.addr(), &tls).await.as_deref(), Ok(OK));
    let clients = Authority::new("clients");
    let ca = setup.files.write("clients.pem", &clients.pem());
    let next = setup.authority.server(&["gateway.test"]);
    let pair = setup.files.pair("next", &next);
    let line = format!(
        "tls = {{ certificates = [{pair}], client_auth = \"required\", client_ca = {ca:?} }}"
    );
    gateway.edit_document(&setup.tls(""), &line);
    let reply = gateway.admin().reload().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(shown(&gateway, &setup.showing(&clients.client("a"))).await, der(&next.cert));
    assert!(ask(gateway.addr(), &tls).await.is_err(), "a session of before is no way in");
    let known = setup.showing(&clients.client("a"));
    assert_eq!(ask(gateway.addr(), &known).await.as_deref(), Ok(OK));
    // Whether there is TLS at all cannot change.
    gateway.edit_document(&line, "");
    assert_eq!(gateway.admin().reload().await.status, 409);
}

#[tokio::test]
async fn who_is_revoked_does_not_come_back_by_a_session() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let clients = Authority::new("clients");
    let ca = setup.files.write("clients.pem", &clients.pem());
    let crl = setup.files.write("clients.crl", &clients.crl(&[]));
    let more = format!(", client_auth = \"required\", client_ca = {ca:?}, client_crl = {crl:?}");
    let gateway = gateway(&upstream, &setup.tls(&more)).start().await;
    let [revoked, other] = ["revoked", "other"].map(|name| clients.client(name));
    let [one, two] = [&revoked, &other].map(|pair| setup.showing(pair));
    for _ in 0..2 {
        assert_eq!(ask(gateway.addr(), &one).await.as_deref(), Ok(OK));
        assert_eq!(ask(gateway.addr(), &two).await.as_deref(), Ok(OK));
    }
    setup.files.write("clients.crl", &clients.crl(&[&revoked]));
    let loaded = || gateway.log().contains("certificate files loaded");
    eventually_within(SOON, "the list is loaded", loaded, |loaded| *loaded).await;
    for _ in 0..2 {
        assert!(ask(gateway.addr(), &one).await.is_err());
        assert_eq!(ask(gateway.addr(), &two).await.as_deref(), Ok(OK));
    }
}

#[tokio::test]
async fn nothing_starts_without_a_usable_listener() {
    let setup = Setup::new();
    let upstream = hello().await;
    let old = setup.files.pair("old", &setup.authority.issue(expired));
    let good = setup.authority.server(&["gateway.test"]);
    let cert = setup.files.write("good.pem", &good.cert);
    let other = setup.files.write("other.key", &setup.authority.server(&["b.test"]).key);
    let empty = setup.files.write("empty.pem", "");
    let pair = &setup.pair;
    for (tls, path, found) in [
        (format!("certificates = [{old}]"), "certificates[0].cert", "expired on"),
        (
            format!("certificates = [{{ cert = {empty:?}, key = {other:?} }}]"),
            "certificates[0].cert",
            "has no certificate",
        ),
        (
            format!("certificates = [{{ cert = {cert:?}, key = \"/nowhere/a.key\" }}]"),
            "certificates[0].key",
            "/nowhere/a.key cannot be read: No such file",
        ),
        (
            format!("certificates = [{pair}], client_auth = \"required\", client_ca = {empty:?}"),
            "client_ca",
            "has no certificate",
        ),
        (
            format!(
                "certificates = [{pair}], client_auth = \"required\", client_ca = {cert:?}, \
                 client_crl = {empty:?}"
            ),
            "client_crl",
            "has no revocation list",
        ),
    ] {
        let (status, log) = gateway(&upstream, &format!("tls = {{ {tls} }}")).rejected().await;
        assert!(!status.success());
        let path = format!("listeners[0].tls.{path}: ");
        assert!(log.contains(&path) && log.contains(found), "{path} {found}\n{log}");
    }
}

#[tokio::test]
async fn starts_with_the_certificates_that_are_good() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let old = setup.files.pair("old", &setup.authority.issue(expired));
    let pair = &setup.pair;
    let folder = setup.files.folder().display().to_string();
    let lines = format!(
        "[[listeners]]\nname = \"dead\"\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{old}] }}\n\
         [[listeners]]\nname = \"closed\"\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{pair}], \
         client_auth = \"optional\", client_ca = \"{folder}/none.pem\" }}"
    );
    let line = format!(
        "tls = {{ certificates = [{old}, {{ cert = \"{folder}/b.pem\", key = \"{folder}/b.key\" }}, \
         {pair}] }}"
    );
    let gateway = gateway(&upstream, &line).more(&lines).with_admin().start().await;
    let (tls, admin) = (setup.trusting(), gateway.admin());
    assert_eq!(ask(gateway.addr(), &tls).await.as_deref(), Ok(OK));
    for listener in ["dead", "closed"] {
        let log = gateway.log();
        let line = log.lines().find(|line| line.ends_with(&format!(" ({listener})")));
        let addr = line.and_then(|line| line.split("https://").nth(1)?.split(' ').next());
        let addr = addr.expect("a listener").parse().expect("an address");
        assert!(ask(addr, &tls).await.is_err(), "{listener}");
    }
    // Logged, counted and shown.
    let text = gateway.log();
    for found in ["expired on", "b.pem cannot be read", "none.pem cannot be read"] {
        assert!(text.contains(found), "{found}: {text}");
    }
    let metrics = admin.metrics().await;
    for (listener, count) in [("public", 3.0), ("dead", 1.0), ("closed", 1.0)] {
        let series = format!("gateway_certificate_files_unusable{{listener=\"{listener}\"}}");
        metrics.assert(&series, count);
    }
    let ready = admin.ready().await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("none.pem cannot be read"), "{}", ready.text());
    // A reload is not kept from changing other things, and a good file is taken once it is there.
    assert_eq!(admin.reload().await.status, 200);
    setup.files.pair("b", &setup.authority.server(&["b.test"]));
    let named = ClientTls::new(&setup.authority, "b.test");
    let until = tokio::time::Instant::now() + SOON;
    while ask(gateway.addr(), &named).await.is_err() {
        assert!(tokio::time::Instant::now() < until, "not shown:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn private_keys_are_told_to_nobody() {
    let (setup, upstream) = (Setup::new(), hello().await);
    let gateway = gateway(&upstream, &setup.tls(""))
        .environment("RUST_LOG", "trace")
        .with_admin()
        .start()
        .await;
    assert_eq!(ask(gateway.addr(), &setup.trusting()).await.as_deref(), Ok(OK));
    setup.files.write("a.key", &setup.authority.server(&["b.test"]).key);
    let rejected = || gateway.log().contains("certificate files rejected");
    eventually_within(SOON, "the key is rejected", rejected, |rejected| *rejected).await;
    let admin = gateway.admin();
    let mut said = gateway.log();
    said.push_str(&admin.status().await.to_string());
    said.push_str(&admin.explain("http://gateway.test/").await);
    said.push_str(&admin.reload().await.text());
    let key = std::fs::read_to_string(setup.files.folder().join("a.key")).expect("a key");
    let lines = key.lines().filter(|line| line.len() > 20 && !line.starts_with('-'));
    for line in lines {
        assert!(!said.contains(line), "a line of the key was said");
    }
}
