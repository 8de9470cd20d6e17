//! Matches that can never take a request, because another one takes them all before.
//!
//! The check says only what is certain: it compares conditions as they are written, and does not
//! add up several routes that together leave nothing.

use std::collections::HashSet;

use http::Method;

use super::index::{Index, Node, Paths};
use super::search::Visit;
use super::{Entry, RouteTable, TableProblem};
use crate::route::Route;
use crate::route::matcher::{HostKind, PathMatch, RouteMatch, Segment, Shape, Tail};

/// A warning for every match that is never reached, but for those in `known`.
pub(super) fn in_table<T>(table: &RouteTable<T>, known: &[TableProblem]) -> Vec<TableProblem> {
    let identical: HashSet<(&str, usize)> = known
        .iter()
        .filter_map(|problem| match problem {
            TableProblem::Identical { route, matched, .. } => Some((route.as_str(), *matched)),
            _ => None,
        })
        .collect();
    let mut problems: Vec<(usize, usize, TableProblem)> = Vec::new();
    for (place, entry) in table.entries.iter().enumerate() {
        let Some((route, matching)) = parts(table, entry) else {
            continue;
        };
        let mut search = Cover { table, route, matching, limit: place, found: None };
        search.hosts(&table.index);
        if let Some((by, by_matched)) = search.found
            && !identical.contains(&(&route.id, entry.matched))
        {
            let problem = TableProblem::Shadowed {
                route: route.id.clone(),
                matched: entry.matched,
                by: by.id.clone(),
                by_matched,
            };
            problems.push((entry.route, entry.matched, problem));
        }
    }
    problems.sort_by_key(|(route, matched, _)| (*route, *matched));
    problems.into_iter().map(|(_, _, problem)| problem).collect()
}

fn parts<'t, T>(table: &'t RouteTable<T>, entry: &Entry) -> Option<(&'t Route<T>, &'t RouteMatch)> {
    Some((table.routes.get(entry.route)?, entry.matching(&table.routes)?))
}

/// Looks for an entry before `limit` that takes all that `matching` takes.
struct Cover<'t, T> {
    table: &'t RouteTable<T>,
    route: &'t Route<T>,
    matching: &'t RouteMatch,
    limit: usize,
    found: Option<(&'t Route<T>, usize)>,
}

impl<T> Visit for Cover<'_, T> {
    fn limit(&self) -> usize {
        self.limit
    }

    /// Sees entries whose hosts and paths include those of `matching`.
    fn visit(&mut self, places: &[usize]) {
        let table = self.table;
        for &place in places {
            if place >= self.limit {
                return;
            }
            let Some(entry) = table.entries.get(place) else {
                return;
            };
            if let Some((route, matching)) = parts(table, entry)
                && covers_listeners(route, self.route)
                && covers_preflights((route, matching), (self.route, self.matching))
                && covers_conditions(matching, self.matching)
            {
                self.limit = place;
                self.found = Some((route, entry.matched));
            }
        }
    }
}

impl<T> Cover<'_, T> {
    fn hosts(&mut self, index: &Index) {
        let path = &self.matching.path;
        match self.matching.host.as_ref().map(crate::route::HostMatch::kind) {
            None => {}
            Some(HostKind::Exact(name)) => {
                if let Some(paths) = index.hosts.get(name.as_bytes()) {
                    self.paths(paths, path);
                }
                index.each_wildcard(name.as_bytes(), |paths| self.paths(paths, path));
            }
            Some(HostKind::Wildcard(rest)) => {
                if let Some(paths) = index.wildcards.get(rest.as_bytes()) {
                    self.paths(paths, path);
                }
                index.each_wildcard(rest.as_bytes(), |paths| self.paths(paths, path));
            }
        }
        self.paths(&index.any_host, path);
    }

    fn paths(&mut self, paths: &Paths, path: &PathMatch) {
        match path.shape() {
            Shape::Exact(text) => paths.visit(text, self),
            #[cfg(feature = "regex")]
            Shape::Regex(regex) => {
                for (_, place) in paths.regexes.iter().filter(|(known, _)| known == regex) {
                    self.visit(std::slice::from_ref(place));
                }
                // Every path is below the prefix `/`.
                if let Some(root) = paths.root() {
                    self.visit(&root.prefix);
                }
            }
            Shape::Segments { segments, tail, .. } => {
                if let Some(root) = paths.root() {
                    self.descend(paths, root, segments, *tail);
                }
            }
        }
    }

    /// Like the walk of a lookup, with a pattern in the place of a path.
    fn descend(&mut self, paths: &Paths, node: &Node, segments: &[Segment], tail: Tail) {
        if node.best() >= self.limit {
            return;
        }
        // A prefix that ended takes the pattern whatever follows.
        self.visit(&node.prefix);
        let Some((segment, rest)) = segments.split_first() else {
            match tail {
                Tail::End => self.visit(&node.end),
                Tail::Rest => self.visit(&node.rest),
                Tail::Prefix => {}
            }
            return;
        };
        let is_empty_end =
            rest.is_empty() && tail == Tail::End && *segment == Segment::Literal("".into());
        if !is_empty_end {
            self.visit(&node.rest);
        }
        let literal = node.child(segment).filter(|_| matches!(segment, Segment::Literal(_)));
        let affixed = node.affixed().iter().filter(|(wider, _)| includes(wider, segment));
        let takes_parameter = *segment != Segment::Literal("".into());
        let parameter = node.parameter().filter(|_| takes_parameter);
        for child in literal.into_iter().chain(affixed.map(|(_, child)| *child)).chain(parameter) {
            if let Some(child) = paths.node(child) {
                self.descend(paths, child, rest, tail);
            }
        }
    }
}

/// True when `wider`, a segment with text around a parameter, takes all that `segment` takes.
fn includes(wider: &Segment, segment: &Segment) -> bool {
    let Segment::Affixed { before: wider_before, after: wider_after } = wider else {
        return false;
    };
    match segment {
        Segment::Literal(text) => wider.takes(text),
        Segment::Affixed { before, after } => {
            before.starts_with(&**wider_before) && after.ends_with(&**wider_after)
        }
        Segment::Parameter => false,
    }
}

fn covers_listeners<T>(wider: &Route<T>, route: &Route<T>) -> bool {
    wider.listeners.is_empty()
        || !route.listeners.is_empty() && route.listeners.iter().all(|name| wider.is_on(name))
}

/// True when `wider` takes the preflights that the other takes: each by the method that counts
/// for it.
fn covers_preflights<T>(
    (wider_route, wider): (&Route<T>, &RouteMatch),
    (route, matching): (&Route<T>, &RouteMatch),
) -> bool {
    match (wider_route.preflight, route.preflight) {
        (false, false) | (true, true) => true,
        // The other takes every preflight, or none.
        (true, false) => wider.methods.is_empty() || !matching.methods.takes(&Method::OPTIONS),
        (false, true) => wider.methods.takes(&Method::OPTIONS),
    }
}

fn covers_conditions(wider: &RouteMatch, matching: &RouteMatch) -> bool {
    wider.methods.covers(&matching.methods)
        && wider.headers.iter().all(|header| matching.headers.contains(header))
        && wider.query.iter().all(|query| matching.query.contains(query))
}
