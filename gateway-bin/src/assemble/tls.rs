//! TLS towards upstreams.

use std::sync::Arc;

use gateway_core::BoxError;
use gateway_core::context::TlsVersion;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme, WantsVerifier};
use rustls_platform_verifier::Verifier;

use super::trusted::Trusted;
use crate::config::{ClusterTls, PemFile};

/// The one crypto provider.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Connections that are verified by the certificates the system trusts (on Linux its bundle, or
/// that of `SSL_CERT_FILE`), and carry HTTP/1.1.
///
/// # Errors
///
/// When the system has no certificates to trust.
pub(super) fn client() -> Result<Arc<ClientConfig>, BoxError> {
    let verifier = Arc::new(Verifier::new(provider())?);
    let config = begun(TlsVersion::Tls12)?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(Arc::new(config.with_no_client_auth()))
}

/// The same, verified by the certificates in the file at `ca` alone.
///
/// # Errors
///
/// When the file cannot be read or has no certificate.
pub(super) fn client_trusting(ca: &str) -> Result<Arc<ClientConfig>, BoxError> {
    let pem = std::fs::read(ca).map_err(|error| format!("{ca}: {error}"))?;
    let pem = crate::config::without_mark(&pem);
    let trusted = trusted(pem).map_err(|error| format!("{ca} {error}"))?;
    let config = begun(TlsVersion::Tls12)?.dangerous().with_custom_certificate_verifier(trusted);
    Ok(Arc::new(config.with_no_client_auth()))
}

/// The same, verified by the certificates in `ca` alone.
#[cfg(feature = "acme")]
pub(super) fn client_trusting_pem(ca: &PemFile) -> Result<Arc<ClientConfig>, String> {
    let trusted =
        trusted(ca.bytes()).map_err(|found| format!("{} {found}", ca.path().display()))?;
    let begun = begun(TlsVersion::Tls12).map_err(|error| error.to_string())?;
    let config = begun.dangerous().with_custom_certificate_verifier(trusted);
    Ok(Arc::new(config.with_no_client_auth()))
}

/// What is wrong with `tls` of a cluster: the key below it, and the words.
pub(super) struct Wrong {
    pub(super) key: &'static str,
    pub(super) message: String,
}

impl Wrong {
    #[allow(clippy::needless_pass_by_value, reason = "errors are handed over")]
    fn new(key: &'static str, message: impl ToString) -> Self {
        Self { key, message: message.to_string() }
    }

    fn file(key: &'static str, file: &PemFile, found: &str) -> Self {
        Self::new(key, format!("{} {found}", file.path().display()))
    }
}

/// Connections as a cluster of a document has them.
pub(super) fn cluster(tls: &ClusterTls) -> Result<Arc<ClientConfig>, Wrong> {
    let begun = begun(tls.min_version).map_err(|error| Wrong::new("min_version", error))?;
    let verifier: Arc<dyn ServerCertVerifier> = match &tls.ca {
        _ if tls.dangerous_accept_any_certificate => Arc::new(AcceptAny(provider())),
        Some(ca) => trusted(ca.bytes()).map_err(|found| Wrong::file("ca", ca, &found))?,
        None => Arc::new(Verifier::new(provider()).map_err(|error| Wrong::new("ca", error))?),
    };
    let config = begun.dangerous().with_custom_certificate_verifier(verifier);
    let (Some(cert), Some(key)) = (&tls.client_cert, &tls.client_key) else {
        return Ok(Arc::new(config.with_no_client_auth()));
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert.bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.ok_or_else(|| Wrong::file("client_cert", cert, "has no certificate"))?;
    let loaded = PrivateKeyDer::from_pem_slice(key.bytes())
        .map_err(|_| Wrong::file("client_key", key, "has no private key"))?;
    let config = config.with_client_auth_cert(chain, loaded).map_err(|error| {
        let found = match error {
            rustls::Error::InconsistentKeys(_) => "does not belong to `client_cert`",
            _ => "has a private key that cannot be used",
        };
        Wrong::file("client_key", key, found)
    })?;
    Ok(Arc::new(config))
}

/// The name that certificates must have.
pub(super) fn server_name(name: &str) -> Result<ServerName<'static>, Wrong> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        Wrong::new("server_name", format!("found \"{name}\", expected a host name or an address"))
    })
}

/// Verifies by the certificates in `pem`: authorities, or servers' own.
fn trusted(pem: &[u8]) -> Result<Arc<Trusted>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| "is not PEM, expected `BEGIN CERTIFICATE`")?;
    if certificates.is_empty() {
        return Err("has no certificate".to_owned());
    }
    let trusted = Trusted::new(certificates, provider());
    Ok(Arc::new(trusted.map_err(|error| format!("has an unusable certificate: {error}"))?))
}

fn begun(
    min_version: TlsVersion,
) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, rustls::Error> {
    let versions: &[_] = match min_version {
        TlsVersion::Tls13 => &[&TLS13],
        _ => &[&TLS13, &TLS12],
    };
    ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions)
}

/// Believes every certificate, and only that whoever shows it has its key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
