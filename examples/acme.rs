//! A listener whose certificate is ordered, renewed and kept by itself.
//!
//! `cargo run -p gateway-examples --example acme -- example.org ops@example.org /var/lib/acme`. Port
//! 443 of the name must lead to port 8443 here: that is where the authority looks. It is the one
//! for tests, whose certificates nobody believes.

use std::sync::Arc;

use gateway_core::server::tls::{CertificateStore, ServerTls};
use gateway_core::{FixedResponse, Listener, Module, Server};
use gateway_examples::{Result, stopped};
use gateway_layers::acme::Acme;
use http::StatusCode;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::Verifier;

const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

#[tokio::main]
async fn main() -> Result {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("expected NAME MAIL DIRECTORY");
    let (name, mail, storage) = (next()?, next()?, next()?);
    let (tls, acme) = secured(&name, &mail, &storage, STAGING, trust()?)?;
    let listener = Listener::new("0.0.0.0:8443".parse()?).tls(tls).bind()?;
    // For as long as `acme` is kept. What becomes of it is in its status, and in the log.
    acme.start();
    let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
    Ok(Server::new(module).listen(listener).serve(stopped()).await.map(drop)?)
}

/// Believes whom the system trusts.
fn trust() -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Verifier::new(Arc::clone(&provider))?);
    let begun =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let trusting = begun.dangerous().with_custom_certificate_verifier(verifier);
    Ok(trusting.with_no_client_auth())
}

/// TLS with a certificate for `name`, and what keeps it.
pub fn secured(
    name: &str,
    mail: &str,
    storage: &str,
    directory: &str,
    trust: ClientConfig,
) -> Result<(ServerTls, Acme)> {
    let provider = Arc::clone(trust.crypto_provider());
    let store = CertificateStore::new(Vec::new());
    let acme = Acme::builder([name], storage, Arc::new(trust))
        .directory(directory)
        .contact([mail])
        .terms_agreed(true)
        .store(store.clone())
        .build()?;
    Ok((ServerTls::builder(provider, store).build()?, acme))
}
