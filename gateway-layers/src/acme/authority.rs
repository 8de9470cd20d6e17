//! [`Authority`]: who hands out certificates.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use super::fault::Fault;
use super::schedule::Window;

pub(super) type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// A private key and the chain for it, both in PEM, as one text.
pub(super) struct Issued(pub(super) String);

/// When a certificate should be renewed, and when to ask again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renewal {
    /// `None`: the authority does not say such things.
    pub(super) window: Option<Window>,
    pub(super) ask_again: Duration,
}

/// Who hands out certificates. Each question has a deadline.
pub(super) trait Authority: Send + Sync + 'static {
    /// A new certificate, in place of `replaced` where the authority wants to know that.
    fn issue<'a>(&'a self, replaced: Option<&'a CertificateDer<'static>>) -> Asking<'a, Issued>;

    /// When `certificate` should be renewed (RFC 9773).
    fn renewal<'a>(&'a self, certificate: &'a CertificateDer<'static>) -> Asking<'a, Renewal>;
}
