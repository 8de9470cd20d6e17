//! [`Trusted`]: which servers are believed by the certificates of a file.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Believes servers whose certificate one of these authorities has issued, and those whose own
/// certificate is one of these: a self-signed one, or one that is pinned. Name and validity are
/// checked for both.
#[derive(Debug)]
pub(super) struct Trusted {
    chains: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// Verifies by `certificates`, of which there is one at least.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| error.to_string())?;
        }
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self { chains: chains.build().map_err(|error| error.to_string())?, certificates })
    }

    /// True where `error` is about who has issued the certificate, which does not matter for one
    /// that is believed itself. Its validity was checked before that.
    fn concerns_issuer(error: &Error) -> bool {
        // That an authority's certificate is a server's has no variant of its own.
        matches!(
            error,
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
        )
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let error = match self.chains.verify_server_cert(own, intermediates, name, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        if !self.certificates.contains(own) || !Self::concerns_issuer(&error) {
            return Err(error);
        }
        verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
