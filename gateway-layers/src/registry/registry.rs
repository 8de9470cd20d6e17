//! [`Registry`]: the handle.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::context::Metadata;
use gateway_core::{ClusterBuilder, Observers, Request, Swap, Tasks};
use http::request;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::address::{self, AllowList, Resolve, SystemResolver};
use super::capability::Capabilities;
use super::check::{Check, HttpCheck, Tune};
use super::error::RegistryError;
use super::registration::{At, Place, Record, Registration};
use super::secret::{Fingerprint, RegistrationSecret, random_id};
use super::settings::{CheckConfig, LeaseConfig, RegistryLimits, heartbeat_every};
use super::shared::Shared;
use super::state::{InstanceState, State};
use super::store::{MemoryStore, RegistryStore};
use super::view::{InstanceStatus, View};

/// Services that registered themselves. Cheap to clone; clones are the same registry.
///
/// What is registered gets requests once the gateway itself has found it well, and for as long as
/// its lease is renewed and its checks succeed. See the [module's page](super).
#[derive(Clone)]
pub struct Registry {
    pub(super) shared: Arc<Shared>,
}

/// What a registration got.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Registered {
    /// Its id. No secret.
    pub id: Arc<str>,
    /// What renews and ends it. It is told once.
    pub secret: RegistrationSecret,
    /// How it is.
    pub state: InstanceState,
    /// How long it lasts without a heartbeat; `None`: until it is ended.
    pub lease: Option<Duration>,
}

impl Registered {
    /// How often to send a heartbeat: two may be lost.
    pub fn heartbeat(&self) -> Option<Duration> {
        self.lease.map(heartbeat_every)
    }
}

impl Registry {
    /// A registry that allows no address, until [`RegistryBuilder::allow`] says which.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// Starts what a registry does in the background: checks, leases, the store. The first
    /// registration or question does it otherwise. Ends with the last handle.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(&self) {
        self.shared.start();
    }

    /// Registers a service. It is [pending](InstanceState::Pending) until the gateway has found it
    /// well; see [`confirmed`](Self::confirmed).
    ///
    /// At the address of another instance of the same service it takes that one's place: a service
    /// that comes back after a crash does not know its secret any more.
    ///
    /// # Errors
    ///
    /// When the registration is wrong, its address is not allowed, there is no room, or the store
    /// cannot be reached.
    pub async fn register(&self, registration: Registration) -> Result<Registered, RegistryError> {
        self.start();
        let shared = &self.shared;
        let faults = registration.faults(&shared.limits, &shared.leases);
        if !faults.is_empty() {
            return Err(RegistryError::Invalid(faults));
        }
        let at = match registration.place {
            Place::Module(module) => At::Module(module),
            Place::Address(text) => {
                let checked = address::checked(&text, &shared.allow, &*shared.resolver);
                At::Address(checked.await?)
            }
        };
        let leased = matches!(at, At::Address(_));
        let secret = RegistrationSecret::random();
        let lease = registration.lease.unwrap_or(shared.leases.lease);
        let health_path = registration.health_path.unwrap_or_else(|| shared.checks.path.clone());
        let record = Arc::new(Record {
            id: random_id().into(),
            service: registration.service.into(),
            at,
            capabilities: registration.capabilities,
            metadata: registration.metadata,
            lease,
            health_path: health_path.into(),
            weight: registration.weight,
            zone: registration.zone.map(Into::into),
            secret: Fingerprint::of(secret.reveal().as_bytes()),
        });
        shared.lock().admits(&record)?;
        if leased {
            // What is put there and not known here, because nobody waits any more, ends itself.
            let put = shared.ask_store(shared.store.put(&record)).await;
            put.map_err(RegistryError::StoreAway)?;
        }
        let expires = leased.then(|| Instant::now() + lease);
        shared.insert_own(Arc::clone(&record), expires)?;
        let state = self.state_of(&record.id).unwrap_or(InstanceState::Pending);
        Ok(Registered { id: Arc::clone(&record.id), secret, state, lease: leased.then_some(lease) })
    }

    /// [Registers](Self::register) the service called `name` at `place`, with what it takes and
    /// what else is to be known about it.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register).
    pub async fn register_service(
        &self,
        name: &str,
        place: impl Into<Place>,
        capabilities: Capabilities,
        metadata: Metadata,
    ) -> Result<Registered, RegistryError> {
        let registration = Registration::new(name, place);
        self.register(registration.capabilities(capabilities).metadata(metadata)).await
    }

    /// Waits until the instance `id` gets requests, for `within` at most. How it is then; `None`:
    /// it is not registered any more.
    pub async fn confirmed(&self, id: &str, within: Duration) -> Option<InstanceState> {
        let mut changes = self.shared.changes.subscribe();
        let settled = async {
            while self.state_of(id) == Some(InstanceState::Pending) {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        // Late is an answer as well.
        let _ = timeout(within, settled).await;
        self.state_of(id)
    }

    /// Renews the lease of the registration `id`. What remains of it from now on, and how it is.
    ///
    /// While the store cannot be reached leases are renewed here alone, and nothing ends.
    ///
    /// # Errors
    ///
    /// When there is no such registration any more, or `secret` is not its.
    pub async fn heartbeat(
        &self,
        id: &str,
        secret: &str,
    ) -> Result<(InstanceState, Duration), RegistryError> {
        let record = self.held(id, secret)?;
        let shared = &self.shared;
        if record.address().is_some() {
            // Failing is told by `ask_store`; that nothing ends meanwhile is what helps.
            let kept = shared.ask_store(shared.store.renew(&record)).await.unwrap_or(true);
            if !kept {
                shared.remove(id, "registered anew at another gateway");
                return Err(RegistryError::Unknown);
            }
        }
        let now = Instant::now();
        let mut state = shared.lock();
        if !state.renew(id, now + record.lease, now) {
            return Err(RegistryError::Unknown);
        }
        let state = state.find(id).map(|instance| instance.state).ok_or(RegistryError::Unknown)?;
        Ok((state, record.lease))
    }

    /// Ends the registration `id`.
    ///
    /// # Errors
    ///
    /// When there is none, `secret` is not its, or the store cannot be reached: it would come
    /// back.
    pub async fn deregister(&self, id: &str, secret: &str) -> Result<(), RegistryError> {
        let record = self.held(id, secret)?;
        self.end(&record, "deregistered").await
    }

    /// Ends the registration `id` without its secret: for the program itself.
    ///
    /// # Errors
    ///
    /// When there is none, or the store cannot be reached.
    pub async fn remove(&self, id: &str) -> Result<(), RegistryError> {
        let record = self.shared.lock().find(id).map(|found| Arc::clone(&found.record));
        self.end(&record.ok_or(RegistryError::Unknown)?, "removed by the gateway").await
    }

    async fn end(&self, record: &Arc<Record>, cause: &str) -> Result<(), RegistryError> {
        let shared = &self.shared;
        if record.address().is_some() {
            let removed = shared.ask_store(shared.store.remove(record)).await;
            removed.map_err(RegistryError::StoreAway)?;
        }
        shared.remove(&record.id, cause);
        Ok(())
    }

    /// The record of `id`, for whoever has its secret.
    fn held(&self, id: &str, secret: &str) -> Result<Arc<Record>, RegistryError> {
        let record = self.shared.lock().find(id).map(|found| Arc::clone(&found.record));
        let record = record.ok_or(RegistryError::Unknown)?;
        let holds = record.secret.is_of(secret.as_bytes());
        if holds { Ok(record) } else { Err(RegistryError::NotTheHolder) }
    }

    /// The names of the services that are well and take what `asked` asks for, sorted; see
    /// [`Capabilities`]. Modules of this process are asked as well, with a `GET /`
    /// ([`ModuleService::accepts`](gateway_core::ModuleService::accepts)).
    pub fn compatible_services(&self, asked: &Metadata) -> Vec<Arc<str>> {
        self.compatible_services_for(&any_head(), asked)
    }

    /// The same, for a request with this `head`.
    pub fn compatible_services_for(
        &self,
        head: &request::Parts,
        asked: &Metadata,
    ) -> Vec<Arc<str>> {
        let view = self.shared.view.load();
        let services = view.values().filter(|service| service.takes(head, asked));
        services.map(|service| Arc::clone(&service.name)).collect()
    }

    /// Whether each service has an instance that is well, by name.
    pub fn health_check(&self) -> BTreeMap<Arc<str>, bool> {
        let view = self.shared.view.load();
        let health = |service: &super::view::ServiceView| !service.active.is_empty();
        view.iter().map(|(name, service)| (Arc::clone(name), health(service))).collect()
    }

    /// Everything that is registered, by name and id.
    pub fn instances(&self) -> Vec<InstanceStatus> {
        let state = self.shared.lock();
        let all = state.services().flat_map(|(_, instances)| instances.values());
        all.map(InstanceStatus::of).collect()
    }

    /// The instance `id`.
    pub fn instance(&self, id: &str) -> Option<InstanceStatus> {
        self.shared.lock().find(id).map(InstanceStatus::of)
    }

    /// Waits for the next change of what is registered, or of how it is.
    pub async fn changed(&self) {
        // The sender lives as long as `self`.
        let _ = self.shared.changes.subscribe().changed().await;
    }

    fn state_of(&self, id: &str) -> Option<InstanceState> {
        self.shared.lock().find(id).map(|instance| instance.state)
    }
}

/// The head that stands for any request.
pub(super) fn any_head() -> request::Parts {
    Request::default().into_parts().0
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("store", &self.shared.store.name())
            .field("instances", &self.shared.lock().len())
            .finish_non_exhaustive()
    }
}

/// Builds a [`Registry`].
#[must_use]
pub struct RegistryBuilder {
    limits: RegistryLimits,
    leases: LeaseConfig,
    checks: CheckConfig,
    allow: AllowList,
    resolver: Box<dyn address::ErasedResolver>,
    check: Option<Arc<dyn super::check::Erased>>,
    tune: Tune,
    store: Arc<dyn super::store::Erased>,
    observers: Observers,
}

impl Default for RegistryBuilder {
    fn default() -> Self {
        Self {
            limits: RegistryLimits::default(),
            leases: LeaseConfig::default(),
            checks: CheckConfig::default(),
            allow: AllowList::default(),
            resolver: Box::new(SystemResolver),
            check: None,
            tune: Arc::new(|builder| builder),
            store: Arc::new(MemoryStore::new()),
            observers: Observers::default(),
        }
    }
}

impl RegistryBuilder {
    /// Which addresses may be registered. Default: none.
    pub fn allow(mut self, allow: AllowList) -> Self {
        self.allow = allow;
        self
    }

    /// How much it holds.
    pub fn limits(mut self, limits: RegistryLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How long registrations last.
    pub fn leases(mut self, leases: LeaseConfig) -> Self {
        self.leases = leases;
        self
    }

    /// How what is registered is checked.
    pub fn checks(mut self, checks: CheckConfig) -> Self {
        self.checks = checks;
        self
    }

    /// Who is told what becomes of registrations: [`StateChanged`](gateway_core::StateChanged)
    /// with the subject `registration`, the id and, as what it is within, the service; and with
    /// the subject `registry` when the store fails and comes back.
    pub fn observers(mut self, observers: Observers) -> Self {
        self.observers = observers;
        self
    }

    /// Changes the clusters that the registry makes for its services and checks: their pools,
    /// timeouts, TLS. Default: as they are.
    pub fn clusters(
        mut self,
        tune: impl Fn(ClusterBuilder) -> ClusterBuilder + Send + Sync + 'static,
    ) -> Self {
        self.tune = Arc::new(tune);
        self
    }

    /// Where registrations are kept. Default: a [`MemoryStore`] of its own.
    pub fn with_store(mut self, store: impl RegistryStore) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// Who finds the addresses of host names. Default: the operating system.
    pub fn with_resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Box::new(resolver);
        self
    }

    /// How services at addresses are checked. Default: a `GET`, well with a status of 200 to 299.
    pub fn with_check(mut self, check: impl Check) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// Builds the registry. Nothing runs before it is [started](Registry::start) or used.
    pub fn build(self) -> Registry {
        let tune = Arc::clone(&self.tune);
        let shared = Shared {
            limits: self.limits,
            leases: self.leases,
            checks: self.checks,
            allow: self.allow,
            resolver: self.resolver,
            check: self.check.unwrap_or_else(|| Arc::new(HttpCheck { tune })),
            tune: self.tune,
            store: self.store,
            observers: self.observers,
            state: Mutex::new(State::new(self.limits)),
            view: Swap::new(View::new()),
            changes: watch::Sender::new(0),
            to_check: Arc::default(),
            to_expire: Arc::default(),
            tasks: Tasks::new(),
            started: AtomicBool::new(false),
            store_fails: AtomicBool::new(false),
        };
        Registry { shared: Arc::new(shared) }
    }
}

impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("allow", &self.allow)
            .field("store", &self.store.name())
            .finish_non_exhaustive()
    }
}
