//! [`Snapshot`]: what decides about requests, as one immutable whole.

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

use super::reserved::ReservedHeaders;
use crate::context::RouteInfo;
use crate::module::Module;
use crate::route::{Route, RouteTable, TableProblems};

/// The routes and the fallback, immutable: a request reads one snapshot from match to answer.
pub struct Snapshot {
    pub(super) table: RouteTable<Module>,
    pub(super) infos: Vec<Arc<RouteInfo>>,
    pub(super) fallback: Option<Module>,
    pub(super) owned: ReservedHeaders,
    pub(super) generation: u64,
}

impl Snapshot {
    /// A snapshot of `routes`; what none of them takes goes to `fallback`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the routes, at once.
    pub fn build(
        routes: Vec<Route<Module>>,
        fallback: Option<Module>,
    ) -> Result<Self, TableProblems> {
        let table = RouteTable::build(routes)?;
        let infos = table
            .routes()
            .iter()
            .map(|route| Arc::new(RouteInfo::new(route.id.as_str(), route.metadata.clone())))
            .collect();
        Ok(Self { table, infos, fallback, owned: ReservedHeaders::default(), generation: 1 })
    }

    /// As [`GatewayBuilder::reserved_headers`](super::GatewayBuilder::reserved_headers).
    #[must_use]
    pub fn reserved_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.owned = ReservedHeaders::new(names);
        self
    }

    /// How many snapshots there were before this one, plus one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The routes.
    pub fn routes(&self) -> &[Route<Module>] {
        self.table.routes()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.generation)
            .field("routes", &self.infos.len())
            .finish_non_exhaustive()
    }
}
