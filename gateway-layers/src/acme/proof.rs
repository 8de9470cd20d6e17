//! [`Proofs`]: what an authority is shown that checks whose the names are.

use std::sync::Arc;

use gateway_core::context::HttpChallenges;
use gateway_core::server::tls::CertificateStore;
use instant_acme::{ChallengeType, KeyAuthorization};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::config::Challenge;
use super::fault::Fault;

/// Where proofs are shown.
#[derive(Clone)]
pub(super) struct Proofs {
    pub(super) challenge: Challenge,
    pub(super) stores: Vec<CertificateStore>,
    pub(super) http: HttpChallenges,
    pub(super) provider: Arc<CryptoProvider>,
}

/// A proof that is shown for as long as this is kept.
#[must_use]
pub(super) struct Shown {
    proofs: Proofs,
    domain: String,
    token: String,
}

impl Proofs {
    /// The kind of challenge, as an authority names it.
    pub(super) fn kind(&self) -> ChallengeType {
        match self.challenge {
            Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Challenge::Http01 => ChallengeType::Http01,
        }
    }

    /// Shows `authorization`, which answers `token`, to who asks for `domain`.
    pub(super) fn show(
        &self,
        domain: &str,
        token: &str,
        authorization: &KeyAuthorization,
    ) -> Result<Shown, Fault> {
        match self.challenge {
            Challenge::Http01 => self.http.set(token, authorization.as_str()),
            Challenge::TlsAlpn01 => {
                let key = self.certificate(domain, authorization.digest().as_ref())?;
                for store in &self.stores {
                    store.set_challenge(domain, key.clone());
                }
            }
        }
        Ok(Shown { proofs: self.clone(), domain: domain.to_owned(), token: token.to_owned() })
    }

    /// RFC 8737, section 3: a certificate for the name alone, with the digest in it.
    fn certificate(&self, domain: &str, digest: &[u8]) -> Result<CertifiedKey, Fault> {
        let wrong = |error: &dyn std::fmt::Display| {
            Fault::rejected(format!("no certificate for the challenge could be made: {error}"))
        };
        if digest.len() != 32 {
            return Err(wrong(&"the digest is not SHA-256"));
        }
        let names = vec![domain.to_owned()];
        let mut params = CertificateParams::new(names).map_err(|error| wrong(&error))?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate().map_err(|error| wrong(&error))?;
        let certificate = params.self_signed(&key).map_err(|error| wrong(&error))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.der().clone()];
        let key =
            self.provider.key_provider.load_private_key(key).map_err(|error| wrong(&error))?;
        // Not checked against each other: rustls does not read the extension, which is critical.
        Ok(CertifiedKey::new(chain, key))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        match self.proofs.challenge {
            Challenge::Http01 => self.proofs.http.remove(&self.token),
            Challenge::TlsAlpn01 => {
                for store in &self.proofs.stores {
                    store.remove_challenge(&self.domain);
                }
            }
        }
    }
}
