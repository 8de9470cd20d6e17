//! The store of certificates, by hand.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_core::server::tls::{Certificate, CertificateError, CertificateStore, ServerTls};
use gateway_core::{Address, FixedResponse, Listener, Module, Server};
use gateway_tests::certs::{Authority, ClientTls, Pair};
use http::StatusCode;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{OK, ask};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificate(pair: &Pair) -> Certificate {
    Certificate::from_pem(pair.cert.as_bytes(), pair.key.as_bytes(), &provider()).expect("good")
}

async fn serve(store: &CertificateStore) -> SocketAddr {
    let tls = ServerTls::builder(provider(), store.clone()).build().expect("TLS");
    let listener = Listener::new("127.0.0.1:0".parse().expect("an address"));
    let bound = listener.tls(tls).bind().expect("bind");
    let Address::Tcp(addr) = bound.local_address() else { panic!("no port") };
    let module = Module::new(FixedResponse::new(StatusCode::OK));
    tokio::spawn(Server::new(module).listen(bound).serve(std::future::pending()));
    addr
}

#[tokio::test]
async fn an_empty_store_rejects_until_it_is_filled() {
    let authority = Authority::new("tests");
    let store = CertificateStore::new(Vec::new());
    let addr = serve(&store).await;
    let [first, second] =
        ["gateway.test", "second.test"].map(|name| ClientTls::new(&authority, name));
    assert!(ask(addr, &first).await.is_err());
    store.set(vec![certificate(&authority.server(&["gateway.test"]))]);
    assert_eq!(ask(addr, &first).await.as_deref(), Ok(OK));
    assert!(ask(addr, &second).await.is_err());
    // Another part adds to it, and goes again, without touching the first.
    store.set_part("acme", vec![certificate(&authority.server(&["second.test"]))]);
    assert_eq!(ask(addr, &first).await.as_deref(), Ok(OK));
    assert_eq!(ask(addr, &second).await.as_deref(), Ok(OK));
    assert_eq!(store.certificates().len(), 2);
    store.set_part("acme", Vec::new());
    // A new client: sessions of before are taken up for their name as long as they last.
    assert!(ask(addr, &ClientTls::new(&authority, "second.test")).await.is_err());
    assert_eq!(ask(addr, &first).await.as_deref(), Ok(OK));
}

#[tokio::test]
async fn a_challenge_is_answered_and_the_connection_ends() {
    let authority = Authority::new("tests");
    let store = CertificateStore::new(vec![certificate(&authority.server(&["gateway.test"]))]);
    let addr = serve(&store).await;
    let proving = ClientTls::new(&authority, "new.test").offering(&["acme-tls/1"]);
    let shake = async || {
        let socket = TcpStream::connect(addr).await.expect("connect");
        proving.handshake(socket).await
    };
    assert!(shake().await.is_err(), "nobody proves anything");
    let proof = certificate(&authority.server(&["new.test"]));
    let key = (**proof.key()).clone();
    store.set_challenge("New.test", key);
    let mut stream = shake().await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    let shown = stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone();
    assert_eq!(shown, proof.key().cert[0]);
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.expect("an orderly end"), 0);
    // Others are served as before, and not with what proves a name.
    let first = ClientTls::new(&authority, "gateway.test");
    assert_eq!(ask(addr, &first).await.as_deref(), Ok(OK));
    assert!(ask(addr, &ClientTls::new(&authority, "new.test")).await.is_err());
    let other = ClientTls::new(&authority, "gateway.test").offering(&["acme-tls/1"]);
    assert!(other.handshake(TcpStream::connect(addr).await.expect("connect")).await.is_err());
    store.remove_challenge("new.test");
    assert!(shake().await.is_err());
}

#[test]
fn what_does_not_fit_together_is_rejected() {
    let authority = Authority::new("tests");
    let (one, other) = (authority.server(&["a.test"]), authority.server(&["b.test"]));
    let load = |cert: &str, key: &str| {
        Certificate::from_pem(cert.as_bytes(), key.as_bytes(), &provider()).unwrap_err()
    };
    assert_eq!(load(&one.cert, &other.key), CertificateError::KeyMismatch);
    assert_eq!(load("", &one.key), CertificateError::NoCertificate);
    assert_eq!(load(&one.cert, ""), CertificateError::NoKey);
    assert_eq!(load(&one.key, &one.key), CertificateError::NoCertificate);
    assert_eq!(load(&one.cert, &one.cert), CertificateError::NoKey);
    let broken = one.cert.replacen("MII", "AAA", 1);
    assert!(matches!(load(&broken, &one.key), CertificateError::Malformed(_)));
    let shown = format!("{:?}", certificate(&one));
    assert!(shown.contains("a.test") && !shown.contains("key"), "{shown}");
}

#[tokio::test]
async fn a_reserved_name_is_rejected_rather_than_answered_with_another_certificate() {
    let authority = Authority::new("tests");
    let store = CertificateStore::new(vec![certificate(&authority.server(&["gateway.test"]))]);
    let addr = serve(&store).await;
    let later = ClientTls::new(&authority, "later.test");
    // The default, which is the wrong one.
    let wrong = ask(addr, &later).await;
    assert!(wrong.as_ref().is_err_and(|error| error.contains("not valid for name")), "{wrong:?}");
    store.reserve("acme", ["Later.test"]);
    let rejected = ask(addr, &later).await;
    assert!(rejected.as_ref().is_err_and(|error| error.contains("alert")), "{rejected:?}");
    store.set_part("acme", vec![certificate(&authority.server(&["later.test"]))]);
    assert_eq!(ask(addr, &later).await.as_deref(), Ok(OK));
    assert_eq!((store.part("acme").len(), store.certificates().len()), (1, 2));
    store.remove_part("acme");
    assert!(store.part("acme").is_empty());
    // Without the session of before.
    let wrong = ask(addr, &ClientTls::new(&authority, "later.test")).await;
    assert!(wrong.is_err_and(|error| error.contains("not valid for name")));
}
