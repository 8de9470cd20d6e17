//! [`State`]: everything that is registered, and what becomes of it. Knows the time only as it is
//! told, and nothing of tasks and networks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::error::RegistryError;
use super::registration::{At, Record};
use super::settings::{CheckConfig, RegistryLimits};
use super::store::Stored;

/// How a registered instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstanceState {
    /// The gateway has not found it well yet: it gets no request.
    Pending,
    /// It gets requests.
    Active,
    /// It failed its checks: it gets no request until it is well again.
    Unhealthy,
}

impl InstanceState {
    /// Its name: `pending`, `active` or `unhealthy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Something that is registered.
pub(super) struct Instance {
    pub(super) record: Arc<Record>,
    pub(super) state: InstanceState,
    /// When its lease ends; `None`: it has none.
    pub(super) expires: Option<Instant>,
    /// When it was registered or renewed here, or loaded as such.
    pub(super) touched: Instant,
    /// What its last check found wrong.
    pub(super) problem: Option<Arc<str>>,
    /// Checks in a row that found the other thing than its state says.
    streak: u32,
    check_at: Instant,
    checking: bool,
}

/// Something went from one state to another.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) record: Arc<Record>,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) cause: String,
}

/// What is not registered, not yet or no more.
pub(super) const ABSENT: &str = "absent";

#[derive(Default)]
pub(super) struct State {
    limits: RegistryLimits,
    services: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Instance>>,
    service_of: HashMap<Arc<str>, Arc<str>>,
    bytes: usize,
}

impl State {
    pub(super) fn new(limits: RegistryLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The instances of every service.
    pub(super) fn services(
        &self,
    ) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<Arc<str>, Instance>)> {
        self.services.iter()
    }

    /// The instances of `service`.
    pub(super) fn instances(&self, service: &str) -> impl Iterator<Item = &Instance> {
        self.services.get(service).into_iter().flat_map(BTreeMap::values)
    }

    pub(super) fn find(&self, id: &str) -> Option<&Instance> {
        self.services.get(self.service_of.get(id)?)?.get(id)
    }

    fn find_mut(&mut self, id: &str) -> Option<&mut Instance> {
        self.services.get_mut(self.service_of.get(id)?)?.get_mut(id)
    }

    /// How many instances there are.
    pub(super) fn len(&self) -> usize {
        self.service_of.len()
    }

    /// Whether `record` may be added now.
    pub(super) fn admits(&self, record: &Record) -> Result<(), RegistryError> {
        let full = |what, limit| Err(RegistryError::Full { what, limit });
        if self.service_of.contains_key(&record.id) {
            // Ids are random here; one that is there already comes from a store that is wrong.
            return Err(RegistryError::NameTaken(record.id.to_string(), "another registration"));
        }
        let replaced = self.same_place(record);
        let instances = self.services.get(&record.service);
        let count = instances.map_or(0, BTreeMap::len);
        let in_process = |instance: &Instance| matches!(instance.record.at, At::Module(_));
        match (&record.at, instances.and_then(|all| all.values().next())) {
            (_, Some(first)) if in_process(first) => {
                let name = record.service.to_string();
                return Err(RegistryError::NameTaken(name, "a module of this process"));
            }
            (At::Module(_), Some(_)) => {
                let name = record.service.to_string();
                return Err(RegistryError::NameTaken(name, "services at addresses"));
            }
            _ => {}
        }
        if instances.is_none() && self.services.len() >= self.limits.services {
            return full("services", self.limits.services);
        }
        let freed = usize::from(replaced.is_some());
        if count - freed >= self.limits.instances_per_service {
            return full("instances of one service", self.limits.instances_per_service);
        }
        if self.len() - freed >= self.limits.instances {
            return full("instances", self.limits.instances);
        }
        let freed = replaced.map_or(0, |instance| instance.record.bytes());
        if self.bytes - freed + record.bytes() > self.limits.bytes {
            return full("bytes of capabilities and metadata", self.limits.bytes);
        }
        Ok(())
    }

    /// The instance of the same service at the same address.
    fn same_place(&self, record: &Record) -> Option<&Instance> {
        let at = record.address()?;
        let same = |other: &&Instance| other.record.address() == Some(at);
        self.instances(&record.service).find(same)
    }

    /// Adds `record`, in the place of what is there at the same address. What was well there stays
    /// so, as long as it is checked in the same way.
    pub(super) fn insert(
        &mut self,
        record: Arc<Record>,
        expires: Option<Instant>,
        now: Instant,
    ) -> Result<Vec<Change>, RegistryError> {
        self.admits(&record)?;
        let mut changes = Vec::new();
        let replaced = self.same_place(&record).map(|instance| Arc::clone(&instance.record.id));
        let replaced = replaced.and_then(|id| self.take(&id));
        let state = match &replaced {
            Some(before) if before.record.health_path == record.health_path => before.state,
            _ => InstanceState::Pending,
        };
        if let Some(before) = replaced {
            changes.push(Change {
                record: before.record,
                from: before.state.name(),
                to: ABSENT,
                cause: "registered anew".to_owned(),
            });
        }
        changes.push(Change {
            record: Arc::clone(&record),
            from: ABSENT,
            to: state.name(),
            cause: "registered".to_owned(),
        });
        self.bytes += record.bytes();
        self.service_of.insert(Arc::clone(&record.id), Arc::clone(&record.service));
        let instances = self.services.entry(Arc::clone(&record.service)).or_default();
        let instance = Instance {
            state,
            expires,
            touched: now,
            problem: None,
            streak: 0,
            check_at: now,
            checking: false,
            record,
        };
        instances.insert(Arc::clone(&instance.record.id), instance);
        Ok(changes)
    }

    /// The same for a record that was made here, whose id is its own: it may have come back from the
    /// store before, and is then renewed.
    pub(super) fn insert_own(
        &mut self,
        record: Arc<Record>,
        expires: Option<Instant>,
        now: Instant,
    ) -> Result<Vec<Change>, RegistryError> {
        let Some(instance) = self.find_mut(&record.id) else {
            return self.insert(record, expires, now);
        };
        instance.expires = expires;
        instance.touched = now;
        Ok(Vec::new())
    }

    /// Its lease ends at `expires` from now on. False: there is no such instance.
    pub(super) fn renew(&mut self, id: &str, expires: Instant, now: Instant) -> bool {
        let Some(instance) = self.find_mut(id) else {
            return false;
        };
        if instance.expires.is_some() {
            instance.expires = Some(expires);
            instance.touched = now;
        }
        true
    }

    /// Ends the registration `id`.
    pub(super) fn remove(&mut self, id: &str, cause: &str) -> Option<Change> {
        let instance = self.take(id)?;
        let from = instance.state.name();
        Some(Change { record: instance.record, from, to: ABSENT, cause: cause.to_owned() })
    }

    fn take(&mut self, id: &str) -> Option<Instance> {
        let service = self.service_of.remove(id)?;
        let instances = self.services.get_mut(&service)?;
        let instance = instances.remove(id)?;
        if instances.is_empty() {
            self.services.remove(&service);
        }
        self.bytes -= instance.record.bytes();
        Some(instance)
    }

    /// At most `most` records whose checks are due; they count as being checked until
    /// [`checked`](Self::checked).
    pub(super) fn due(&mut self, most: usize, now: Instant) -> Vec<Arc<Record>> {
        let all = self.services.values_mut().flat_map(BTreeMap::values_mut);
        let due = all.filter(|instance| !instance.checking && instance.check_at <= now).take(most);
        due.map(|instance| {
            instance.checking = true;
            Arc::clone(&instance.record)
        })
        .collect()
    }

    /// When the next lease ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.all().filter_map(|instance| instance.expires).min()
    }

    /// When the next check is due.
    pub(super) fn next_check(&self) -> Option<Instant> {
        let due = self.all().filter(|instance| !instance.checking);
        due.map(|instance| instance.check_at).min()
    }

    /// Takes in what a check found.
    pub(super) fn checked(
        &mut self,
        id: &str,
        found: Result<(), String>,
        settings: &CheckConfig,
        now: Instant,
    ) -> Option<Change> {
        let instance = self.find_mut(id)?;
        instance.checking = false;
        let well = found.is_ok();
        let from = instance.state;
        let cause = found.as_ref().err().cloned().unwrap_or_else(|| "checked".to_owned());
        instance.problem = found.err().map(Into::into);
        let (same, needed) = match from {
            InstanceState::Pending => (!well, 1),
            InstanceState::Active => (well, settings.fall),
            InstanceState::Unhealthy => (!well, settings.rise),
        };
        instance.streak = if same { 0 } else { instance.streak.saturating_add(1) };
        if !same && instance.streak >= needed {
            instance.streak = 0;
            instance.state = if well { InstanceState::Active } else { InstanceState::Unhealthy };
        }
        let every = match instance.state {
            InstanceState::Pending => settings.pending_interval,
            _ => spread(settings.interval, &instance.record.id),
        };
        instance.check_at = now + every.max(SHORTEST);
        let to = instance.state;
        let record = Arc::clone(&instance.record);
        (from != to).then(|| Change { record, from: from.name(), to: to.name(), cause })
    }

    /// Makes this the same as what was loaded from a store, but for what has been touched since
    /// `started`, when that began.
    pub(super) fn merge(
        &mut self,
        stored: Vec<Stored>,
        started: Instant,
        now: Instant,
    ) -> (Vec<Change>, Vec<RegistryError>) {
        let stored = stored.into_iter().filter(|stored| !stored.remaining.is_zero());
        let stored: HashMap<_, _> =
            stored.map(|stored| (Arc::clone(&stored.record.id), stored)).collect();
        let gone = |instance: &&Instance| {
            let leased = instance.expires.is_some() && instance.touched < started;
            leased && !stored.contains_key(&instance.record.id)
        };
        let gone: Vec<_> = self
            .all()
            .filter(gone)
            .map(|instance| {
                let over = instance.expires.is_some_and(|at| at <= now);
                let cause = if over { "its lease ended" } else { "ended at another gateway" };
                (Arc::clone(&instance.record.id), cause)
            })
            .collect();
        let mut changes: Vec<Change> =
            gone.into_iter().filter_map(|(id, cause)| self.remove(&id, cause)).collect();
        let mut rejected = Vec::new();
        for (id, stored) in stored {
            let expires = started + stored.remaining;
            if let Some(instance) = self.find_mut(&id) {
                if instance.touched < started {
                    instance.expires = Some(expires);
                }
                continue;
            }
            // Who is there now may have come after the store was read.
            if self.same_place(&stored.record).is_some_and(|there| there.touched >= started) {
                continue;
            }
            match self.insert(stored.record, Some(expires), now) {
                Ok(added) => changes.extend(added),
                Err(error) => rejected.push(error),
            }
        }
        (changes, rejected)
    }

    fn all(&self) -> impl Iterator<Item = &Instance> {
        self.services.values().flat_map(BTreeMap::values)
    }

    /// The bytes of all capabilities and metadata.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// However short what is configured, checks do not follow each other more closely.
const SHORTEST: Duration = Duration::from_millis(20);

/// `interval` give or take a tenth, always the same for one id: those that came together are not
/// checked together for ever.
fn spread(interval: Duration, id: &str) -> Duration {
    let sum = id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    interval * (900 + sum % 200) / 1000
}
