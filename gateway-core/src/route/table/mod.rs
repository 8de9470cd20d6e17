//! The route table: built once, then only read.

mod index;
mod problem;
mod search;
mod shadow;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use self::index::Index;
pub use self::problem::{Severity, TableProblem, TableProblems};
use self::search::{Allowed, Best, Visit};
use super::Route;
use super::lookup::{Found, Lookup, RouteHit};
use super::matcher::{MethodMatch, RouteMatch};
use super::precedence::Rank;

/// Keys are known when the table is built and never change, so a fixed seed gives nothing away.
type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// All routes of a gateway, indexed.
///
/// A lookup allocates nothing up to four path parameters, and its time does not grow with the
/// number of routes: hosts, exact paths and literal segments are hashed. What it does grow with is
/// the number of regular expressions of a host, of patterns such as `v{x}` below one and the same
/// segment, and of routes that differ only in methods, listeners, headers or query.
#[derive(Debug)]
pub struct RouteTable<T> {
    routes: Vec<Route<T>>,
    /// Every match of every enabled route, best rank first; the index knows them by place.
    entries: Vec<Entry>,
    index: Index,
    warnings: Vec<TableProblem>,
}

/// One match of one route.
#[derive(Debug)]
struct Entry {
    route: usize,
    matched: usize,
    methods: MethodMatch,
    preflight: bool,
    /// Whether listener, headers or query have to be looked at.
    has_conditions: bool,
}

impl<T> RouteTable<T> {
    /// Builds the table of `routes`, whose order is the order in the document.
    ///
    /// # Errors
    ///
    /// All problems at once, warnings too, when one of them is an error: an id or a match that is
    /// there twice, a route without a match, a rewrite that does not go with its matches.
    pub fn build(routes: Vec<Route<T>>) -> Result<Self, TableProblems> {
        let mut problems = problem::in_routes(&routes);
        let mut table = Self::assemble(routes);
        let shadowed = shadow::in_table(&table, &problems);
        problems.extend(shadowed);
        if problems.iter().any(|problem| problem.severity() == Severity::Error) {
            return Err(TableProblems { problems });
        }
        table.warnings = problems;
        Ok(table)
    }

    /// The table, unchecked.
    fn assemble(routes: Vec<Route<T>>) -> Self {
        let mut ranked: Vec<(Rank, Entry)> = Vec::new();
        for (index, route) in routes.iter().enumerate().filter(|(_, route)| route.enabled) {
            for (matched, matching) in route.matches.iter().enumerate() {
                ranked.push((
                    Rank::of(route, index, matching, matched),
                    Entry::new(route, index, matching, matched),
                ));
            }
        }
        ranked.sort_by(|(left, _), (right, _)| left.cmp(right));
        let entries: Vec<Entry> = ranked.into_iter().map(|(_, entry)| entry).collect();
        let mut index = Index::default();
        for (place, entry) in entries.iter().enumerate() {
            if let Some(matching) = entry.matching(&routes) {
                index.insert(matching, place);
            }
        }
        Self { routes, entries, index, warnings: Vec::new() }
    }

    /// The route that takes the request, by the rank of its match.
    #[must_use]
    pub fn find(&self, lookup: &Lookup<'_>) -> Found<'_, T> {
        let mut best = Best::new(self, lookup);
        self.index.visit(lookup, &mut best);
        match self.hit(best.limit(), lookup) {
            Some(hit) => Found::Route(hit),
            None => self.find_allowed(lookup),
        }
    }

    /// The hit on the entry at `place`, if there is one.
    fn hit(&self, place: usize, lookup: &Lookup<'_>) -> Option<RouteHit<'_, T>> {
        let entry = self.entries.get(place)?;
        let route = self.routes.get(entry.route)?;
        let matching = route.matches.get(entry.matched)?;
        let params = matching.path.capture(lookup.path);
        Some(RouteHit { route, index: entry.route, matched: entry.matched, params })
    }

    #[cold]
    fn find_allowed(&self, lookup: &Lookup<'_>) -> Found<'_, T> {
        let mut allowed = Allowed::new(self, lookup);
        self.index.visit(lookup, &mut allowed);
        match allowed.into_methods() {
            methods if methods.is_empty() => Found::NotFound,
            methods => Found::MethodNotAllowed(methods.iter().cloned().collect()),
        }
    }

    /// The routes, in the order they were given.
    #[must_use]
    pub fn routes(&self) -> &[Route<T>] {
        &self.routes
    }

    /// The route of this id.
    #[must_use]
    pub fn route(&self, id: &str) -> Option<&Route<T>> {
        self.routes.iter().find(|route| route.id == id)
    }

    /// What is allowed but probably not meant, such as routes that can never take a request.
    #[must_use]
    pub fn warnings(&self) -> &[TableProblem] {
        &self.warnings
    }
}

impl Entry {
    fn new<T>(route: &Route<T>, index: usize, matching: &RouteMatch, matched: usize) -> Self {
        let has_conditions = !route.listeners.is_empty()
            || !matching.headers.is_empty()
            || !matching.query.is_empty();
        let (methods, preflight) = (matching.methods.clone(), route.preflight);
        Self { route: index, matched, methods, preflight, has_conditions }
    }

    fn matching<'r, T>(&self, routes: &'r [Route<T>]) -> Option<&'r RouteMatch> {
        routes.get(self.route)?.matches.get(self.matched)
    }

    /// True when the method fits.
    fn takes_method(&self, lookup: &Lookup<'_>) -> bool {
        self.methods.takes(lookup.method_for(self.preflight))
    }

    /// True when listener, headers and query fit.
    fn conditions_hold<T>(&self, routes: &[Route<T>], lookup: &Lookup<'_>) -> bool {
        if !self.has_conditions {
            return true;
        }
        let Some(route) = routes.get(self.route) else {
            return false;
        };
        let Some(matching) = route.matches.get(self.matched) else {
            return false;
        };
        route.is_on(lookup.listener)
            && matching.headers.iter().all(|header| header.takes(lookup.headers))
            && matching.query.iter().all(|query| query.takes(lookup.query))
    }
}
