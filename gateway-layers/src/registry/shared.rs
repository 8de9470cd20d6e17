//! [`Shared`]: what all handles of a registry share, and the one place where its state changes.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_core::{BoxError, Observer, Observers, StateChanged, Swap as Cell, Tasks};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use super::address::{self, AllowList, ErasedResolver};
use super::check::{self, Tune};
use super::error::RegistryError;
use super::registration::Record;
use super::settings::{CheckConfig, LeaseConfig, RegistryLimits, STORE_WITHIN};
use super::state::{Change, State};
use super::store::{self, Loaded};
use super::upkeep;
use super::view::{ServiceView, View};

/// What all handles of a registry share.
pub(super) struct Shared {
    pub(super) limits: RegistryLimits,
    pub(super) leases: LeaseConfig,
    pub(super) checks: CheckConfig,
    pub(super) allow: AllowList,
    pub(super) resolver: Box<dyn ErasedResolver>,
    pub(super) check: Arc<dyn check::Erased>,
    pub(super) tune: Tune,
    pub(super) store: Arc<dyn store::Erased>,
    pub(super) observers: Observers,
    pub(super) state: Mutex<State>,
    pub(super) view: Cell<View>,
    pub(super) changes: watch::Sender<u64>,
    /// There is something new to check.
    pub(super) to_check: Arc<Notify>,
    /// There is a new lease.
    pub(super) to_expire: Arc<Notify>,
    pub(super) tasks: Tasks,
    pub(super) started: AtomicBool,
    /// The store failed the last time.
    pub(super) store_fails: AtomicBool,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the background tasks, once. They need a runtime, which the builder may not have had.
    pub(super) fn start(self: &Arc<Self>) {
        if self.started.load(Ordering::Relaxed) || self.started.swap(true, Ordering::Relaxed) {
            return;
        }
        self.tasks.spawn("registry checks", upkeep::check(self));
        self.tasks.spawn("registry leases", upkeep::expire(self));
    }

    /// Adds `record`, which was made here and has been put into the store.
    pub(super) fn insert_own(
        &self,
        record: Arc<Record>,
        expires: Option<Instant>,
    ) -> Result<(), RegistryError> {
        let mut state = self.lock();
        let changes = state.insert_own(record, expires, Instant::now())?;
        self.commit(state, &changes);
        self.to_check.notify_one();
        self.to_expire.notify_one();
        Ok(())
    }

    /// Ends the registration `id` here.
    pub(super) fn remove(&self, id: &str, cause: &str) -> Option<Arc<Record>> {
        let mut state = self.lock();
        let change = state.remove(id, cause)?;
        let record = Arc::clone(&change.record);
        self.commit(state, &[change]);
        Some(record)
    }

    /// Takes in what the check of `id` found.
    pub(super) fn checked(&self, id: &str, found: Result<(), String>) {
        let mut state = self.lock();
        if let Some(change) = state.checked(id, found, &self.checks, Instant::now()) {
            self.commit(state, &[change]);
        }
    }

    /// Takes in what a load that began at `started` found.
    pub(super) fn loaded(&self, loaded: Loaded, started: Instant) {
        let allowed = |stored: &store::Stored| {
            let address = stored.record.address().ok_or_else(|| "no address".to_owned());
            let judged = address.and_then(|address| {
                address::judged(address, &self.allow).map_err(|error| error.to_string())
            });
            if let Err(error) = &judged {
                let id = &*stored.record.id;
                tracing::warn!(id, error, "not taken from the registry's store");
            }
            judged.is_ok()
        };
        let stored = loaded.stored.into_iter().filter(allowed).collect();
        let mut state = self.lock();
        let (changes, rejected) = state.merge(stored, started, Instant::now());
        self.commit(state, &changes);
        if let Some(error) = rejected.first() {
            let count = rejected.len();
            tracing::warn!(%error, count, "not taken from the registry's store");
        }
        if !changes.is_empty() {
            self.to_check.notify_one();
        }
        if self.store_fails.swap(false, Ordering::Relaxed) {
            self.report_store("failing", "good", "it answers again");
        }
    }

    /// Says that the store failed: what was loaded last holds.
    pub(super) fn store_failed(&self, error: &BoxError) {
        if !self.store_fails.swap(true, Ordering::Relaxed) {
            self.report_store("good", "failing", &format!("{error}; what is known holds"));
        }
    }

    /// What the store answers within its time.
    pub(super) async fn ask_store<T>(
        &self,
        asked: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<T, BoxError> {
        let answered = timeout(STORE_WITHIN, asked).await;
        let answered = answered.map_err(|_| BoxError::from("the store did not answer in time"));
        let answered = answered.and_then(|answer| answer);
        if let Err(error) = &answered {
            self.store_failed(error);
        }
        answered
    }

    /// Makes the views of the services in `changes` anew, ends the change and tells everyone.
    fn commit(&self, state: MutexGuard<'_, State>, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let mut view = View::clone(&self.view.peek());
        let services: BTreeSet<_> = changes.iter().map(|change| &change.record.service).collect();
        for name in services {
            let live = view.remove(name).map(|before| Arc::clone(&before.live)).unwrap_or_default();
            let mut instances = state.instances(name).peekable();
            if instances.peek().is_some() {
                let service = ServiceView::new(Arc::clone(name), live, instances);
                view.insert(Arc::clone(name), Arc::new(service));
            }
        }
        let before = self.view.replace(view);
        // The order of two changes is the order of their views.
        drop(state);
        drop(before);
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
        for change in changes {
            self.report(change);
        }
    }

    fn report(&self, change: &Change) {
        let record = &change.record;
        let (service, id) = (&*record.service, &*record.id);
        let (from, to, cause) = (change.from, change.to, &*change.cause);
        let address = record.address().map(tracing::field::display);
        tracing::info!(service, id, address, from, to, cause, "registration changed");
        let event = StateChanged::new("registration", id, from, to, cause).within(service);
        self.observers.state_changed(&event);
    }

    fn report_store(&self, from: &'static str, to: &'static str, cause: &str) {
        let name = self.store.name();
        tracing::warn!(name, from, to, cause, "the registry's store changed");
        self.observers.state_changed(&StateChanged::new("registry", name, from, to, cause));
    }
}
