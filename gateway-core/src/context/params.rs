//! Parameters of a path template, as places in the path.

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

/// Parameters that are kept without allocating.
const INLINE_PARAMETER_COUNT: usize = 4;

/// The parameters of one matched path.
///
/// Holds byte ranges and shared names only, so that it can live as long as the request; every look
/// at a value is handed the path that was matched. Values are the raw escaped text.
#[derive(Debug, Clone, Default)]
pub struct PathParams {
    names: Option<Arc<[Arc<str>]>>,
    ranges: SmallVec<[(u32, u32); INLINE_PARAMETER_COUNT]>,
}

impl PathParams {
    /// Room for the parameters called `names`.
    pub(crate) fn named(names: Arc<[Arc<str>]>) -> Self {
        Self { names: Some(names), ranges: SmallVec::new() }
    }

    /// The next parameter lies in this byte range of the path.
    pub(crate) fn push(&mut self, range: Range<usize>) {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.ranges.push((place(range.start), place(range.end)));
    }

    /// The value of `name` in `path`, the path that was matched.
    #[must_use]
    pub fn value<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        self.iter(path).find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Names and values, from the left of `path`, the path that was matched.
    pub fn iter<'p>(&self, path: &'p str) -> impl Iterator<Item = (&str, &'p str)> {
        let names = self.names.as_deref().unwrap_or_default();
        names.iter().zip(&self.ranges).filter_map(move |(name, &(start, end))| {
            let range = usize::try_from(start).ok()?..usize::try_from(end).ok()?;
            Some((&**name, path.get(range)?))
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}
