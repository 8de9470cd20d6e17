//! TLS of a listener: which certificate a client sees, who the client is, and how both change
//! while connections go on.
//!
//! ```text
//! ServerTls -- CertificateStore -- Certificate        whose server this is, by SNI
//!     |------- ClientAuth -- ClientTrust              whose clients are believed
//!     `------- TlsFiles, FileWatch          both from files, and again when they change
//! ```
//!
//! No crypto provider is chosen here: the embedder passes one.
//!
//! ```
//! use std::sync::Arc;
//!
//! use gateway_core::server::tls::{Certificate, CertificateStore, ServerTls};
//! use gateway_core::Listener;
//! use rustls::crypto::CryptoProvider;
//!
//! fn listener(
//!     provider: &Arc<CryptoProvider>,
//!     chain: &[u8],
//!     key: &[u8],
//! ) -> Result<Listener, Box<dyn std::error::Error>> {
//!     let certificate = Certificate::from_pem(chain, key, provider)?;
//!     let store = CertificateStore::new(vec![certificate]);
//!     let tls = ServerTls::builder(Arc::clone(provider), store).build()?;
//!     Ok(Listener::new("127.0.0.1:8443".parse()?).tls(tls))
//! }
//! ```

mod certificate;
mod client_auth;
mod files;
mod handshake;
mod identity;
mod reload;
mod store;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::hash::{Hash, HashAlgorithm};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    NoServerSessionStorage, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions,
    WebPkiClientVerifier,
};
use rustls::version::{TLS12, TLS13};

pub use self::certificate::{Certificate, CertificateError};
pub use self::client_auth::{ClientAuth, ClientTrust, TrustError};
pub use self::files::{
    CertificateFiles, ClientAuthMode, FileProblem, LoadedTls, TlsFile, TlsFiles,
};
pub(super) use self::handshake::handshake;
pub use self::reload::{EXPIRES_SOON, FileWatch};
pub use self::store::CertificateStore;
use super::listener::Protocol;
use crate::context::TlsVersion;
use crate::swap::Swap;

/// Sessions that are remembered for clients that come again. Default of
/// [`ServerTlsBuilder::session_cache`].
const SESSION_CACHE: usize = 16 * 1024;

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// The TLS of a listener. Cheap to clone; clones are the same, and share certificates and sessions:
/// one for all listeners that share a port.
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    provider: Arc<CryptoProvider>,
    store: CertificateStore,
    sessions: Arc<dyn StoresServerSessions>,
    tickets: Option<Arc<dyn ProducesTickets>>,
    sha256: &'static dyn Hash,
    current: Swap<Current>,
    /// Held while somebody changes something.
    writing: Mutex<()>,
}

/// What handshakes go by at one moment.
struct Current {
    min_version: TlsVersion,
    client_auth: ClientAuth,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    auto: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
    challenge: Arc<ServerConfig>,
}

/// Why TLS cannot be offered like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerTlsError {
    /// Clients could not be verified.
    #[error("client certificates cannot be verified: {0}")]
    Trust(#[from] TrustError),
    /// The provider has no cipher suite for the versions, or no SHA-256.
    #[error("the crypto provider does not do: {0}")]
    Provider(String),
}

/// What a [`ServerTls`] is made of.
#[derive(Clone)]
#[must_use]
pub struct ServerTlsBuilder {
    provider: Arc<CryptoProvider>,
    store: CertificateStore,
    min_version: TlsVersion,
    client_auth: ClientAuth,
    session_cache: usize,
    tickets: Option<Arc<dyn ProducesTickets>>,
}

impl ServerTls {
    /// TLS by `provider` with the certificates of `store`.
    pub fn builder(provider: Arc<CryptoProvider>, store: CertificateStore) -> ServerTlsBuilder {
        ServerTlsBuilder {
            provider,
            store,
            min_version: TlsVersion::Tls12,
            client_auth: ClientAuth::Off,
            session_cache: SESSION_CACHE,
            tickets: None,
        }
    }

    /// The certificates.
    pub fn certificates(&self) -> &CertificateStore {
        &self.shared.store
    }

    /// Whether clients are asked for a certificate now: `off`, `optional` or `required`.
    pub fn client_auth(&self) -> &'static str {
        self.shared.current.peek().client_auth.as_str()
    }

    /// The oldest version that is spoken now.
    pub fn min_version(&self) -> TlsVersion {
        self.shared.current.peek().min_version
    }

    /// What everything was made by.
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.shared.provider
    }

    /// Lets new handshakes go by `min_version` and `client_auth`. Connections that are there go on.
    /// A session of before is taken up only if its client would be believed today.
    ///
    /// # Errors
    ///
    /// When clients could not be verified; nothing has changed then.
    pub fn change(
        &self,
        min_version: TlsVersion,
        client_auth: ClientAuth,
    ) -> Result<(), ServerTlsError> {
        let shared = &self.shared;
        let _writing = shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = (&shared.provider, &shared.store, &shared.sessions, shared.tickets.as_ref());
        shared.current.replace(Current::build(parts, min_version, client_auth)?);
        Ok(())
    }
}

type Parts<'a> = (
    &'a Arc<CryptoProvider>,
    &'a CertificateStore,
    &'a Arc<dyn StoresServerSessions>,
    Option<&'a Arc<dyn ProducesTickets>>,
);

impl Current {
    fn build(
        (provider, store, sessions, tickets): Parts<'_>,
        min_version: TlsVersion,
        client_auth: ClientAuth,
    ) -> Result<Self, ServerTlsError> {
        let versions: &[_] = match min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let verifier = client_auth.verifier(provider)?;
        let begun = || {
            ServerConfig::builder_with_provider(Arc::clone(provider))
                .with_protocol_versions(versions)
                .map_err(|error| ServerTlsError::Provider(error.to_string()))
        };
        let verified = verifier.clone().unwrap_or_else(WebPkiClientVerifier::no_client_auth);
        let mut base =
            begun()?.with_client_cert_verifier(verified).with_cert_resolver(store.resolver());
        base.session_storage = Arc::clone(sessions);
        if let Some(tickets) = tickets {
            base.ticketer = Arc::clone(tickets);
        }
        let speaking = |protocols: &[&[u8]]| {
            let mut config = base.clone();
            config.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
            Arc::new(config)
        };
        let mut challenge =
            begun()?.with_no_client_auth().with_cert_resolver(store.challenge_resolver());
        challenge.alpn_protocols = vec![store::ACME_TLS.to_vec()];
        challenge.session_storage = Arc::new(NoServerSessionStorage {});
        challenge.send_tls13_tickets = 0;
        Ok(Self {
            min_version,
            auto: speaking(&[HTTP2, HTTP1]),
            http1: speaking(&[HTTP1]),
            http2: speaking(&[HTTP2]),
            challenge: Arc::new(challenge),
            client_auth,
            verifier,
        })
    }

    fn config(&self, protocol: Protocol) -> &Arc<ServerConfig> {
        match protocol {
            Protocol::Auto => &self.auto,
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
        }
    }
}

impl ServerTlsBuilder {
    /// The oldest version that is spoken. Default: 1.2.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }

    /// Whether clients show a certificate. Default: [`ClientAuth::Off`].
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// How many sessions are remembered, for clients that come again and take no ticket. The oldest
    /// is forgotten first. Default: 16,384.
    pub fn session_cache(mut self, sessions: usize) -> Self {
        self.session_cache = sessions;
        self
    }

    /// Hands sessions to the clients to keep, sealed by `tickets` (RFC 8446, section 4.6.1;
    /// RFC 5077). Default: none, sessions are remembered here.
    pub fn tickets(mut self, tickets: Arc<dyn ProducesTickets>) -> Self {
        self.tickets = Some(tickets);
        self
    }

    /// The TLS of these parts.
    ///
    /// # Errors
    ///
    /// When clients could not be verified, or the provider has not what is needed.
    pub fn build(self) -> Result<ServerTls, ServerTlsError> {
        let sha256 =
            sha256(&self.provider).ok_or_else(|| ServerTlsError::Provider("SHA-256".to_owned()))?;
        let sessions: Arc<dyn StoresServerSessions> = match self.session_cache {
            0 => Arc::new(NoServerSessionStorage {}),
            size => ServerSessionMemoryCache::new(size),
        };
        let parts = (&self.provider, &self.store, &sessions, self.tickets.as_ref());
        let current = Current::build(parts, self.min_version, self.client_auth)?;
        Ok(ServerTls {
            shared: Arc::new(Shared {
                current: Swap::new(current),
                provider: self.provider,
                store: self.store,
                sessions,
                tickets: self.tickets,
                sha256,
                writing: Mutex::default(),
            }),
        })
    }
}

/// The provider's SHA-256, by way of a cipher suite that uses it.
fn sha256(provider: &CryptoProvider) -> Option<&'static dyn Hash> {
    let hashes = provider.cipher_suites.iter().map(|suite| match suite {
        rustls::SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
        rustls::SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
    });
    hashes.into_iter().find(|hash| hash.algorithm() == HashAlgorithm::SHA256)
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.shared.current.peek();
        f.debug_struct("ServerTls")
            .field("certificates", &self.shared.store)
            .field("min_version", &current.min_version)
            .field("client_auth", &current.client_auth)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerTlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTlsBuilder")
            .field("certificates", &self.store)
            .field("min_version", &self.min_version)
            .field("client_auth", &self.client_auth)
            .finish_non_exhaustive()
    }
}
