//! TLS towards upstreams.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_platform_verifier::BuilderVerifierExt;

/// Connections that are verified by the certificates the system trusts (on Linux its bundle, or
/// that of `SSL_CERT_FILE`), and carry HTTP/1.1.
///
/// # Errors
///
/// When the system has no certificates to trust.
pub(super) fn client() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(Arc::new(config))
}
