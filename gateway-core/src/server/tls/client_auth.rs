//! [`ClientAuth`]: whether clients show a certificate, and whose is believed.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError as Rejection, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::certificate::{CertificateError, chain_from_pem};
use super::identity;

/// Whether clients show a certificate (mutual TLS).
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    Off,
    /// They are asked. One without a certificate is taken, as nobody; one whose certificate is not
    /// good is rejected.
    Optional(ClientTrust),
    /// They are asked, and rejected without a good certificate.
    Required(ClientTrust),
    /// They cannot be verified, because the files that say whose certificates are trusted cannot
    /// be used: every handshake is rejected.
    Closed,
}

impl ClientAuth {
    /// `off`, `optional`, `required` or `closed`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional(_) => "optional",
            Self::Required(_) => "required",
            Self::Closed => "closed",
        }
    }

    /// What verifies clients' certificates; `None`: they are not asked for any.
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TrustError> {
        let (trust, optional) = match self {
            Self::Off => return Ok(None),
            Self::Optional(trust) => (trust, true),
            Self::Required(trust) => (trust, false),
            Self::Closed => return Ok(Some(Arc::new(RejectAll(Arc::clone(provider))))),
        };
        let (roots, provider) = (Arc::clone(&trust.roots), Arc::clone(provider));
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        if !trust.crls.is_empty() {
            builder = builder.with_crls(trust.crls.iter().cloned()).enforce_revocation_expiration();
        }
        if optional {
            builder = builder.allow_unauthenticated();
        }
        let inner = builder.build().map_err(|error| TrustError::Unusable(error.to_string()))?;
        Ok(Some(Arc::new(NamedVerifier { inner })))
    }
}

/// Demands a certificate and rejects every one.
#[derive(Debug)]
struct RejectAll(Arc<CryptoProvider>);

impl ClientCertVerifier for RejectAll {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Err(Error::InvalidCertificate(Rejection::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::InvalidCertificate(Rejection::BadSignature))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::InvalidCertificate(Rejection::BadSignature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whose certificates of clients are believed: authorities, and what they revoked.
///
/// With revocation lists every certificate of a chain needs one of its issuer that has not
/// expired; without it the certificate is rejected.
#[derive(Clone)]
pub struct ClientTrust {
    roots: Arc<RootCertStore>,
    crls: Arc<[CertificateRevocationListDer<'static>]>,
}

/// Why authorities or revocation lists cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The authorities' certificates cannot be used.
    #[error("{0}")]
    Authority(CertificateError),
    /// There is no revocation list.
    #[error("has no revocation list, expected PEM with at least one `BEGIN X509 CRL`")]
    NoCrl,
    /// A revocation list is damaged.
    #[error("has a revocation list that cannot be read")]
    MalformedCrl,
    /// A revocation list should have been replaced by now: nobody would be let in.
    #[error("has a revocation list that expired on {}", httpdate::fmt_http_date(*.0))]
    ExpiredCrl(SystemTime),
    /// They do not fit together.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

impl ClientTrust {
    /// Believes certificates of those in `roots`.
    pub fn new(roots: RootCertStore) -> Self {
        Self { roots: Arc::new(roots), crls: Arc::new([]) }
    }

    /// Reads the certificates of authorities from PEM.
    ///
    /// # Errors
    ///
    /// When there is none, or one of them cannot be used.
    pub fn from_pem(authorities: &[u8]) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        for authority in chain_from_pem(authorities).map_err(TrustError::Authority)? {
            roots.add(authority).map_err(|_| {
                TrustError::Authority(CertificateError::Malformed("it is no authority's"))
            })?;
        }
        Ok(Self::new(roots))
    }

    /// Rejects what the revocation lists (RFC 5280, section 5) of a PEM text name.
    ///
    /// # Errors
    ///
    /// When there is none, or one of them is damaged or has expired at `now`.
    pub fn with_crls_from_pem(mut self, crls: &[u8], now: SystemTime) -> Result<Self, TrustError> {
        let crls: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(crls).collect();
        let crls = crls.map_err(|_| TrustError::MalformedCrl)?;
        if crls.is_empty() {
            return Err(TrustError::NoCrl);
        }
        for crl in &crls {
            let (_, parsed) =
                CertificateRevocationList::from_der(crl).map_err(|_| TrustError::MalformedCrl)?;
            let expires = parsed.next_update().map(identity::time);
            if let Some(expired) = expires.filter(|expires| *expires < now) {
                return Err(TrustError::ExpiredCrl(expired));
            }
        }
        self.crls = crls.into();
        Ok(self)
    }
}

impl fmt::Debug for ClientTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTrust")
            .field("authorities", &self.roots.len())
            .field("crls", &self.crls.len())
            .finish()
    }
}

/// Verifies as its inner one does, and rejects certificates whose names cannot be trusted to mean
/// the same to everybody.
#[derive(Debug)]
struct NamedVerifier {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for NamedVerifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        identity::identity(end_entity, [0; 32]).map_err(|error| {
            Error::InvalidCertificate(Rejection::Other(OtherError(Arc::new(error))))
        })?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
