//! Document into gateway.

mod cluster;
mod listener;
mod route;
#[cfg(feature = "tls")]
mod tls;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use gateway_core::{Gateway, ListenerInfo, Module, ModuleService, Modules, Observer, Observers};

use crate::config::{Document, Problem, Problems, Reading, Source};
use crate::rings;

pub(crate) use self::listener::build as build_listener;

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
        let reading = match self.origin {
            Origin::Source(source) => source.read(&self.modules)?,
            Origin::Document(document) => Reading::of(*document, &self.modules)?,
        };
        let observers = Observers::new(self.observers.0);
        let gateway = build(&reading, &self.modules, &observers).map_err(Problems::new)?;
        let Reading { document, warnings, .. } = reading;
        Ok(Assembled { document, warnings, gateway, observers })
    }
}

fn build(
    reading: &Reading,
    modules: &Modules,
    observers: &Observers,
) -> Result<Gateway, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut clusters: HashMap<&str, Module> = HashMap::new();
    for cluster in &reading.document.clusters {
        match cluster::build(cluster, observers) {
            Ok(built) => {
                clusters.insert(&cluster.name, rings::cluster(built));
            }
            Err(error) => problems
                .push(reading.problem(&format!("clusters.{}", cluster.name), error.to_string())),
        }
    }
    let mut routes = Vec::new();
    for (index, route) in reading.document.routes.iter().enumerate() {
        match route::target(&route.target, &clusters, modules) {
            Some(target) => routes.push(route::build(route, target)),
            None => problems.push(reading.problem(
                &format!("routes[{index}].target"),
                "leads to nothing that could be built",
            )),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    rings::edge(routes, observers).map_err(|problems| {
        let problem = |problem: gateway_core::route::TableProblem| {
            reading.problem("routes", problem.to_string())
        };
        problems.into_iter().map(problem).collect()
    })
}

/// A document that is good in every part, as a gateway that does not listen yet.
#[derive(Clone, Debug)]
pub struct Assembled {
    document: Document,
    warnings: Vec<Problem>,
    gateway: Gateway,
    observers: Observers,
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

    /// What requests learn about the listener `name`; `None`: there is no such listener.
    pub fn listener_info(&self, name: &str) -> Option<ListenerInfo> {
        let listener = self.document.listeners.iter().find(|listener| listener.name == name)?;
        Some(listener::info(listener))
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.observers
    }
}
