//! `https` endpoints: verified, or not spoken to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway_tests::certs::{Authority, Files, Pair};
use gateway_tests::{Client, Gateway, GatewayBuilder, Payload, eventually};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A certificate for `localhost` that has signed itself, as `openssl req -x509` makes it: one of an
/// authority. Its PEM, and that of its key.
fn self_signed(edit: impl FnOnce(&mut rcgen::CertificateParams)) -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    edit(&mut params);
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// A server with the certificate `pair`, which wants certificates of `clients`; gives its port. It
/// answers with the name it was asked for.
async fn server(pair: &Pair, clients: Option<&Authority>) -> u16 {
    server_of(&pair.cert, &pair.key, clients).await
}

fn acceptor(cert: &str, key: &str, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let pem = authority.pem();
            roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")).expect("CA");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).expect("TLS")))
}

async fn server_of(cert: &str, key: &str, clients: Option<&Authority>) -> u16 {
    let acceptor = acceptor(cert, key, clients);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let name = stream.get_ref().1.server_name().unwrap_or("no name").to_owned();
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                let mut head = [0; 4096];
                while let Ok(1..) = stream.read(&mut head).await {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// A server that ends each connection right behind its first response; gives its port, and how many
/// it has ended.
async fn closing(pair: &Pair) -> (u16, Arc<AtomicUsize>) {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let acceptor = acceptor(&pair.cert, &pair.key, None);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = [0; 4096];
                if let Ok(1..) = stream.read(&mut head).await {
                    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    let _ = stream.write_all(response).await;
                    let _ = stream.shutdown().await;
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (port, ended)
}

fn gateway(host: &str, port: u16, tls: &str) -> GatewayBuilder {
    let document = format!(
        "[[listeners]]\naddress = \"{{listen}}\"\n\n\
         [clusters.back]\nendpoints = [\"https://{host}:{port}\"]\n{tls}\n\n\
         [[routes]]\nmatch = {{ prefix = \"/\" }}\ntarget = {{ cluster = \"back\" }}\n\n\
         [admin]\naddress = \"127.0.0.1:0\"\n"
    );
    Gateway::document(&document)
}

async fn assert_rejected(gateway: &Gateway, reason: &str) {
    let reply = Client::http1(gateway.addr()).get("/").await;
    reply.assert_by_gateway(&[502]);
    assert!(reply.text().contains(reason), "{}", reply.text());
}

#[tokio::test]
async fn a_trusted_certificate_is_spoken_to() {
    let (authority, files) = (Authority::new("tests"), Files::new());
    let port = server(&authority.server(&["localhost"]), None).await;
    let file = files.write("ca.pem", &authority.pem());
    // By what the system trusts, or by what the document says.
    let by_system = gateway("localhost", port, "").environment("SSL_CERT_FILE", &file);
    let by_document = gateway("localhost", port, &format!("tls = {{ ca = {file:?} }}"));
    for builder in [by_system, by_document] {
        let gateway = builder.start().await;
        let mut client = Client::http1(gateway.addr());
        for _ in 0..3 {
            client.get("/").await.assert_ok("localhost");
        }
        let cluster = gateway.admin().cluster("back").await;
        assert_eq!(cluster["tls"]["verified"], true);
    }
}

#[tokio::test]
async fn certificate_of_the_server_itself_is_trusted() {
    let (authority, files) = (Authority::new("tests"), Files::new());
    let leaf = |params: &mut rcgen::CertificateParams| params.is_ca = rcgen::IsCa::NoCa;
    let pinned = authority.server(&["localhost"]);
    for (what, (cert, key)) in [
        ("an authority", self_signed(|_| {})),
        ("a server", self_signed(leaf)),
        ("issued", (pinned.cert.clone(), pinned.key.clone())),
    ] {
        let port = server_of(&cert, &key, None).await;
        let file = files.write("leaf.pem", &cert);
        let tls = format!("tls = {{ ca = {file:?} }}");
        let trusts = gateway("localhost", port, &tls).start().await;
        let reply = Client::http1(trusts.addr()).get("/").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "localhost"), "{what}");
        // Its name still counts, and so does that it is the same.
        let named = format!("tls = {{ ca = {file:?}, server_name = \"other.test\" }}");
        assert_rejected(&gateway("localhost", port, &named).start().await, "tls_failed").await;
        let (other, _) = self_signed(|_| {});
        let file = files.write("other.pem", &other);
        let tls = format!("tls = {{ ca = {file:?} }}");
        assert_rejected(&gateway("localhost", port, &tls).start().await, "tls_failed").await;
    }
    let (cert, key) = self_signed(gateway_tests::certs::expired);
    let port = server_of(&cert, &key, None).await;
    let file = files.write("expired.pem", &cert);
    let tls = format!("tls = {{ ca = {file:?} }}");
    assert_rejected(&gateway("localhost", port, &tls).start().await, "tls_failed").await;
}

#[tokio::test]
async fn closed_connection_takes_no_request() {
    let (authority, files) = (Authority::new("tests"), Files::new());
    let (port, ended) = closing(&authority.server(&["localhost"])).await;
    let file = files.write("ca.pem", &authority.pem());
    let tls = format!("tls = {{ ca = {file:?} }}\noutlier_detection = \"off\"");
    let gateway = gateway("localhost", port, &tls).start().await;
    let mut client = Client::http1(gateway.addr());
    for sent in 1..=100 {
        // Not idempotent: it is not sent again.
        let request = http::Request::post("/").body(Payload::empty()).expect("a request");
        client.send(request).await.assert_ok("ok");
        let count = || ended.load(Ordering::SeqCst);
        eventually("the end of the connection", count, |count| *count >= sent).await;
    }
}

#[tokio::test]
async fn any_other_certificate_is_not() {
    let (authority, files) = (Authority::new("tests"), Files::new());
    let file = files.write("ca.pem", &authority.pem());
    let other = server(&authority.server(&["other.test"]), None).await;
    let strange = server(&Authority::new("strangers").server(&["localhost"]), None).await;
    let old = authority.issue(|params| {
        let name = rcgen::SanType::DnsName("localhost".try_into().expect("a name"));
        params.subject_alt_names = vec![name];
        gateway_tests::certs::expired(params);
    });
    let old = server(&old, None).await;
    for port in [other, strange, old] {
        let by_system = gateway("localhost", port, "").environment("SSL_CERT_FILE", &file);
        assert_rejected(&by_system.start().await, "tls_failed").await;
        let tls = format!("tls = {{ ca = {file:?} }}");
        assert_rejected(&gateway("localhost", port, &tls).start().await, "tls_failed").await;
    }
}

#[tokio::test]
async fn the_name_that_is_expected_can_be_said() {
    let (authority, files) = (Authority::new("tests"), Files::new());
    let file = files.write("ca.pem", &authority.pem());
    let port = server(&authority.server(&["orders.internal"]), None).await;
    let tls = |name: &str| format!("tls = {{ ca = {file:?}, server_name = {name:?} }}");
    let right = gateway("127.0.0.1", port, &tls("orders.internal")).start().await;
    Client::http1(right.addr()).get("/").await.assert_ok("orders.internal");
    let wrong = gateway("127.0.0.1", port, &tls("users.internal")).start().await;
    assert_rejected(&wrong, "tls_failed").await;
    let (status, log) = gateway("127.0.0.1", port, &tls("a b")).rejected().await;
    assert!(!status.success());
    assert!(log.contains("clusters.back.tls.server_name: found \"a b\""), "{log}");
}

#[tokio::test]
async fn the_gateway_shows_its_certificate() {
    let (authority, files) = (Authority::new("tests"), Files::new());
    let clients = Authority::new("clients");
    let port = server(&authority.server(&["localhost"]), Some(&clients)).await;
    let ca = files.write("ca.pem", &authority.pem());
    let pair = clients.client("gateway");
    let (cert, key) = (files.write("c.pem", &pair.cert), files.write("c.key", &pair.key));
    let other = files.write("other.key", &clients.client("other").key);
    let keys = |key: &str| {
        format!("tls = {{ ca = {ca:?}, client_cert = {cert:?}, client_key = {key:?} }}")
    };
    let known = gateway("localhost", port, &keys(&key)).start().await;
    Client::http1(known.addr()).get("/").await.assert_ok("localhost");
    let unknown = gateway("localhost", port, &format!("tls = {{ ca = {ca:?} }}")).start().await;
    // In TLS 1.3 the rejection comes after the handshake.
    Client::http1(unknown.addr()).get("/").await.assert_by_gateway(&[502]);
    let (status, log) = gateway("localhost", port, &keys(&other)).rejected().await;
    assert!(!status.success());
    let found = "clusters.back.tls.client_key: ";
    assert!(log.contains(found) && log.contains("does not belong to `client_cert`"), "{log}");
    // A reload sees that a file has changed.
    let next = server(&authority.server(&["localhost"]), Some(&authority)).await;
    known.edit_document(&format!(":{port}"), &format!(":{next}"));
    assert_eq!(known.admin().reload().await.status, 200);
    Client::http1(known.addr()).get("/").await.assert_by_gateway(&[502]);
    let pair = authority.client("gateway");
    files.write("c.pem", &pair.cert);
    files.write("c.key", &pair.key);
    assert_eq!(known.admin().reload().await.status, 200);
    Client::http1(known.addr()).get("/").await.assert_ok("localhost");
}

#[tokio::test]
async fn whoever_answers_is_believed_only_where_that_is_said_aloud() {
    let strangers = Authority::new("strangers");
    let port = server(&strangers.server(&["other.test"]), None).await;
    let tls = "tls = { dangerous_accept_any_certificate = true }";
    let gateway = gateway("localhost", port, tls).start().await;
    Client::http1(gateway.addr()).get("/").await.assert_ok("localhost");
    let log = gateway.log();
    let warning = "warning: ";
    assert!(log.lines().any(|line| {
        line.starts_with(warning) && line.contains("clusters.back.tls.dangerous_accept_any")
    }));
    let cluster = gateway.admin().cluster("back").await;
    assert_eq!(cluster["tls"]["verified"], false);
    let explained = gateway.admin().explain("http://a/").await;
    assert!(explained.contains("dangerous_accept_any_certificate"), "{explained}");
}
