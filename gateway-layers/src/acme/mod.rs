//! Certificates from an authority that hands them out by itself: ACME (RFC 8555).
//!
//! ```text
//! Acme -- Schedule     when: at 2/3 of a lifetime, or as the authority says (RFC 9773)
//!   |---- Storage      the account's key and the certificates, in a directory
//!   |---- Authority    accounts and orders, over a client of the gateway's own
//!   `---- Proofs       whose the names are: TLS-ALPN-01 (RFC 8737) or HTTP-01
//! ```
//!
//! An [`Acme`] keeps one certificate for all its names in a
//! [`CertificateStore`](gateway_core::server::tls::CertificateStore). It orders what is not there,
//! renews what will expire, and goes on with what it has while that fails. As long as there is no
//! certificate, handshakes that ask for one of the names are rejected. What it was given is in its
//! storage, so that a restart orders nothing; several processes may share one storage, and order
//! once.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use gateway_core::server::tls::{CertificateStore, ServerTls};
//! use gateway_core::Listener;
//! use gateway_layers::acme::Acme;
//! use rustls::ClientConfig;
//!
//! /// `trust` says which certificates of the authority itself are believed.
//! fn listener(trust: Arc<ClientConfig>) -> Result<(Listener, Acme), Box<dyn std::error::Error>> {
//!     let provider = Arc::clone(trust.crypto_provider());
//!     let store = CertificateStore::new(Vec::new());
//!     let acme = Acme::builder(["example.org", "www.example.org"], "/var/lib/acme", trust)
//!         .contact(["ops@example.org"])
//!         .terms_agreed(true)
//!         .store(store.clone())
//!         .build()?;
//!     let tls = ServerTls::builder(provider, store).build()?;
//!     // Inside of a runtime: `acme.start()`, for as long as `acme` is kept.
//!     Ok((Listener::new("0.0.0.0:443".parse()?).tls(tls), acme))
//! }
//! ```

mod account;
mod authority;
mod builder;
mod client;
mod config;
mod fault;
mod keeper;
mod order;
mod proof;
mod schedule;
mod state;
mod storage;

#[cfg(test)]
mod tests;

pub use self::builder::AcmeBuilder;
pub use self::config::{AcmeProblem, AcmeProblems, Challenge, ExternalAccount, LETS_ENCRYPT};
pub use self::keeper::Acme;
pub use self::state::{AcmeState, AcmeStatus};
