//! What a walk through the index is looking for.

use http::Method;

use super::{Entry, RouteTable};
use crate::route::lookup::Lookup;
use crate::route::matcher::MethodMatch;

/// Sees the entries whose host and path fit.
pub(super) trait Visit {
    /// Entries from this place on need not be shown.
    fn limit(&self) -> usize;

    /// Sees the entries at `places`, best first.
    fn visit(&mut self, places: &[usize]);
}

/// Looks for the entry of the best rank that takes the request.
///
/// The limit sinks to every hit, so the walk turns away from all that cannot be better any more.
/// With one priority that leaves little after the first hit, as the walk goes by rank.
pub(super) struct Best<'t, T> {
    table: &'t RouteTable<T>,
    lookup: &'t Lookup<'t>,
    limit: usize,
}

impl<'t, T> Best<'t, T> {
    pub(super) const fn new(table: &'t RouteTable<T>, lookup: &'t Lookup<'t>) -> Self {
        Self { table, lookup, limit: usize::MAX }
    }

    fn takes(&self, entry: &Entry) -> bool {
        entry.takes_method(self.lookup) && entry.conditions_hold(&self.table.routes, self.lookup)
    }
}

impl<T> Visit for Best<'_, T> {
    fn limit(&self) -> usize {
        self.limit
    }

    fn visit(&mut self, places: &[usize]) {
        for &place in places {
            if place >= self.limit {
                return;
            }
            if self.table.entries.get(place).is_some_and(|entry| self.takes(entry)) {
                self.limit = place;
                return;
            }
        }
    }
}

/// Collects the methods of the entries that take the request but for its method.
pub(super) struct Allowed<'t, T> {
    table: &'t RouteTable<T>,
    lookup: &'t Lookup<'t>,
    methods: MethodMatch,
}

impl<'t, T> Allowed<'t, T> {
    pub(super) fn new(table: &'t RouteTable<T>, lookup: &'t Lookup<'t>) -> Self {
        Self { table, lookup, methods: MethodMatch::default() }
    }

    pub(super) fn into_methods(self) -> MethodMatch {
        self.methods
    }
}

impl<T> Visit for Allowed<'_, T> {
    fn limit(&self) -> usize {
        usize::MAX
    }

    fn visit(&mut self, places: &[usize]) {
        for entry in places.iter().filter_map(|&place| self.table.entries.get(place)) {
            if entry.conditions_hold(&self.table.routes, self.lookup) {
                entry
                    .methods
                    .iter()
                    .cloned()
                    .for_each(|method: Method| self.methods.insert(method));
            }
        }
    }
}
