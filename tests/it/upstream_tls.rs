//! `https` endpoints: verified, or not spoken to.

use std::sync::Arc;

use gateway_tests::{Client, Gateway};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server with a certificate for `name` by an authority of its own, whose certificate it returns.
async fn server(name: &str) -> (u16, String) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let trusted = authority.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = [0; 4096];
                while let Ok(1..) = stream.read(&mut head).await {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, trusted)
}

async fn gateway(port: u16, trusted: &str, name: &str) -> Gateway {
    let file = std::env::temp_dir().join(format!("gateway-ca-{}-{port}.pem", std::process::id()));
    std::fs::write(&file, trusted).expect("write");
    let document = format!(
        "[[listeners]]\naddress = \"{{listen}}\"\n\n\
         [clusters.back]\nendpoints = [\"https://{name}:{port}\"]\n\n\
         [[routes]]\nmatch = {{ prefix = \"/\" }}\ntarget = {{ cluster = \"back\" }}\n"
    );
    let file = file.display().to_string();
    Gateway::document(&document).environment("SSL_CERT_FILE", &file).start().await
}

#[tokio::test]
async fn a_trusted_certificate_is_spoken_to() {
    let (port, trusted) = server("localhost").await;
    let gateway = gateway(port, &trusted, "localhost").await;
    let mut client = Client::http1(gateway.addr());
    for _ in 0..3 {
        client.get("/").await.assert_ok("secret");
    }
}

#[tokio::test]
async fn any_other_certificate_is_not() {
    let (port, trusted) = server("other.test").await;
    let wrong_name = gateway(port, &trusted, "localhost").await;
    let (port, _) = server("localhost").await;
    let wrong_authority = gateway(port, &trusted, "localhost").await;
    for gateway in [wrong_name, wrong_authority] {
        let reply = Client::http1(gateway.addr()).get("/").await;
        reply.assert_by_gateway(&[502]);
        assert!(reply.text().contains("tls_failed"), "{}", reply.text());
    }
}
