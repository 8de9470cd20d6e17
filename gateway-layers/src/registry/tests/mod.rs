mod bounds;
mod leases;
mod routing;
mod stores;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::context::Metadata;
use gateway_core::{EndpointAddress, Observer, Observers, StateChanged};

use super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// A check that finds well whoever is not named as ill, without any network.
#[derive(Clone, Default)]
pub(super) struct Doctor {
    ill: Arc<Mutex<BTreeSet<String>>>,
    pub(super) asked: Arc<Mutex<Vec<String>>>,
}

impl Doctor {
    pub(super) fn ill(&self, address: &str) {
        self.ill.lock().unwrap().insert(address.to_owned());
    }

    pub(super) fn well(&self, address: &str) {
        self.ill.lock().unwrap().remove(address);
    }
}

impl Check for Doctor {
    async fn check(&self, address: &EndpointAddress, path: &str) -> Result<(), String> {
        let address = address.to_string();
        self.asked.lock().unwrap().push(format!("{address}{path}"));
        let ill = self.ill.lock().unwrap().contains(&address);
        if ill { Err("status 503".to_owned()) } else { Ok(()) }
    }
}

/// Writes down every change as `subject from>to (cause)`.
#[derive(Clone, Default)]
pub(super) struct Diary(Arc<Mutex<Vec<String>>>);

impl Observer for Diary {
    fn state_changed(&self, event: &StateChanged<'_>) {
        let (subject, from, to, cause) = (event.subject, event.from, event.to, event.cause);
        self.0.lock().unwrap().push(format!("{subject} {from}>{to} ({cause})"));
    }
}

impl Diary {
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(super) fn observers(&self) -> Observers {
        Observers::new(vec![Arc::new(self.clone())])
    }
}

pub(super) fn allow() -> AllowList {
    AllowList::new(["10.0.0.0/8"]).unwrap()
}

pub(super) fn builder(doctor: &Doctor) -> RegistryBuilder {
    Registry::builder().allow(allow()).with_check(doctor.clone())
}

pub(super) fn kinds(kinds: &[&str]) -> Capabilities {
    Capabilities::new().with("resource_type", kinds.iter().copied())
}

pub(super) fn asked(kind: &str) -> Metadata {
    [("resource_type", kind)].into_iter().collect()
}

pub(super) fn at(service: &str, address: &str) -> Registration {
    Registration::new(service, address)
}

/// Registers, and waits until it is found well.
pub(super) async fn active(registry: &Registry, registration: Registration) -> Registered {
    let registered = registry.register(registration).await.unwrap();
    let state = registry.confirmed(&registered.id, 10 * SECOND).await;
    assert_eq!(state, Some(InstanceState::Active));
    registered
}

pub(super) fn names(registry: &Registry, kind: &str) -> Vec<String> {
    registry.compatible_services(&asked(kind)).iter().map(ToString::to_string).collect()
}
