//! [`AcmeStatus`]: how a certificate is, for people and for monitoring.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway_core::server::tls::Certificate;
use rustls::pki_types::CertificateDer;

use super::config::Challenge;
use super::schedule::{Validity, Window};
use super::storage::Fingerprint;

/// How a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcmeState {
    /// There is none; handshakes for its names are rejected.
    Missing,
    /// It is ordered now; the one that is there, if any, is used meanwhile.
    Ordering,
    /// Another process that shares the storage orders it now.
    OrderedElsewhere,
    /// It is there and good.
    Valid,
    /// It has expired and is used all the same, for want of another.
    Expired,
}

impl AcmeState {
    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ordering => "ordering",
            Self::OrderedElsewhere => "ordered_elsewhere",
            Self::Valid => "valid",
            Self::Expired => "expired",
        }
    }
}

/// How the certificate of an ACME client is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AcmeStatus {
    /// The names it is for.
    pub domains: Vec<String>,
    /// The directory of the authority.
    pub directory: String,
    /// How it is proved that the names are ours.
    pub challenge: Challenge,
    /// How it is.
    pub state: AcmeState,
    /// From when on it is valid; `None`: there is none.
    pub not_before: Option<SystemTime>,
    /// When it expires; `None`: there is none.
    pub not_after: Option<SystemTime>,
    /// Why the latest try failed; `None`: it did not.
    pub last_error: Option<String>,
    /// How many tries have failed in a row.
    pub failures: u32,
    /// When it is ordered, or ordered again.
    pub next_try: Option<SystemTime>,
}

/// What is known of a certificate.
#[derive(Default)]
pub(super) struct State {
    pub(super) current: Option<Current>,
    /// What could not be written yet.
    pub(super) unsaved: Option<Arc<str>>,
    /// What was in the storage at the last look.
    pub(super) seen: Option<Fingerprint>,
    pub(super) doing: Doing,
    pub(super) failures: u32,
    pub(super) last_error: Option<String>,
    /// Not before this, after a failure.
    pub(super) not_until: Option<SystemTime>,
    /// What is there is put into the stores.
    pub(super) serving: bool,
}

/// What is done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doing {
    #[default]
    Nothing,
    Ordering,
    /// Somebody else does.
    Elsewhere,
}

/// The certificate that is used.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) certificate: Certificate,
    pub(super) der: CertificateDer<'static>,
    /// When it came.
    pub(super) since: SystemTime,
    /// What the authority says about its renewal.
    pub(super) window: Option<Window>,
    /// When the authority is asked about that again.
    pub(super) ask_at: SystemTime,
    /// Drawn once, from 0 to 1.
    pub(super) share: f64,
}

impl Current {
    /// When it is renewed.
    pub(super) fn renewal(&self, renew_before: Option<Duration>) -> SystemTime {
        let validity = self.validity();
        let drawn = validity.renewal(renew_before, self.window, self.share);
        drawn.max(validity.not_again_until(self.since))
    }

    pub(super) fn validity(&self) -> Validity {
        Validity {
            not_before: self.certificate.not_before(),
            not_after: self.certificate.not_after(),
        }
    }
}

impl State {
    pub(super) fn of(&self, now: SystemTime) -> AcmeState {
        let expired = self.current.as_ref().map(|one| now > one.certificate.not_after());
        match (self.doing, expired) {
            (Doing::Ordering, _) => AcmeState::Ordering,
            (Doing::Elsewhere, None) => AcmeState::OrderedElsewhere,
            (_, None) => AcmeState::Missing,
            (_, Some(true)) => AcmeState::Expired,
            (_, Some(false)) => AcmeState::Valid,
        }
    }
}
