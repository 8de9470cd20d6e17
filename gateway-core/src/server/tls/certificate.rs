//! [`Certificate`]: a chain with its private key, and what it is good for.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::identity;

/// A certificate chain with its private key, and what it is good for. Cheap to clone.
///
/// `Debug` shows names and expiry, never the key.
#[derive(Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    names: Arc<[String]>,
    addresses: Arc<[IpAddr]>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is no certificate.
    #[error("has no certificate, expected PEM with at least one `BEGIN CERTIFICATE`")]
    NoCertificate,
    /// The certificates are no PEM.
    #[error("is not PEM, expected `BEGIN CERTIFICATE`")]
    NotPem,
    /// There is no private key.
    #[error("has no private key, expected PEM with one `BEGIN PRIVATE KEY`")]
    NoKey,
    /// The private key is of a kind that is not understood, or damaged.
    #[error("has a private key that cannot be used, expected RSA, ECDSA or Ed25519 in PEM")]
    KeyUnusable,
    /// The private key belongs to another certificate.
    #[error("has a private key that does not belong to the certificate")]
    KeyMismatch,
    /// The certificate is damaged.
    #[error("has a certificate that cannot be read: {0}")]
    Malformed(&'static str),
    /// The certificate is no longer valid.
    #[error("has a certificate that expired on {}", httpdate::fmt_http_date(*.0))]
    Expired(SystemTime),
    /// The certificate is not valid yet.
    #[error("has a certificate that is not valid before {}", httpdate::fmt_http_date(*.0))]
    NotYetValid(SystemTime),
}

impl CertificateError {
    /// True when the private key is at fault.
    pub fn is_about_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::KeyUnusable | Self::KeyMismatch)
    }
}

impl Certificate {
    /// A chain with its key, the certificate of the server first.
    ///
    /// # Errors
    ///
    /// When the first certificate cannot be read.
    pub fn new(key: Arc<CertifiedKey>) -> Result<Self, CertificateError> {
        let first = key.end_entity_cert().map_err(|_| CertificateError::NoCertificate)?;
        let (_, parsed) = X509Certificate::from_der(first)
            .map_err(|_| CertificateError::Malformed("it is not X.509"))?;
        let (names, addresses) = served(&parsed)?;
        let not_before = identity::time(parsed.validity().not_before);
        let not_after = identity::time(parsed.validity().not_after);
        let (names, addresses) = (names.into(), addresses.into());
        Ok(Self { names, addresses, not_before, not_after, key })
    }

    /// Reads a chain and its key from PEM.
    ///
    /// # Errors
    ///
    /// When one of them is missing or damaged, or they do not belong together.
    pub fn from_pem(
        chain: &[u8],
        key: &[u8],
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        let chain = chain_from_pem(chain)?;
        // What is wrong with a key is not repeated: the words could hold a piece of it.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        Self::from_der(chain, key, provider)
    }

    /// Takes a chain and its key as they are.
    ///
    /// # Errors
    ///
    /// When they do not belong together, or one of them cannot be used.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, CertificateError> {
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateError::KeyMismatch,
            rustls::Error::InvalidCertificate(_) => CertificateError::Malformed("it is not X.509"),
            _ => CertificateError::KeyUnusable,
        })?;
        Self::new(Arc::new(key))
    }

    /// The names it is good for, in lower case, wildcards as `*.example.com`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The addresses it is good for.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// When it expires.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// When it expires, for people.
    pub fn expires(&self) -> String {
        httpdate::fmt_http_date(self.not_after)
    }

    /// From when on it is valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Says whether it is valid at `now`.
    ///
    /// # Errors
    ///
    /// When it has expired, or is not valid yet.
    pub fn check(&self, now: SystemTime) -> Result<(), CertificateError> {
        if now > self.not_after {
            return Err(CertificateError::Expired(self.not_after));
        }
        if now < self.not_before {
            return Err(CertificateError::NotYetValid(self.not_before));
        }
        Ok(())
    }

    /// True when it expires within `time` after `now`.
    pub fn expires_within(&self, time: Duration, now: SystemTime) -> bool {
        now.checked_add(time).is_some_and(|then| then > self.not_after)
    }

    /// What it is used by.
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }
}

/// The certificates of a PEM text.
pub(super) fn chain_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| CertificateError::NotPem)?;
    if chain.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(chain) }
}

/// The names and addresses that a server's certificate is good for. One without alternative names
/// is good for its common name, where that is one of a host.
fn served(parsed: &X509Certificate<'_>) -> Result<(Vec<String>, Vec<IpAddr>), CertificateError> {
    let unreadable = CertificateError::Malformed("its alternative names cannot be read");
    let alternative = parsed.subject_alternative_name().map_err(|_| unreadable)?;
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    match alternative {
        Some(alternative) => {
            for name in &alternative.value.general_names {
                match name {
                    GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                    GeneralName::IPAddress(bytes) => addresses.extend(address(bytes)),
                    _ => {}
                }
            }
        }
        None => {
            let common = parsed.subject().iter_common_name().last();
            let common = common.and_then(|name| name.as_str().ok()).filter(|name| is_plain(name));
            names.extend(common.map(str::to_ascii_lowercase));
        }
    }
    if !names.iter().all(|name| is_plain(name)) {
        return Err(CertificateError::Malformed("a name has characters that no host has"));
    }
    Ok((names, addresses))
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("names", &self.names)
            .field("not_after", &httpdate::fmt_http_date(self.not_after))
            .finish_non_exhaustive()
    }
}
