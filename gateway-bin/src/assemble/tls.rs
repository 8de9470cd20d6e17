//! TLS towards upstreams.

use std::sync::Arc;

use gateway_core::BoxError;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;

/// Connections that are verified by the certificates the system trusts (on Linux its bundle, or
/// that of `SSL_CERT_FILE`), and carry HTTP/1.1.
///
/// # Errors
///
/// When the system has no certificates to trust.
pub(super) fn client() -> Result<Arc<ClientConfig>, rustls::Error> {
    let config = begun()?.with_platform_verifier()?.with_no_client_auth();
    Ok(Arc::new(config))
}

/// The same, verified by the certificates in the file at `ca` alone.
///
/// # Errors
///
/// When the file cannot be read or has no certificate.
pub(super) fn client_trusting(ca: &str) -> Result<Arc<ClientConfig>, BoxError> {
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(ca).map_err(|error| format!("{ca}: {error}"))?
    {
        roots.add(certificate.map_err(|error| format!("{ca}: {error}"))?)?;
    }
    if roots.is_empty() {
        return Err(format!("{ca}: no certificate").into());
    }
    Ok(Arc::new(begun()?.with_root_certificates(roots).with_no_client_auth()))
}

fn begun() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}
