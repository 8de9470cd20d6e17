//! [`Priority`]: how important a request is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gateway_core::{Request, RequestExt};
use http::HeaderName;

/// The name in a route's metadata under which the importance of its requests stands.
const METADATA: &str = "priority";

/// How important a request is. In the order of their values, the most important is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// The system fails without it.
    Critical,
    /// Somebody waits for it.
    High,
    /// What nothing is said about.
    #[default]
    Normal,
    /// It can be done later: batches, prefetching, crawlers.
    Low,
}

impl Priority {
    /// Every class, the most important first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// Its place in [`ALL`](Self::ALL).
    pub(super) const fn rank(self) -> usize {
        self as usize
    }

    /// `critical`, `high`, `normal` or `low`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(word: &str) -> Result<Self, UnknownPriority> {
        let mut all = Self::ALL.into_iter();
        all.find(|priority| priority.as_str().eq_ignore_ascii_case(word)).ok_or(UnknownPriority)
    }
}

/// The word names no [`Priority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPriority;

impl fmt::Display for UnknownPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `critical`, `high`, `normal` or `low`")
    }
}

impl std::error::Error for UnknownPriority {}

type Function = dyn Fn(&Request) -> Priority + Send + Sync;

/// Where the importance of a request is read.
#[derive(Clone, Default)]
pub(super) enum Source {
    /// In the metadata of its route.
    #[default]
    Route,
    /// In a field of its head, else in the metadata of its route.
    Header(HeaderName),
    /// A function knows.
    Function(Arc<Function>),
}

impl Source {
    pub(super) fn of(&self, request: &Request) -> Priority {
        match self {
            Self::Route => of_route(request),
            Self::Header(name) => {
                let stated = request.headers().get(name).and_then(|value| value.to_str().ok());
                let stated = stated.and_then(|word| word.trim().parse().ok());
                stated.unwrap_or_else(|| of_route(request))
            }
            Self::Function(function) => function(request),
        }
    }
}

fn of_route(request: &Request) -> Priority {
    let route = request.context().and_then(|context| context.route());
    let word = route.and_then(|route| route.metadata.value(METADATA));
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route => f.write_str("Route"),
            Self::Header(name) => f.debug_tuple("Header").field(name).finish(),
            Self::Function(_) => f.write_str("Function"),
        }
    }
}
