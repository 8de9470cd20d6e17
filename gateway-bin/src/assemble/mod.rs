//! Document into gateway.

#[cfg(feature = "acme")]
mod acme;
mod audit;
mod cluster;
mod describe;
mod external_auth;
mod identity;
mod limits;
mod listener;
#[cfg(feature = "tls")]
mod listener_tls;
mod parts;
mod registry;
mod reload;
mod remote;
mod route;
mod signature;
mod source;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod trusted;
mod upstream_tls;

use std::fmt;
use std::sync::Arc;

use gateway_core::route::TableProblems;
use gateway_core::{Cluster, Gateway, ListenerInfo, ModuleService, Modules, Observer, Observers};
use gateway_layers::audit::Audit;
use gateway_layers::metrics::Metrics;

use crate::config::{Document, Problem, Problems, Reading, Source};
use crate::rings;

#[cfg(feature = "acme")]
pub(crate) use self::acme::AcmePart;
pub(crate) use self::identity::open_keys;
#[cfg(feature = "postgres")]
pub(crate) use self::identity::open_postgres;
pub(crate) use self::listener::build as build_listener;
#[cfg(feature = "tls")]
pub(crate) use self::listener_tls::SecureListener;
pub(crate) use self::parts::{ClusterPart, Parts};
pub use self::reload::{Reloaded, Reloader};

/// What a gateway is assembled from: a document, and what the program adds to it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Assembly {
    origin: Origin,
    modules: Modules,
    observers: ObserverList,
}

#[derive(Clone, Debug)]
enum Origin {
    Source(Source),
    Document(Box<Document>),
}

impl Origin {
    fn read(&self, modules: &Modules) -> Result<Reading, Problems> {
        match self {
            Self::Source(source) => source.read(modules),
            Self::Document(document) => Reading::of((**document).clone(), modules),
        }
    }

    /// As it is now.
    fn again(&self) -> Self {
        match self {
            Self::Source(source) => Self::Source(source.again()),
            Self::Document(document) => Self::Document(document.clone()),
        }
    }
}

#[derive(Clone, Default)]
struct ObserverList(Vec<Arc<dyn Observer>>);

impl fmt::Debug for ObserverList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observers").field(&self.0.len()).finish()
    }
}

impl From<Source> for Assembly {
    fn from(source: Source) -> Self {
        Self::new(Origin::Source(source))
    }
}

impl From<Document> for Assembly {
    fn from(document: Document) -> Self {
        Self::new(Origin::Document(Box::new(document)))
    }
}

impl Assembly {
    fn new(origin: Origin) -> Self {
        Self { origin, modules: Modules::new(), observers: ObserverList::default() }
    }

    /// Offers `module` to the routes whose target is the module `name`.
    pub fn module(mut self, name: impl Into<String>, module: impl ModuleService) -> Self {
        self.modules = self.modules.with(name, module);
        self
    }

    /// Adds an observer of requests, tries and state: a log, metrics. Default: none.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.0.push(Arc::new(observer));
        self
    }

    /// Reads and checks the document and builds the gateway. Nothing binds, spawns or connects.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the document, at once.
    pub fn assemble(self) -> Result<Assembled, Problems> {
        let reading = self.origin.read(&self.modules)?;
        let metrics = counted(&reading.document);
        let (audit, mut problems) = match audit::build(&reading) {
            Ok(audit) => (audit, Vec::new()),
            Err(problems) => (None, problems),
        };
        let mut observers = self.observers.0;
        if let Some(part) = &audit {
            observers.push(Arc::new(part.audit.clone()));
        }
        if let Some(metrics) = &metrics {
            observers.push(Arc::new(metrics.clone()));
        }
        let observers = Observers::new(observers);
        let before = Parts { audit, ..Parts::default() };
        let parts = match Parts::build(&reading, &self.modules, &observers, &before) {
            Ok(parts) if problems.is_empty() => parts,
            built => {
                problems.extend(built.err().unwrap_or_default());
                return Err(Problems::new(problems));
            }
        };
        let gateway = rings::edge(parts.table(), parts.reserved_headers(), &observers)
            .map_err(|problems| Problems::new(table_problems(&reading, problems)))?;
        let Reading { document, mut warnings, .. } = reading;
        warnings.extend(parts.warnings.iter().cloned());
        let document = Arc::new(document);
        let reloader = Reloader::new(
            self.origin,
            self.modules,
            observers.clone(),
            gateway.clone(),
            Arc::clone(&document),
            parts,
        );
        Ok(Assembled { document, warnings, gateway, observers, metrics, reloader })
    }
}

/// Counts what happens, where somebody can see it.
fn counted(document: &Document) -> Option<Metrics> {
    if document.metrics.is_none() && document.admin.is_none() {
        return None;
    }
    let config = document.metrics.clone().unwrap_or_default();
    Some(Metrics::builder().buckets(config.buckets).names(config.names).build())
}

/// The problems of a route table as problems of its document.
fn table_problems(reading: &Reading, problems: TableProblems) -> Vec<Problem> {
    problems.into_iter().map(|problem| reading.problem("routes", problem.to_string())).collect()
}

/// A document that is good in every part, as a gateway that does not listen yet.
#[derive(Clone, Debug)]
pub struct Assembled {
    document: Arc<Document>,
    warnings: Vec<Problem>,
    gateway: Gateway,
    observers: Observers,
    metrics: Option<Metrics>,
    reloader: Reloader,
}

impl Assembled {
    /// What the document says.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// What in the document is probably not as it was meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The gateway: a module, a tower service, and able to
    /// [explain](gateway_core::Gateway::explain) its decisions.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// What reloads the document of the running gateway.
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// The clusters as they are now, after every reload.
    pub fn clusters(&self) -> Vec<Cluster> {
        self.reloader.parts().clusters.iter().map(|part| part.cluster.clone()).collect()
    }

    /// What the route `id` comes to, for people: the layers its requests pass with their values,
    /// its target, and the endpoints that may take them as they are now. Empty when there is none.
    pub fn describe(&self, id: &str) -> String {
        self.reloader.parts().describe(id)
    }

    /// The TLS of the listener `name` in a line, for people; `None`: it speaks none.
    pub fn describe_listener(&self, name: &str) -> Option<String> {
        self.reloader.parts().describe_listener(name)
    }

    /// What requests learn about the listener `name`; `None`: there is no such listener.
    pub fn listener_info(&self, name: &str) -> Option<ListenerInfo> {
        let listener = self.document.listeners.iter().find(|listener| listener.name == name)?;
        Some(listener::info(listener, &self.reloader.parts()))
    }

    /// What is counted; `None`: nobody would see it.
    pub fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// The audit of the document; `None`: it asks for none. [`Bound`](crate::Bound) starts it, and
    /// drains it at the end; who serves in another way does that.
    pub fn audit(&self) -> Option<Audit> {
        self.reloader.parts().audit.as_ref().map(|part| part.audit.clone())
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.observers
    }
}
