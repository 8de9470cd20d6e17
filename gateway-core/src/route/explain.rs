//! Why each route did or did not take a request.
//!
//! Evaluated route by route, without the index: the table's own lookup is tested against it.

use super::precedence::Rank;
use super::{Lookup, Route, RouteMatch, RouteTable, TieBreak};

/// One route as it was considered for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Considered {
    /// The id of the route.
    pub id: String,
    /// Its place in the table: [`RouteTable::routes`].
    pub index: usize,
    /// What came of it.
    pub verdict: MatchOutcome,
}

/// What came of considering a route. Matches are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatchOutcome {
    /// It takes the request.
    Won {
        /// The match that took it.
        matched: usize,
        /// What decided against the runner-up; `None` where no other route fits.
        over: Option<TieBreak>,
        /// The id of the runner-up.
        runner_up: Option<String>,
    },
    /// It fits, but another route comes first.
    Lost {
        /// The match that fits.
        matched: usize,
        /// What decided for the winner.
        by: TieBreak,
    },
    /// It does not fit. Of several matches: the one that came furthest.
    Failed {
        /// The match; 0 where the route failed as a whole.
        matched: usize,
        /// The first thing that did not hold.
        predicate: Predicate,
        /// The same in words, with what was asked for and what came.
        text: String,
    },
    /// It is switched off and was not considered.
    Disabled,
    /// It has no match.
    NoMatch,
}

/// A part of a route, in the order of looking at it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Predicate {
    /// The listeners of the route.
    Listener,
    /// The host.
    Host,
    /// The path.
    Path,
    /// A header condition.
    Header {
        /// The name of the header.
        name: String,
    },
    /// A query condition.
    Query {
        /// The name of the parameter.
        name: String,
    },
    /// The methods. Last: what fails here alone is answered with 405.
    Method,
}

impl std::fmt::Display for Considered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.id, self.verdict)
    }
}

impl std::fmt::Display for MatchOutcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Won { over: Some(over), runner_up: Some(other), .. } => {
                write!(formatter, "takes it, before {other}: {over}")
            }
            Self::Won { .. } => formatter.write_str("takes it"),
            Self::Lost { by, .. } => write!(formatter, "fits, but the winner has: {by}"),
            Self::Failed { text, .. } => formatter.write_str(text),
            Self::Disabled => formatter.write_str("disabled"),
            Self::NoMatch => formatter.write_str("has no match"),
        }
    }
}

/// The outcome of one route before it is compared with the others.
enum Outcome {
    Fits { rank: Rank, matched: usize },
    MatchOutcome(MatchOutcome),
}

impl<T> RouteTable<T> {
    /// What became of every route, the disabled ones too, in the order of the document.
    ///
    /// Looks at every route: for people and tests, not for the request path.
    #[must_use]
    pub fn explain(&self, lookup: &Lookup<'_>) -> Vec<Considered> {
        let outcomes: Vec<Outcome> = self
            .routes()
            .iter()
            .enumerate()
            .map(|(index, route)| consider(index, route, lookup))
            .collect();
        let mut ranked: Vec<(&Rank, usize)> = outcomes
            .iter()
            .enumerate()
            .filter_map(|(index, outcome)| match outcome {
                Outcome::Fits { rank, .. } => Some((rank, index)),
                Outcome::MatchOutcome(_) => None,
            })
            .collect();
        ranked.sort();
        let first = ranked.first().map(|(rank, _)| (*rank).clone());
        let second = ranked.get(1).map(|(rank, index)| ((*rank).clone(), *index));
        let verdict = |outcome: Outcome| match (outcome, &first) {
            (Outcome::MatchOutcome(verdict), _) => verdict,
            (Outcome::Fits { rank, matched }, Some(first)) if rank != *first => {
                MatchOutcome::Lost { matched, by: first.decided_by(&rank) }
            }
            (Outcome::Fits { rank, matched }, _) => MatchOutcome::Won {
                matched,
                over: second.as_ref().map(|(second, _)| rank.decided_by(second)),
                runner_up: second
                    .as_ref()
                    .and_then(|(_, index)| self.routes().get(*index))
                    .map(|route| route.id.clone()),
            },
        };
        outcomes
            .into_iter()
            .zip(self.routes())
            .enumerate()
            .map(|(index, (outcome, route))| Considered {
                id: route.id.clone(),
                index,
                verdict: verdict(outcome),
            })
            .collect()
    }
}

/// The best match of `route` that fits, or the failure of the one that came furthest.
fn consider<T>(index: usize, route: &Route<T>, lookup: &Lookup<'_>) -> Outcome {
    if !route.enabled {
        return Outcome::MatchOutcome(MatchOutcome::Disabled);
    }
    if !route.is_on(lookup.listener) {
        let text =
            format!("listener: {:?} is not one of {}", lookup.listener, route.listeners.join(", "));
        let predicate = Predicate::Listener;
        return Outcome::MatchOutcome(MatchOutcome::Failed { matched: 0, predicate, text });
    }
    let mut best: Option<(Rank, usize)> = None;
    let mut furthest: Option<(Predicate, usize, String)> = None;
    for (matched, matching) in route.matches.iter().enumerate() {
        match first_failure(matching, route.preflight, lookup) {
            None => {
                let rank = Rank::of(route, index, matching, matched);
                if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                    best = Some((rank, matched));
                }
            }
            Some((predicate, text)) => {
                if furthest.as_ref().is_none_or(|(known, ..)| predicate > *known) {
                    furthest = Some((predicate, matched, text));
                }
            }
        }
    }
    match (best, furthest) {
        (Some((rank, matched)), _) => Outcome::Fits { rank, matched },
        (None, Some((predicate, matched, text))) => {
            Outcome::MatchOutcome(MatchOutcome::Failed { matched, predicate, text })
        }
        (None, None) => Outcome::MatchOutcome(MatchOutcome::NoMatch),
    }
}

/// The first part of `matching` that does not hold, and that in words.
fn first_failure(
    matching: &RouteMatch,
    takes_preflights: bool,
    lookup: &Lookup<'_>,
) -> Option<(Predicate, String)> {
    if let Some(host) = &matching.host
        && !lookup.host.is_some_and(|name| host.takes(name))
    {
        let came = lookup.host.unwrap_or("a request without host");
        return Some((Predicate::Host, format!("host: {host} does not take {came}")));
    }
    if !matching.path.takes(lookup.path) {
        let kind = if matching.path.is_prefix() { "prefix" } else { "path" };
        let text = format!("{kind}: {} does not take {}", matching.path, lookup.path);
        return Some((Predicate::Path, text));
    }
    if let Some(header) = matching.headers.iter().find(|header| !header.takes(lookup.headers)) {
        let name = header.name.to_string();
        return Some((Predicate::Header { name }, format!("header: {header} does not hold")));
    }
    if let Some(query) = matching.query.iter().find(|query| !query.takes(lookup.query)) {
        let name = query.name.clone();
        return Some((Predicate::Query { name }, format!("query: {query} does not hold")));
    }
    let method = lookup.method_for(takes_preflights);
    if !matching.methods.takes(method) {
        let asked = if method == lookup.method { "" } else { ", which the preflight asks for" };
        let text = format!("method: {} does not take {method}{asked}", matching.methods);
        return Some((Predicate::Method, text));
    }
    None
}
