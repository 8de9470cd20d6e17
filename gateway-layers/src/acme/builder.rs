//! [`AcmeBuilder`]: an ACME client, described.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::context::HttpChallenges;
use gateway_core::server::tls::CertificateStore;
use gateway_core::{Clock, Observers, SystemClock};
use rustls::ClientConfig;

use super::account::AccountConfig;
use super::config::{
    AcmeProblem, AcmeProblems, Challenge, ExternalAccount, LETS_ENCRYPT, contacts, directory,
    domains,
};
use super::keeper::{Acme, Keeper};
use super::order::AcmeAuthority;
use super::proof::Proofs;
use super::storage::{Storage, name_of};

/// An ACME client, described; see [`Acme::builder`].
#[derive(Clone)]
#[must_use]
pub struct AcmeBuilder {
    domains: Vec<String>,
    storage: PathBuf,
    tls: Arc<ClientConfig>,
    directory: String,
    contact: Vec<String>,
    terms_agreed: bool,
    external_account: Option<ExternalAccount>,
    challenge: Challenge,
    profile: Option<String>,
    renew_before: Option<Duration>,
    stores: Vec<CertificateStore>,
    http_challenges: Option<HttpChallenges>,
    observers: Observers,
    clock: Arc<dyn Clock>,
}

impl AcmeBuilder {
    pub(super) fn new(domains: Vec<String>, storage: PathBuf, tls: Arc<ClientConfig>) -> Self {
        Self {
            domains,
            storage,
            tls,
            directory: LETS_ENCRYPT.to_owned(),
            contact: Vec::new(),
            terms_agreed: false,
            external_account: None,
            challenge: Challenge::default(),
            profile: None,
            renew_before: None,
            stores: Vec::new(),
            http_challenges: None,
            observers: Observers::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The directory of the authority, an `https` URL. Default: [`LETS_ENCRYPT`].
    pub fn directory(mut self, url: impl Into<String>) -> Self {
        self.directory = url.into();
        self
    }

    /// Mail addresses that the authority may write to. Default: none.
    pub fn contact(mut self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.contact = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// Agrees to the terms of service of the authority. Without that nothing is built.
    pub fn terms_agreed(mut self, agreed: bool) -> Self {
        self.terms_agreed = agreed;
        self
    }

    /// Ties the account to one that the authority knows already (RFC 8555, section 7.3.4). Default:
    /// none.
    pub fn external_account(mut self, account: ExternalAccount) -> Self {
        self.external_account = Some(account);
        self
    }

    /// How it is proved that the names are ours. Default: [`Challenge::TlsAlpn01`].
    pub fn challenge(mut self, challenge: Challenge) -> Self {
        self.challenge = challenge;
        self
    }

    /// The kind of certificate that is asked for, by the authority's name for it. Default: the
    /// authority chooses.
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }

    /// How long before its end a certificate is renewed, at the latest; at most two thirds of its
    /// lifetime. Default: when the authority says so (RFC 9773), else a third of the lifetime.
    pub fn renew_before(mut self, time: Duration) -> Self {
        self.renew_before = Some(time);
        self
    }

    /// Keeps the certificate in `store`, and proves by it in TLS. Can be said for several
    /// listeners; at least once.
    pub fn store(mut self, store: CertificateStore) -> Self {
        self.stores.push(store);
        self
    }

    /// Proves in plain text by `challenges`, which listeners answer with
    /// ([`ListenerInfo::challenges`](gateway_core::ListenerInfo::challenges)). Needed for
    /// [`Challenge::Http01`].
    pub fn http_challenges(mut self, challenges: HttpChallenges) -> Self {
        self.http_challenges = Some(challenges);
        self
    }

    /// Tells `observers` of changes: `certificate`, among the names of [`AcmeState`].
    ///
    /// [`AcmeState`]: super::AcmeState
    pub fn observers(mut self, observers: Observers) -> Self {
        self.observers = observers;
        self
    }

    /// Tells lifetimes by `clock`.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The client of these settings, with what is in its storage read. Blocks for that. Nothing is
    /// ordered before [`Acme::start`].
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the settings, at once, and a storage that cannot be written to.
    pub fn build(self) -> Result<Acme, AcmeProblems> {
        let (domains, contacts) = self.checked()?;
        let provider = Arc::clone(self.tls.crypto_provider());
        let storage = Storage::new(self.storage);
        let mut sorted: Vec<_> = domains.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let others = [self.directory.as_str(), self.profile.as_deref().unwrap_or_default()];
        let shown = domains.first().map_or("", String::as_str);
        let name = name_of(shown, others.into_iter().chain(sorted));
        let account = AccountConfig {
            directory: self.directory.clone(),
            contacts,
            external: self.external_account,
        };
        let proofs = Proofs {
            challenge: self.challenge,
            stores: self.stores.clone(),
            http: self.http_challenges.unwrap_or_default(),
            provider: Arc::clone(&provider),
        };
        let authority = AcmeAuthority {
            account,
            domains: domains.clone(),
            profile: self.profile,
            storage: storage.clone(),
            proofs,
            tls: self.tls,
            clock: Arc::clone(&self.clock),
        };
        Ok(Acme::new(Keeper {
            name,
            domains,
            directory: self.directory,
            challenge: self.challenge,
            renew_before: self.renew_before,
            storage,
            stores: self.stores,
            provider,
            observers: self.observers,
            clock: self.clock,
            authority: Box::new(authority),
        }))
    }

    /// The names and contacts in their normal forms, or everything that is wrong.
    fn checked(&self) -> Result<(Vec<String>, Vec<String>), AcmeProblems> {
        let mut problems = Vec::new();
        let mut wrong = |setting: &str, message: &str| {
            problems.push(AcmeProblem::new(setting, message));
        };
        if !self.terms_agreed {
            wrong(
                "terms_agreed",
                "found false, expected true: an authority gives nothing to who does not agree to \
                 its terms of service",
            );
        }
        if self.stores.is_empty() {
            wrong("store", "found none, expected at least one store for the certificate");
        }
        if self.challenge == Challenge::Http01 && self.http_challenges.is_none() {
            wrong("http_challenges", "found none, expected those that plain listeners answer with");
        }
        if self.external_account.as_ref().is_some_and(|external| external.key().is_none()) {
            wrong("external_account.hmac_key", "found no base64url, expected the key as it came");
        }
        if self.renew_before.is_some_and(|before| before.is_zero()) {
            wrong("renew_before", "found nothing, expected a time before the end");
        }
        problems.extend(directory(&self.directory));
        let names = domains(&self.domains, &mut problems);
        let contacts = contacts(&self.contact, &mut problems);
        if let Err(error) = Storage::new(self.storage.clone()).check() {
            let path = self.storage.display();
            let message = format!("{path} cannot be written to: {error}");
            problems.push(AcmeProblem::new("storage", message));
        }
        if problems.is_empty() { Ok((names, contacts)) } else { Err(AcmeProblems(problems)) }
    }
}

impl fmt::Debug for AcmeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmeBuilder")
            .field("domains", &self.domains)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}
