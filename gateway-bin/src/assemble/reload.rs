//! [`Reloader`]: a running gateway that takes its document anew.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_core::gateway::Snapshot;
use gateway_core::{Gateway, Modules, Observer, Observers, StateChanged};

use super::parts::Parts;
use super::{Origin, table_problems};
use crate::config::{Document, Listener, ListenerTls, Problem, Problems, Reading};

/// Replaces what a running gateway does by what its document says now. Cheap to clone; clones
/// belong to the same gateway.
///
/// What did not change keeps its state: clusters with their connections and health, and what
/// stands around them. A document with problems changes nothing. What cannot change while the
/// gateway runs (listeners but for how they secure connections, workers, drain, admin, metrics,
/// audit) is a problem when it is different.
#[derive(Clone)]
pub struct Reloader {
    shared: Arc<Shared>,
}

struct Shared {
    origin: Origin,
    modules: Modules,
    observers: Observers,
    gateway: Gateway,
    state: Mutex<State>,
}

struct State {
    document: Arc<Document>,
    parts: Arc<Parts>,
    failure: Option<String>,
}

/// A document that was taken over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reloaded {
    /// The generation of the snapshot that decides from now on.
    pub generation: u64,
    /// What in the document is probably not as it was meant.
    pub warnings: Vec<Problem>,
}

impl Reloader {
    pub(super) fn new(
        origin: Origin,
        modules: Modules,
        observers: Observers,
        gateway: Gateway,
        document: Arc<Document>,
        parts: Parts,
    ) -> Self {
        let state = Mutex::new(State { document, parts: Arc::new(parts), failure: None });
        Self { shared: Arc::new(Shared { origin, modules, observers, gateway, state }) }
    }

    /// Reads the document again and takes it over as a whole. Clusters that came or changed are
    /// started where this is called, which is inside of a tokio runtime.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the document; nothing has changed then.
    pub fn reload(&self) -> Result<Reloaded, Problems> {
        let mut state = self.lock();
        let before = self.shared.gateway.snapshot().generation();
        let outcome = self.take_over(&mut state);
        let (to, cause) = match &outcome {
            Ok(reloaded) => {
                state.failure = None;
                ("replaced", format!("generation {before} to {}", reloaded.generation))
            }
            Err(problems) => {
                state.failure = Some(problems.to_string());
                ("kept", format!("the document was rejected: {problems}"))
            }
        };
        drop(state);
        match &outcome {
            Ok(reloaded) => tracing::info!(generation = reloaded.generation, "document reloaded"),
            Err(problems) => tracing::error!(%problems, "document rejected; nothing has changed"),
        }
        self.tell(&StateChanged::new("snapshot", "document", "current", to, &cause));
        outcome
    }

    /// Tells the observers what an operator changed.
    pub(crate) fn tell(&self, event: &StateChanged<'_>) {
        self.shared.observers.state_changed(event);
    }

    fn take_over(&self, state: &mut State) -> Result<Reloaded, Problems> {
        let shared = &self.shared;
        let reading = shared.origin.again().read(&shared.modules)?;
        let fixed = fixed(&reading, &state.document);
        if !fixed.is_empty() {
            return Err(Problems::new(fixed));
        }
        let parts = Parts::build(&reading, &shared.modules, &shared.observers, &state.parts)
            .map_err(Problems::new)?;
        let snapshot = Snapshot::build(parts.table(), None)
            .map_err(|problems| Problems::new(table_problems(&reading, problems)))?
            .reserved_headers(parts.reserved_headers());
        parts.take_over(&reading).map_err(Problems::new)?;
        parts.start();
        let generation = shared.gateway.replace(snapshot);
        let Reading { document, mut warnings, .. } = reading;
        warnings.extend(parts.warnings.iter().cloned());
        state.parts = Arc::new(parts);
        state.document = Arc::new(document);
        Ok(Reloaded { generation, warnings })
    }

    /// The document that holds now.
    pub fn document(&self) -> Arc<Document> {
        Arc::clone(&self.lock().document)
    }

    /// Why the latest reload was rejected; `None`: it was not.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    pub(crate) fn parts(&self) -> Arc<Parts> {
        Arc::clone(&self.lock().parts)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What differs and cannot change while the gateway runs.
fn fixed(reading: &Reading, before: &Document) -> Vec<Problem> {
    let after = &reading.document;
    let differs = [
        ("listeners", bare(&after.listeners) != bare(&before.listeners)),
        ("workers", after.workers != before.workers),
        ("drain", after.drain != before.drain),
        ("startup", after.startup != before.startup),
        ("admin", after.admin != before.admin),
        ("metrics", after.metrics != before.metrics),
        ("registry", after.registry != before.registry),
        ("audit", after.audit != before.audit),
    ];
    let differing = differs.into_iter().filter(|(_, differs)| *differs);
    differing
        .map(|(path, _)| reading.problem(path, "cannot change while the gateway runs: restart it"))
        .collect()
}

/// Listeners without what can change: how they secure connections, where they do.
fn bare(listeners: &[Listener]) -> Vec<Listener> {
    let mut listeners = listeners.to_vec();
    let secured = listeners.iter_mut().filter_map(|listener| listener.tls.as_mut());
    secured.for_each(|tls| *tls = ListenerTls::new(Vec::new()));
    listeners
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("gateway", &self.shared.gateway).finish_non_exhaustive()
    }
}
