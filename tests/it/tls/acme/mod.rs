//! Certificates that the gateway orders itself, from Debian's authority for tests.

mod orders;
mod rejections;
mod renewal;
mod shared;

use std::time::Duration;

use gateway_tests::certs::{ClientTls, Files};
use gateway_tests::{Gateway, GatewayBuilder, Pebble, PebbleBuilder, Upstream, free_port};
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tokio::net::TcpStream;

use super::{OK, ask, hello};

/// An order takes a second or two; machines may be busy.
const SOON: Duration = Duration::from_secs(60);

/// Where a gateway listens, and where it keeps what it was given.
struct Setup {
    storage: Files,
    tls_port: u16,
    http_port: u16,
}

impl Setup {
    fn new() -> Self {
        Self { storage: Files::new(), tls_port: free_port(), http_port: free_port() }
    }

    /// An authority that checks names where the gateway listens.
    fn pebble(&self) -> PebbleBuilder {
        Pebble::builder().tls_port(self.tls_port).http_port(self.http_port)
    }

    /// The table of a certificate for `domains`, with `more` keys.
    fn acme(&self, pebble: &Pebble, domains: &str, more: &str) -> String {
        let (directory, ca) = (pebble.directory(), pebble.ca());
        let storage = self.storage_path();
        format!(
            "{{ domains = {domains}, storage = {storage:?}, terms_agreed = true, \
             directory = {directory:?}, ca = {ca:?}{more} }}"
        )
    }

    fn storage_path(&self) -> String {
        self.storage.folder().join("acme").display().to_string()
    }

    /// A gateway whose first listener speaks TLS with such a certificate.
    fn gateway(&self, upstream: &Upstream, acme: &str) -> GatewayBuilder {
        let addr = ([127, 0, 0, 1], self.tls_port).into();
        let gateway = Gateway::to(upstream).top("workers = 2").at(addr).with_admin();
        gateway.listener(&format!("tls = {{ acme = {acme} }}"))
    }

    /// One more listener, in plain text, with `more` lines.
    fn plain(&self, more: &str) -> String {
        format!(
            "[[listeners]]\nname = \"plain\"\naddress = \"127.0.0.1:{}\"\n{more}",
            self.http_port
        )
    }
}

/// The certificate of `name` once it is as `good` says.
async fn eventually_is(gateway: &Gateway, name: &str, good: impl Fn(&Value) -> bool) -> Value {
    let until = tokio::time::Instant::now() + SOON;
    loop {
        let shown = gateway.admin().certificate(name).await;
        if good(&shown) {
            return shown;
        }
        assert!(tokio::time::Instant::now() < until, "not within {SOON:?}: {shown:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn is_valid(shown: &Value) -> bool {
    shown["state"] == "valid"
}

/// The certificate that a client of `tls` sees.
async fn shown(gateway: &Gateway, tls: &ClientTls) -> CertificateDer<'static> {
    let socket = TcpStream::connect(gateway.addr()).await.expect("connect");
    let stream = tls.handshake(socket).await.expect("a handshake");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone()
}
