//! What can be wrong with the routes of a table, as seen before it is built.

use std::collections::HashMap;

use crate::route::matcher::Shape;
use crate::route::{PathRewrite, Route, RouteMatch};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// The table works, but probably not as it was meant.
    Warning,
    /// There is no table.
    Error,
}

/// Something wrong with the routes of a table. Matches are counted from 0; shown, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableProblem {
    /// Two routes have one id.
    #[error("route `{id}`: there are two routes of this id")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// A route has no match, so it could never take a request.
    #[error("route `{route}`: has no match (the prefix `/` takes every path)")]
    NoMatch {
        /// The route.
        route: String,
    },
    /// Two routes ask for the same at the same rank: the earlier one takes it all.
    #[error(
        "route `{route}`, match {number}: the same as match {other_number} of route `{other}`, at \
         the same rank", number = matched + 1, other_number = other_matched + 1
    )]
    Identical {
        /// The later route.
        route: String,
        /// Its match.
        matched: usize,
        /// The earlier route.
        other: String,
        /// Its match.
        other_matched: usize,
    },
    /// A match can never take a request.
    #[error(
        "route `{route}`, match {number}: can never take a request, match {by_number} of route \
         `{by}` takes them all before", number = matched + 1, by_number = by_matched + 1
    )]
    Shadowed {
        /// The route that is never reached this way.
        route: String,
        /// Its match.
        matched: usize,
        /// The route that takes everything before.
        by: String,
        /// Its match.
        by_matched: usize,
    },
    /// `rewrite.prefix` together with a match that is no prefix.
    #[error(
        "route `{route}`, match {number}: rewrite.prefix needs a prefix match", number = matched + 1
    )]
    RewriteWithoutPrefix {
        /// The route.
        route: String,
        /// Its match that is no prefix.
        matched: usize,
    },
    /// `rewrite.path` names a parameter that a match does not have.
    #[error(
        "route `{route}`, match {number}: rewrite.path asks for `{{{name}}}`, which the match does \
         not have", number = matched + 1
    )]
    UnknownParameter {
        /// The route.
        route: String,
        /// Its match without the parameter.
        matched: usize,
        /// The name of the parameter.
        name: String,
    },
}

impl TableProblem {
    /// How bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Identical { .. } | Self::Shadowed { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

/// Everything that is wrong with the routes of a table, and what is odd about them besides.
///
/// `Display` gives one line to each problem.
#[derive(Clone, PartialEq, Eq)]
pub struct TableProblems {
    pub(super) problems: Vec<TableProblem>,
}

/// As `Display`, for a `main` that returns the error.
impl std::fmt::Debug for TableProblems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::ops::Deref for TableProblems {
    type Target = [TableProblem];

    fn deref(&self) -> &[TableProblem] {
        &self.problems
    }
}

impl IntoIterator for TableProblems {
    type Item = TableProblem;
    type IntoIter = std::vec::IntoIter<TableProblem>;

    fn into_iter(self) -> Self::IntoIter {
        self.problems.into_iter()
    }
}

impl std::fmt::Display for TableProblems {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                writeln!(formatter)?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for TableProblems {}

/// All problems that need no index to be seen.
pub(super) fn in_routes<T>(routes: &[Route<T>]) -> Vec<TableProblem> {
    let mut problems = Vec::new();
    let mut ids: HashMap<&str, usize> = HashMap::new();
    for route in routes {
        let count = ids.entry(&route.id).or_default();
        *count += 1;
        // Once an id, however often it is repeated.
        if *count == 2 {
            problems.push(TableProblem::DuplicateId { id: route.id.clone() });
        }
        if route.matches.is_empty() {
            problems.push(TableProblem::NoMatch { route: route.id.clone() });
        }
        in_rewrite(route, &mut problems);
    }
    identical(routes, &mut problems);
    problems
}

fn in_rewrite<T>(route: &Route<T>, problems: &mut Vec<TableProblem>) {
    let Some(rewrite) = route.rewrite.as_ref().and_then(|rewrite| rewrite.path.as_ref()) else {
        return;
    };
    for (matched, matching) in route.matches.iter().enumerate() {
        let route = route.id.clone();
        match rewrite {
            PathRewrite::Prefix(_) if !matching.path.is_prefix() => {
                problems.push(TableProblem::RewriteWithoutPrefix { route, matched });
            }
            PathRewrite::Prefix(_) => {}
            PathRewrite::Template(template) => {
                let known = matching.path.parameters();
                let unknown = template
                    .parameters()
                    .filter(|name| !known.iter().any(|known| **known == **name));
                problems.extend(unknown.map(|name| TableProblem::UnknownParameter {
                    route: route.clone(),
                    matched,
                    name: name.to_owned(),
                }));
            }
        }
    }
}

/// Matches of different enabled routes that differ in nothing but their place.
fn identical<T>(routes: &[Route<T>], problems: &mut Vec<TableProblem>) {
    let mut seen: HashMap<String, (usize, &str, usize)> = HashMap::new();
    for (index, route) in routes.iter().enumerate().filter(|(_, route)| route.enabled) {
        for (matched, matching) in route.matches.iter().enumerate() {
            let key = identity(route, matching);
            let here = (index, route.id.as_str(), matched);
            let (other_index, other, other_matched) = *seen.entry(key).or_insert(here);
            if other_index != index {
                problems.push(TableProblem::Identical {
                    route: route.id.clone(),
                    matched,
                    other: other.to_owned(),
                    other_matched,
                });
            }
        }
    }
}

/// One text for all matches that ask for the same at the same rank.
fn identity<T>(route: &Route<T>, matching: &RouteMatch) -> String {
    let sorted = |mut texts: Vec<String>| {
        texts.sort();
        texts.dedup();
        texts
    };
    let path = match matching.path.shape() {
        // Names of parameters make no difference to what is taken.
        Shape::Segments { segments, tail, .. } => format!("{segments:?}{tail:?}"),
        shape => format!("{shape:?}"),
    };
    let headers = matching.headers.iter().map(|header| format!("{header:?}")).collect();
    let query = matching.query.iter().map(|query| format!("{query:?}")).collect();
    format!(
        "{:?}",
        (
            route.priority,
            sorted(route.listeners.clone()),
            route.preflight,
            &matching.host,
            path,
            &matching.methods,
            (matching.headers.len(), sorted(headers)),
            (matching.query.len(), sorted(query)),
        )
    )
}
