//! Which of several routes takes a request.

use std::cmp::Reverse;

use super::matcher::{HostKind, Segment, Shape, Tail};
use super::{Route, RouteMatch};

/// The rank of one match of one route; the smallest wins.
///
/// The order of the fields is the rule: priority, host, path, methods, headers, query, order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    priority: Reverse<i32>,
    host: HostRank,
    path: PathRank,
    methods: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    order: (usize, usize),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum HostRank {
    Exact,
    /// By length: of two wildcards that take one host, the longer is the more specific.
    Wildcard(Reverse<usize>),
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    Exact,
    #[cfg_attr(not(feature = "regex"), allow(dead_code))]
    Regex(Reverse<usize>),
    /// Compared segment by segment from the left.
    Segments(Vec<SegmentRank>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SegmentRank {
    Literal,
    Affixed,
    Parameter,
    Tail,
}

impl Rank {
    /// The rank of match `matched` of the route at `index`.
    pub(super) fn of<T>(
        route: &Route<T>,
        index: usize,
        matching: &RouteMatch,
        matched: usize,
    ) -> Self {
        Self {
            priority: Reverse(route.priority),
            host: HostRank::of(matching),
            path: PathRank::of(matching),
            methods: Reverse(!matching.methods.is_empty()),
            headers: Reverse(matching.headers.len()),
            query: Reverse(matching.query.len()),
            order: (index, matched),
        }
    }

    /// The first difference to `other`.
    pub(super) fn decided_by(&self, other: &Self) -> TieBreak {
        if self.priority != other.priority {
            TieBreak::Priority
        } else if self.host != other.host {
            TieBreak::Host
        } else if self.path != other.path {
            TieBreak::Path
        } else if self.methods != other.methods {
            TieBreak::Methods
        } else if self.headers != other.headers {
            TieBreak::Headers
        } else if self.query != other.query {
            TieBreak::Query
        } else {
            TieBreak::Order
        }
    }
}

impl HostRank {
    fn of(matching: &RouteMatch) -> Self {
        match matching.host.as_ref().map(super::HostMatch::kind) {
            Some(HostKind::Exact(_)) => Self::Exact,
            Some(HostKind::Wildcard(rest)) => Self::Wildcard(Reverse(rest.len())),
            None => Self::Any,
        }
    }
}

impl PathRank {
    fn of(matching: &RouteMatch) -> Self {
        match matching.path.shape() {
            Shape::Exact(_) => Self::Exact,
            #[cfg(feature = "regex")]
            Shape::Regex(regex) => Self::Regex(Reverse(regex.pattern().chars().count())),
            Shape::Segments { segments, tail, .. } => {
                let mut ranks: Vec<_> = segments.iter().map(SegmentRank::of).collect();
                if matches!(tail, Tail::Rest | Tail::Prefix) {
                    ranks.push(SegmentRank::Tail);
                }
                Self::Segments(ranks)
            }
        }
    }
}

impl SegmentRank {
    const fn of(segment: &Segment) -> Self {
        match segment {
            Segment::Literal(_) => Self::Literal,
            Segment::Affixed { .. } => Self::Affixed,
            Segment::Parameter => Self::Parameter,
        }
    }
}

/// What decided between two routes that both take a request; the first difference does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TieBreak {
    /// The higher `priority`.
    Priority,
    /// The more specific host: exact, longest wildcard, none.
    Host,
    /// The more specific path: exact; regex; then segment by segment from the left.
    Path,
    /// Methods are given.
    Methods,
    /// More header conditions.
    Headers,
    /// More query conditions.
    Query,
    /// Earlier in the document.
    Order,
}

impl std::fmt::Display for TieBreak {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Priority => "higher priority",
            Self::Host => "more specific host",
            Self::Path => "more specific path",
            Self::Methods => "methods are given",
            Self::Headers => "more header conditions",
            Self::Query => "more query conditions",
            Self::Order => "earlier in the document",
        })
    }
}
