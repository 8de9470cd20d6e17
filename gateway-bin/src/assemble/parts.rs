//! [`Parts`]: what a document was built into, kept so that a later document can take over what
//! did not change.

use std::collections::HashMap;

use gateway_core::context::HttpChallenges;
use gateway_core::split::Split;
use gateway_core::{Cluster, Module, Modules, Observers, Route};
use gateway_layers::circuit_breaker::CircuitBreaker;
use gateway_layers::concurrency::ConcurrencyLimit;
use gateway_layers::mirror::Mirror;
use gateway_layers::rate_limit::RateLimiter;
use http::HeaderName;

#[cfg(feature = "acme")]
use super::acme::{self, AcmePart};
use super::audit::AuditPart;
use super::identity::IdentityParts;
use super::limits::LimitStores;
#[cfg(feature = "tls")]
use super::listener_tls::{self, SecureListener};
use super::registry::RegistryPart;
use super::upstream_tls::UpstreamTls;
use super::{cluster, route};
use crate::config::{self, Destination, Problem, Reading};

/// What a document was built into.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) clusters: Vec<ClusterPart>,
    pub(crate) routes: Vec<RoutePart>,
    pub(crate) registry: Option<RegistryPart>,
    pub(crate) identity: IdentityParts,
    pub(crate) limits: LimitStores,
    pub(crate) audit: Option<AuditPart>,
    /// The listeners that speak TLS.
    #[cfg(feature = "tls")]
    pub(crate) listeners: Vec<SecureListener>,
    /// The certificates that are ordered.
    #[cfg(feature = "acme")]
    pub(crate) acme: Vec<AcmePart>,
    /// What listeners in plain text answer to authorities that check whose the names are.
    pub(crate) challenges: HttpChallenges,
    /// What only showed now.
    pub(super) warnings: Vec<Problem>,
}

/// A cluster with its ring.
#[derive(Clone, Debug)]
pub(crate) struct ClusterPart {
    pub(crate) config: config::Cluster,
    pub(crate) cluster: Cluster,
    pub(crate) breaker: Option<CircuitBreaker>,
    pub(crate) limit: Option<ConcurrencyLimit>,
    pub(crate) module: Module,
}

/// A route with its ring.
#[derive(Clone, Debug)]
pub(crate) struct RoutePart {
    pub(crate) config: config::Route,
    pub(crate) module: Module,
    /// The ring applies the rewrite and the request header edits.
    pub(crate) applies_edits: bool,
    pub(crate) split: Option<Split>,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) limiter: Option<RateLimiter>,
}

/// What a route's target and policy can lead to.
pub(super) struct Leads<'p> {
    clusters: HashMap<&'p str, &'p ClusterPart>,
    modules: &'p Modules,
    pub(super) registry: Option<&'p RegistryPart>,
    pub(super) limits: &'p LimitStores,
}

impl Leads<'_> {
    /// The cluster `name`; `None`: it could not be built.
    pub(super) fn cluster(&self, name: &str) -> Option<Module> {
        self.clusters.get(name).map(|part| part.module.clone())
    }

    /// The cluster or module that `to` names.
    pub(super) fn destination(&self, to: &Destination) -> Option<Module> {
        match to {
            Destination::Cluster(name) => self.cluster(name),
            Destination::Module(name) => self.module(name),
        }
    }

    /// The module `name` of this program.
    pub(super) fn module(&self, name: &str) -> Option<Module> {
        self.modules.find(name).cloned()
    }
}

impl Parts {
    /// Builds what `reading` says. What is the same as in `before` is taken from there, with its
    /// live state; a cluster that differs takes over its endpoints'.
    pub(super) fn build(
        reading: &Reading,
        modules: &Modules,
        observers: &Observers,
        before: &Self,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let registry = match (&before.registry, &reading.document.registry) {
            // It cannot change while the gateway runs.
            (Some(before), _) => Some(before.clone()),
            (None, None) => None,
            (None, Some(config)) => match RegistryPart::build(config, observers) {
                Ok(part) => Some(part),
                Err(error) => {
                    problems.push(reading.problem("registry", error.to_string()));
                    None
                }
            },
        };
        let mut parts = Self {
            registry: registry.clone(),
            // It is an observer, and those do not change.
            audit: before.audit.clone(),
            // Listeners that are bound answer from this one.
            challenges: before.challenges.clone(),
            ..Self::default()
        };
        #[cfg(feature = "tls")]
        match listener_tls::build(reading, observers, &before.listeners) {
            Ok((listeners, warnings)) => (parts.listeners, parts.warnings) = (listeners, warnings),
            Err(more) => problems.extend(more),
        }
        #[cfg(feature = "acme")]
        if problems.is_empty() {
            let (secure, challenges) = (&parts.listeners, &parts.challenges);
            match acme::build(reading, secure, challenges, observers, &before.acme) {
                Ok((acme, warnings)) => {
                    parts.acme = acme;
                    parts.warnings.extend(warnings);
                }
                Err(more) => problems.extend(more),
            }
        }
        let mut changed = Vec::new();
        let reserved = &reading.document.operators();
        for config in &reading.document.clusters {
            let old = before.clusters.iter().find(|old| old.config.name == config.name);
            if let Some(old) = old.filter(|old| old.config == *config) {
                parts.clusters.push(old.clone());
                continue;
            }
            changed.push(config.name.as_str());
            let built = UpstreamTls::of(reading, config).and_then(|tls| {
                cluster::part(config, reserved, observers, registry.as_ref(), tls, old).map_err(
                    |error| {
                        reading.problem(&format!("clusters.{}", config.name), error.to_string())
                    },
                )
            });
            match built {
                Ok(part) => parts.clusters.push(part),
                Err(problem) => problems.push(problem),
            }
        }
        match LimitStores::build(&reading.document.stores, observers, &before.limits) {
            Ok(limits) => parts.limits = limits,
            Err(error) => problems.push(reading.problem("stores.redis.url", error.to_string())),
        }
        problems.extend(parts.build_routes(reading, modules, before, &changed));
        if problems.is_empty() { Ok(parts) } else { Err(problems) }
    }

    /// Builds the routes, once clusters and stores are there. `changed`: the clusters that are not
    /// as they were.
    fn build_routes(
        &mut self,
        reading: &Reading,
        modules: &Modules,
        before: &Self,
        changed: &[&str],
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        let document = &reading.document;
        let redis = document.stores.redis.as_ref();
        let mut identity =
            IdentityParts::new(&document.identities, redis, &before.identity, changed);
        let otherwise: Vec<_> =
            identity.changed(&before.identity, changed).map(ToOwned::to_owned).collect();
        // Whether callers must be known changes with the first provider, and with the last.
        let closed_otherwise = before.identity.is_empty() != identity.is_empty();
        let counted_elsewhere = self.limits.differ(&before.limits);
        let clusters = self.clusters.iter().map(|part| (part.config.name.as_str(), part));
        let leads = Leads {
            clusters: clusters.collect(),
            modules,
            registry: self.registry.as_ref(),
            limits: &self.limits,
        };
        let stays = |config: &config::Route| {
            let policy = &config.policy;
            let mut providers = policy.access.identities.iter().flat_map(|used| &used.providers);
            let counts_as_before = policy.rate_limit.is_none() || !counted_elsewhere;
            counts_as_before
                && !closed_otherwise
                && !config.clusters().any(|name| changed.contains(&name))
                && !providers.any(|name| otherwise.contains(name))
        };
        let mut routes = Vec::new();
        for (index, config) in document.routes.iter().enumerate() {
            let old = before.routes.iter().find(|old| old.config == *config);
            if let Some(old) = old.filter(|_| stays(config)) {
                routes.push(old.clone());
                continue;
            }
            match route::part(config, &leads, &mut identity) {
                Ok(part) => routes.push(part),
                Err(error) => {
                    let path = error.path(&format!("routes[{index}]"));
                    let problem = reading.problem(&path, error.to_string());
                    // What several routes use is wrong once.
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
        }
        let used: Vec<_> = routes.iter().map(|part| &part.config.policy.access).collect();
        identity.retain(&used);
        self.identity = identity;
        self.routes = routes;
        problems
    }

    /// Starts what the clusters do in the background, where it does not run yet. Needs a runtime.
    pub(crate) fn start(&self) {
        if let Some(part) = &self.audit {
            part.audit.start();
        }
        if let Some(part) = &self.registry {
            part.registry.start();
        }
        self.clusters.iter().for_each(|part| part.cluster.start());
        self.identity.start();
        #[cfg(feature = "tls")]
        self.listeners.iter().for_each(SecureListener::start);
        #[cfg(feature = "acme")]
        self.acme.iter().for_each(|part| part.acme.start());
    }

    /// The fields that nobody but the gateway says to upstreams and modules.
    pub(super) fn reserved_headers(&self) -> Vec<HeaderName> {
        let routes = self.routes.iter();
        let external = routes.filter_map(|part| part.config.policy.external_auth.as_ref());
        let external = external.flat_map(config::ExternalAuth::reserved_headers).cloned();
        self.identity.reserved_headers().into_iter().chain(external).collect()
    }

    /// Lets listeners go by what was loaded for them.
    pub(super) fn take_over(&self, reading: &Reading) -> Result<(), Vec<Problem>> {
        #[cfg(feature = "tls")]
        listener_tls::take_over(reading, &self.listeners)?;
        let _ = reading;
        Ok(())
    }

    /// The TLS of the listener `name`, in a line.
    pub(crate) fn describe_listener(&self, name: &str) -> Option<String> {
        #[cfg(feature = "tls")]
        {
            let listener = self.listeners.iter().find(|one| one.name == name)?;
            Some(listener.describe(self.ordered_for(name)))
        }
        #[cfg(not(feature = "tls"))]
        return Some(name).filter(|_| false).map(str::to_owned);
    }

    /// The certificates of the listener `name` that are not from files, each in a few words.
    #[cfg(feature = "tls")]
    fn ordered_for(&self, name: &str) -> Vec<String> {
        #[cfg(feature = "acme")]
        {
            let own = self.acme.iter().filter(|part| part.listeners.iter().any(|one| one == name));
            own.map(AcmePart::describe).collect()
        }
        #[cfg(not(feature = "acme"))]
        {
            let _ = name;
            Vec::new()
        }
    }

    /// The routes for the table.
    pub(super) fn table(&self) -> Vec<Route<Module>> {
        self.routes.iter().map(route::build).collect()
    }
}
