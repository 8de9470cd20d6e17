//! The document: what it says, as typed values.
//!
//! A [`Source`] is a document as it was found (a file, the environment over it). Reading it gives a
//! [`Document`] or every [`Problem`] at once, each with its place and path, what was found and what
//! was expected. A key that nothing takes is a problem, never ignored.
//!
//! # The environment over the document
//!
//! A variable whose name begins with `GATEWAY__` overrides one field of any document:
//! `GATEWAY__LISTENERS__0__ADDRESS=127.0.0.1:9090` sets `listeners[0].address`. Two underscores
//! separate the parts of the path. A part is the key of a table in upper or lower case with `-`
//! written `_`, or the index of a list, where the length of the list adds one element. The value is
//! read as the key needs it; one that begins with `[` or `{` and is TOML is a list or a table.
//! Problems with a value from the environment name the variable.

mod acme;
mod admin;
mod audit;
mod check;
mod check_access;
mod check_acme;
mod check_combined;
mod check_effects;
mod cluster;
mod destination;
mod drain;
mod identity;
mod listener;
mod matching;
mod metrics;
mod near;
mod policy;
mod problem;
mod reader;
mod registry;
mod route;
mod secret;
mod source;
mod startup;
mod stores;
mod target;
mod tls;
mod units;
mod value;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use gateway_core::DrainConfig;

pub use self::acme::{AcmeCertificate, AcmeChallenge, ExternalAccount};
pub use self::admin::Admin;
pub use self::audit::{Audit, AuditHttp};
pub use self::cluster::{Balance, Cluster, Discover, OutboundToken, Registered, Sign};
pub use self::destination::Destination;
pub(crate) use self::identity::path as identity_path;
pub use self::identity::{
    ApiKeyProvider, BasicProvider, DelegatedProvider, IdentityConfig, IdentityKind,
    IdentityProvider, IntrospectionCredentials, IntrospectionProvider, JwtClaims, JwtKeys,
    JwtKeysFrom, JwtProvider, KeyCache, KeyConfig, KeyEncoding, KeysFrom, MtlsProvider, PartnerKey,
    RemoteProvider, RemoteTo, ServiceTokenProvider, SignatureProvider, UsersFrom,
};
pub use self::listener::Listener;
pub use self::metrics::Metrics;
pub use self::policy::{
    Access, ExternalAuth, Fallback, FallbackTo, IdentityMode, IdentityUse, LimitStore, Mirror,
    Policy, RateLimit, Retry,
};
pub use self::problem::{Place, Problem, Problems, Severity};
use self::reader::{Field, hint};
pub use self::registry::{RedisStore, Registry};
pub use self::route::Route;
#[cfg(feature = "tls")]
pub(crate) use self::source::without_mark;
pub use self::source::{Reading, Source};
pub use self::startup::Startup;
pub use self::stores::{Redis, Stores};
pub use self::target::{CapabilityTarget, Respond, SplitEntry, SplitTarget, Target};
pub use self::tls::{CertificatePaths, ClientAuth, ClusterTls, ListenerTls, PemFile};
pub use self::units::{show_duration, show_size};
use self::value::{index_path, key_path, quote};
pub use gateway_layers::secret::Secret;

/// Everything a document can say.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Document {
    /// `workers`: threads that serve, each with a runtime of its own. Default: 0, one per core.
    pub workers: usize,
    /// `[[listeners]]`: at least one.
    pub listeners: Vec<Listener>,
    /// `[clusters.NAME]`, in the order of the document.
    pub clusters: Vec<Cluster>,
    /// `[[routes]]`, in the order of the document.
    pub routes: Vec<Route>,
    /// `[drain]`: `lame_duck` (5 s) and `deadline` (30 s).
    pub drain: DrainConfig,
    /// `[startup]`.
    pub startup: Startup,
    /// `[admin]`. Default: none.
    pub admin: Option<Admin>,
    /// `[metrics]`. Default: none; with `[admin]` what happens is counted all the same.
    pub metrics: Option<Metrics>,
    /// `[registry]`. Default: none.
    pub registry: Option<Registry>,
    /// `[identity.KIND.NAME]`: how callers are known.
    pub identities: Vec<IdentityProvider>,
    /// `[stores]`.
    pub stores: Stores,
    /// `[audit]`. Default: none.
    pub audit: Option<Audit>,
}

impl Document {
    /// Addresses that are for operators: no source may name them as endpoints.
    pub(crate) fn operators(&self) -> Vec<SocketAddr> {
        let admin = self.admin.as_ref().map(|admin| admin.address);
        let metrics = self.metrics.as_ref().and_then(|metrics| metrics.address);
        admin.into_iter().chain(metrics).collect()
    }

    /// A document that listens on `listeners` and says nothing else.
    pub fn new(listeners: Vec<Listener>) -> Self {
        Self {
            workers: 0,
            listeners,
            clusters: Vec::new(),
            routes: Vec::new(),
            drain: DrainConfig::default(),
            startup: Startup::default(),
            admin: None,
            metrics: None,
            registry: None,
            identities: Vec::new(),
            stores: Stores::default(),
            audit: None,
        }
    }
}

/// More threads than this is a slip of the finger.
const MOST_WORKERS: i64 = 1024;

/// What could be read of a document, each part with its path.
#[derive(Default)]
struct Parts {
    workers: usize,
    listeners: Vec<(String, Listener)>,
    /// False when one could not be read, so that its name is not known.
    all_listeners: bool,
    clusters: Vec<(String, Cluster)>,
    /// Also of those that could not be read.
    cluster_names: Vec<String>,
    routes: Vec<(String, Route)>,
    drain: DrainConfig,
    startup: Startup,
    admin: Option<Admin>,
    metrics: Option<Metrics>,
    registry: Option<Registry>,
    identities: Vec<IdentityProvider>,
    /// Also of those that could not be read.
    identity_names: Vec<(IdentityKind, String)>,
    stores: Stores,
    audit: Option<Audit>,
}

impl Parts {
    fn read(root: Field<'_>) -> Self {
        let mut parts = Self { all_listeners: true, ..Self::default() };
        let Some(mut table) = root.table("a document") else {
            return parts;
        };
        table.set("workers", &mut parts.workers, |field| field.number(0, MOST_WORKERS));
        let listeners = table.require("listeners", "at least one [[listeners]]");
        if let Some(field) = listeners {
            parts.read_listeners(&field);
        }
        if let Some(field) = table.take("clusters") {
            for (name, field) in field.entries("a table such as [clusters.orders]") {
                parts.cluster_names.push(name.to_owned());
                if name.is_empty() {
                    field.note::<()>("a cluster without a name".to_owned());
                }
                let path = key_path("clusters", name);
                parts.clusters.extend(Cluster::read(name, field).map(|cluster| (path, cluster)));
            }
        }
        if let Some(field) = table.take("routes") {
            let mut index = 0..;
            field.list("a list of tables: [[routes]]", |field| {
                let path = index_path("routes", index.next()?);
                parts.routes.push((path, Route::read(field)?));
                Some(())
            });
        }
        table.set("drain", &mut parts.drain, drain::read);
        table.set("startup", &mut parts.startup, Startup::read);
        table.set("registry", &mut parts.registry, |field| Registry::read(field).map(Some));
        if let Some((providers, names)) = table.take("identity").and_then(identity::read) {
            (parts.identities, parts.identity_names) = (providers, names);
        }
        table.set("stores", &mut parts.stores, Stores::read);
        table.set("audit", &mut parts.audit, |field| Audit::read(field).map(Some));
        table.set("admin", &mut parts.admin, |field| Admin::read(field).map(Some));
        table.set("metrics", &mut parts.metrics, |field| Metrics::read(field).map(Some));
        table.finish();
        parts
    }

    fn read_listeners(&mut self, field: &Field<'_>) {
        if field.is_empty_list() {
            field.reject::<()>("at least one listener");
        }
        let mut index = 0..;
        field.list("a list of tables: [[listeners]]", |field| {
            let path = index_path("listeners", index.next()?);
            match Listener::read(field) {
                Some(listener) => self.listeners.push((path, listener)),
                None => self.all_listeners = false,
            }
            Some(())
        });
    }

    fn from(document: Document) -> Self {
        fn with_paths<T>(list: &str, items: Vec<T>) -> Vec<(String, T)> {
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| (index_path(list, index), item)).collect()
        }
        let clusters = document.clusters.into_iter();
        let clusters: Vec<_> =
            clusters.map(|cluster| (key_path("clusters", &cluster.name), cluster)).collect();
        Self {
            workers: document.workers,
            listeners: with_paths("listeners", document.listeners),
            all_listeners: true,
            cluster_names: clusters.iter().map(|(_, cluster)| cluster.name.clone()).collect(),
            clusters,
            routes: with_paths("routes", document.routes),
            drain: document.drain,
            startup: document.startup,
            admin: document.admin,
            metrics: document.metrics,
            registry: document.registry,
            identity_names: document
                .identities
                .iter()
                .map(|provider| (provider.settings.kind(), provider.name.clone()))
                .collect(),
            identities: document.identities,
            stores: document.stores,
            audit: document.audit,
        }
    }

    fn into_document(self) -> Document {
        Document {
            workers: self.workers,
            listeners: self.listeners.into_iter().map(|(_, listener)| listener).collect(),
            clusters: self.clusters.into_iter().map(|(_, cluster)| cluster).collect(),
            routes: self.routes.into_iter().map(|(_, route)| route).collect(),
            drain: self.drain,
            startup: self.startup,
            admin: self.admin,
            metrics: self.metrics,
            registry: self.registry,
            identities: self.identities,
            stores: self.stores,
            audit: self.audit,
        }
    }
}
