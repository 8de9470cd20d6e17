//! [`Origins`]: a list of patterns, ready to be asked.

use std::collections::HashSet;

use http::HeaderValue;

use super::parse::Origin;
use super::pattern::OriginPattern;

/// Origins that are let in: any of several patterns.
///
/// Exact ones are found by their hash, however many there are; those with a star are looked at one
/// by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    patterns: Vec<OriginPattern>,
    any: bool,
    /// Each as browsers write it.
    exact: HashSet<Box<[u8]>>,
    wild: Vec<OriginPattern>,
}

impl Origins {
    /// Takes what any of `patterns` takes.
    pub fn new(patterns: impl IntoIterator<Item = OriginPattern>) -> Self {
        let patterns: Vec<_> = patterns.into_iter().collect();
        let any = OriginPattern::any();
        let (wild, single): (Vec<_>, Vec<_>) =
            patterns.iter().filter(|one| **one != any).cloned().partition(OriginPattern::is_wild);
        let exact = single.iter().map(|one| one.to_string().into_bytes().into()).collect();
        Self { any: patterns.contains(&any), exact, wild, patterns }
    }

    /// The patterns, as they were given.
    pub fn patterns(&self) -> &[OriginPattern] {
        &self.patterns
    }

    /// True when there is no pattern.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// True when one of the patterns is `*`.
    #[must_use]
    pub fn takes_any(&self) -> bool {
        self.any
    }

    /// True when one of the patterns takes the value of an `Origin` field.
    #[must_use]
    pub fn takes(&self, origin: &HeaderValue) -> bool {
        if self.exact.contains(origin.as_bytes()) {
            return true;
        }
        if !self.any && self.wild.is_empty() {
            return false;
        }
        let origin = origin.to_str().ok().and_then(Origin::parse);
        origin.is_some_and(|origin| self.any || self.wild.iter().any(|one| one.takes(&origin)))
    }
}
