//! [`Acme`]: keeps a certificate.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use gateway_core::server::tls::{Certificate, CertificateStore};
use gateway_core::{Clock, Observer, Observers, StateChanged, Tasks};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use tokio::time::sleep;

use super::authority::{Authority, Issued};
use super::builder::AcmeBuilder;
use super::config::Challenge;
use super::fault::Fault;
use super::schedule::{WINDOW_UNSAID, random_share, wait_after};
use super::state::{AcmeState, AcmeStatus, Current, Doing, State};
use super::storage::{Fingerprint, Kind, Storage, blocking};

/// How often the storage is looked at, where others may have put something. Dates are looked at as
/// often: a clock that was set is noticed.
const LOOK: Duration = Duration::from_secs(20);

/// How often, while somebody else orders.
const LOOK_ELSEWHERE: Duration = Duration::from_secs(2);

/// The shortest sleep: whatever the dates say, a processor is not kept busy with them.
const LEAST_SLEEP: Duration = Duration::from_millis(500);

/// A certificate that fails to be renewed is an error once it has no longer than this.
const SOON: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Why a certificate is used that nobody here has ordered.
const STORED: &str = "found in the storage";

/// Keeps one certificate, from an authority that hands them out by ACME. Cheap to clone; clones are
/// the same, and when the last one is gone, so are its tasks and its certificate.
#[derive(Clone)]
pub struct Acme {
    owner: Arc<Owner>,
}

/// Ends the tasks before what they work on.
struct Owner {
    tasks: Tasks,
    shared: Arc<Shared>,
}

/// What a certificate is kept by.
pub(super) struct Keeper {
    /// Of its file in the storage.
    pub(super) name: String,
    pub(super) domains: Vec<String>,
    pub(super) directory: String,
    pub(super) challenge: Challenge,
    pub(super) renew_before: Option<Duration>,
    pub(super) storage: Storage,
    pub(super) stores: Vec<CertificateStore>,
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) observers: Observers,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) authority: Box<dyn Authority>,
}

struct Shared {
    keeper: Keeper,
    /// Of the stores: its own, so that a successor can take over before this one is gone.
    part: String,
    state: Mutex<State>,
}

/// A certificate as it was found, with what it was read from.
struct Found {
    certificate: Certificate,
    der: CertificateDer<'static>,
}

impl Acme {
    /// A client that keeps a certificate for `domains`, with everything it was given in the
    /// directory `storage`. `tls` says how the authority is spoken to, and which crypto provider
    /// reads what it hands out.
    pub fn builder(
        domains: impl IntoIterator<Item = impl Into<String>>,
        storage: impl Into<PathBuf>,
        tls: Arc<ClientConfig>,
    ) -> AcmeBuilder {
        let domains = domains.into_iter().map(Into::into).collect();
        AcmeBuilder::new(domains, storage.into(), tls)
    }

    pub(super) fn new(keeper: Keeper) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let part = format!("acme-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let shared = Shared { keeper, part, state: Mutex::default() };
        shared.load();
        Self { owner: Arc::new(Owner { tasks: Tasks::new(), shared: Arc::new(shared) }) }
    }

    /// Serves what is there, and keeps it good in the background, where that does not run yet.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(&self) {
        let owner = &self.owner;
        if owner.tasks.names().is_empty() {
            owner.shared.begin();
            let shared = Arc::clone(&owner.shared);
            owner.tasks.spawn("acme", async move { shared.run().await });
        }
    }

    /// How the certificate is.
    pub fn status(&self) -> AcmeStatus {
        self.owner.shared.status()
    }

    /// Where accounts and certificates are kept.
    pub fn storage(&self) -> &Path {
        self.owner.shared.keeper.storage.root()
    }

    /// True when others than the owner can look into the directory of the storage. What is in it
    /// they cannot read all the same.
    pub fn is_storage_open(&self) -> bool {
        self.owner.shared.keeper.storage.is_open()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.tasks.abort();
        self.shared.withdraw();
    }
}

impl Shared {
    /// Reads what is in the storage. Blocks.
    fn load(&self) {
        match self.keeper.storage.read(Kind::Certificate, &self.keeper.name) {
            Ok(read) => self.take(read),
            Err(error) => self.lock().last_error = Some(format!("storage: {error}")),
        }
    }

    /// Puts what is there into the stores, and keeps its names.
    fn begin(&self) {
        for store in &self.keeper.stores {
            store.reserve(&self.part, &self.keeper.domains);
        }
        let current = {
            let mut state = self.lock();
            state.serving = true;
            state.current.clone()
        };
        match current {
            Some(current) => self.install(&current.certificate),
            None => {
                let names = self.keeper.names();
                tracing::warn!(names, "no certificate yet: handshakes for it are rejected");
            }
        }
    }

    fn install(&self, certificate: &Certificate) {
        let state = self.lock();
        if state.serving {
            for store in &self.keeper.stores {
                store.set_part(&self.part, vec![certificate.clone()]);
            }
        }
    }

    fn withdraw(&self) {
        self.lock().serving = false;
        for store in &self.keeper.stores {
            store.remove_part(&self.part);
        }
    }

    async fn run(&self) {
        loop {
            self.look().await;
            self.save().await;
            let now = self.keeper.clock.now();
            if self.is_due(now) {
                self.renew().await;
            } else {
                self.lock().doing = Doing::Nothing;
                if self.asks_at().is_some_and(|at| at <= now) {
                    self.ask().await;
                }
            }
            sleep(self.pause()).await;
        }
    }

    /// Until something is to be done, as far as can be told now.
    fn pause(&self) -> Duration {
        let now = self.keeper.clock.now();
        let look = match self.lock().doing {
            Doing::Elsewhere => return LOOK_ELSEWHERE,
            _ => LOOK,
        };
        let next = [self.due_at(), self.asks_at()].into_iter().flatten().min();
        let next = next.map_or(look, |at| at.duration_since(now).unwrap_or_default());
        next.clamp(LEAST_SLEEP, look)
    }

    /// When the certificate is ordered; `None`: at once.
    fn due_at(&self) -> Option<SystemTime> {
        let state = self.lock();
        let current = state.current.as_ref();
        let renewal = current.map(|current| current.renewal(self.keeper.renew_before));
        renewal.max(state.not_until)
    }

    fn is_due(&self, now: SystemTime) -> bool {
        self.due_at().is_none_or(|at| at <= now)
    }

    fn asks_at(&self) -> Option<SystemTime> {
        self.lock().current.as_ref().map(|current| current.ask_at)
    }

    /// Takes over what others have put into the storage.
    async fn look(&self) {
        let (seen, unsaved) = {
            let state = self.lock();
            (state.seen, state.unsaved.is_some())
        };
        if unsaved {
            // What is there is older than what is used.
            return;
        }
        let keeper = &self.keeper;
        let (storage, name) = (keeper.storage.clone(), keeper.name.clone());
        let changed = blocking(move || {
            let now = storage.fingerprint(Kind::Certificate, &name);
            if now == seen { Ok(None) } else { storage.read(Kind::Certificate, &name) }
        });
        match changed.await {
            Ok(read) => self.take(read),
            Err(error) => {
                tracing::warn!(names = keeper.names(), %error, "the storage cannot be read");
            }
        }
    }

    /// Uses what was read from the storage, where it is good and another one.
    fn take(&self, read: Option<(Vec<u8>, Fingerprint)>) {
        let Some((bytes, fingerprint)) = read else {
            return;
        };
        let now = self.keeper.clock.now();
        let found = self.keeper.read(&bytes).and_then(|found| {
            let expired = now > found.certificate.not_after();
            if expired { Err("has expired".to_owned()) } else { Ok(found) }
        });
        let same = {
            let mut state = self.lock();
            state.seen = Some(fingerprint);
            let current = state.current.as_ref().map(|current| &current.der);
            current.is_some() && current == found.as_ref().ok().map(|found| &found.der)
        };
        match found {
            Err(fault) => {
                let names = self.keeper.names();
                tracing::info!(names, fault, "the stored certificate is not used");
            }
            Ok(found) if !same => self.use_it(found, fingerprint.written(), STORED),
            Ok(_) => {}
        }
    }

    fn use_it(&self, found: Found, since: SystemTime, why: &'static str) {
        let keeper = &self.keeper;
        let now = keeper.clock.now();
        let current = Current {
            certificate: found.certificate,
            der: found.der,
            // Clocks may have been ahead.
            since: since.min(now),
            window: None,
            ask_at: now,
            share: random_share(),
        };
        let certificate = current.certificate.clone();
        let from = {
            let mut state = self.lock();
            let from = state.of(now);
            state.current = Some(current);
            state.doing = Doing::Nothing;
            (state.failures, state.not_until) = (0, None);
            if state.unsaved.is_none() {
                state.last_error = None;
            }
            from
        };
        self.install(&certificate);
        let (names, expires) = (keeper.names(), certificate.expires());
        tracing::info!(names, expires, why, "certificate in use");
        self.tell(from, AcmeState::Valid, why);
    }

    /// Orders, unless somebody else does.
    async fn renew(&self) {
        let keeper = &self.keeper;
        let (storage, name) = (keeper.storage.clone(), keeper.name.clone());
        let lock = match blocking(move || storage.lock(Kind::Certificate, &name)).await {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                self.lock().doing = Doing::Elsewhere;
                return;
            }
            Err(error) => {
                return self.failed(&Fault::away(format!("storage: {error}")));
            }
        };
        // Who had the lock before may just have put a new one there.
        self.look().await;
        if !self.is_due(keeper.clock.now()) {
            self.lock().doing = Doing::Nothing;
            return;
        }
        let replaced = {
            let mut state = self.lock();
            state.doing = Doing::Ordering;
            // Only an authority that speaks of renewal takes orders that replace.
            let current = state.current.as_ref().filter(|current| current.window.is_some());
            current.map(|current| current.der.clone())
        };
        tracing::info!(names = keeper.names(), directory = keeper.directory, "ordering");
        let issued = keeper.authority.issue(replaced.as_ref()).await;
        let issued = issued.and_then(|Issued(pem)| {
            let found = keeper.read(pem.as_bytes());
            let found = found.map_err(|fault| {
                Fault::rejected(format!("the certificate that the authority made {fault}"))
            })?;
            Ok((pem, found))
        });
        self.lock().doing = Doing::Nothing;
        match issued {
            Err(fault) => self.failed(&fault),
            Ok((pem, found)) => {
                self.lock().unsaved = Some(pem.into());
                self.save().await;
                self.use_it(found, keeper.clock.now(), "ordered");
            }
        }
        drop(lock);
    }

    /// Writes what is not written yet.
    async fn save(&self) {
        let Some(pem) = self.lock().unsaved.clone() else {
            return;
        };
        let (storage, name) = (self.keeper.storage.clone(), self.keeper.name.clone());
        let written =
            blocking(move || storage.write(Kind::Certificate, &name, pem.as_bytes())).await;
        let mut state = self.lock();
        match written {
            Ok(fingerprint) => {
                (state.unsaved, state.seen) = (None, Some(fingerprint));
                state.last_error = None;
            }
            Err(error) => {
                let names = self.keeper.names();
                tracing::error!(names, %error, "the certificate cannot be stored; trying again");
                state.last_error = Some(format!("storage: {error}"));
            }
        }
    }

    /// Asks the authority when to renew.
    async fn ask(&self) {
        let Some(der) = self.lock().current.as_ref().map(|current| current.der.clone()) else {
            return;
        };
        let asked = self.keeper.authority.renewal(&der).await;
        let now = self.keeper.clock.now();
        let mut state = self.lock();
        let Some(current) = state.current.as_mut().filter(|current| current.der == der) else {
            return;
        };
        let after = match asked {
            Ok(renewal) => {
                if current.window != renewal.window {
                    tracing::debug!(window = ?renewal.window, "the authority says when to renew");
                }
                current.window = renewal.window;
                renewal.ask_again
            }
            Err(fault) => {
                tracing::debug!(%fault, "the authority does not say when to renew");
                WINDOW_UNSAID
            }
        };
        current.ask_at = now.checked_add(after).unwrap_or(now);
    }

    fn failed(&self, fault: &Fault) {
        let keeper = &self.keeper;
        let now = keeper.clock.now();
        let (state, wait, ends) = {
            let mut state = self.lock();
            state.doing = Doing::Nothing;
            state.failures = state.failures.saturating_add(1);
            let wait = wait_after(fault, state.failures, random_share());
            state.not_until = now.checked_add(wait);
            state.last_error = Some(fault.to_string());
            (state.of(now), wait, state.current.as_ref().map(|one| one.certificate.not_after()))
        };
        let names = keeper.names();
        let left = ends.map(|ends| ends.duration_since(now).unwrap_or_default());
        if left.is_some_and(|left| left > SOON) {
            tracing::warn!(names, %fault, next_try = ?wait, "no new certificate");
        } else {
            tracing::error!(names, %fault, next_try = ?wait, "no new certificate");
        }
        self.tell(state, state, &fault.to_string());
    }

    fn tell(&self, from: AcmeState, to: AcmeState, cause: &str) {
        if !self.lock().serving {
            return;
        }
        let names = self.keeper.names();
        let event = StateChanged::new("certificate", &names, from.as_str(), to.as_str(), cause);
        self.keeper.observers.state_changed(&event);
    }

    fn status(&self) -> AcmeStatus {
        let keeper = &self.keeper;
        let next_try = self.due_at();
        let state = self.lock();
        let validity = state.current.as_ref().map(Current::validity);
        AcmeStatus {
            domains: keeper.domains.clone(),
            directory: keeper.directory.clone(),
            challenge: keeper.challenge,
            state: state.of(keeper.clock.now()),
            not_before: validity.map(|validity| validity.not_before),
            not_after: validity.map(|validity| validity.not_after),
            last_error: state.last_error.clone(),
            failures: state.failures,
            next_try,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    fn names(&self) -> String {
        self.domains.join(", ")
    }

    /// A certificate for our names with its key, both in `pem`; or what is wrong with it.
    fn read(&self, pem: &[u8]) -> Result<Found, String> {
        let certificate = Certificate::from_pem(pem, pem, &self.provider);
        let certificate = certificate.map_err(|error| error.to_string())?;
        let lacks = |name: &&String| !certificate.names().contains(name);
        if let Some(name) = self.domains.iter().find(lacks) {
            return Err(format!("has not the name {name}"));
        }
        let first = certificate.key().end_entity_cert().map_err(|error| error.to_string())?;
        let der = first.clone().into_owned();
        Ok(Found { certificate, der })
    }
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keeper = &self.owner.shared.keeper;
        f.debug_struct("Acme")
            .field("domains", &keeper.domains)
            .field("directory", &keeper.directory)
            .field("storage", &keeper.storage.root())
            .finish_non_exhaustive()
    }
}
