//! [`Swap`]: one value, read by many, replaced as a whole.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// A cell that holds the current version of a value and swaps it atomically.
///
/// Readers see one version from start to end: they keep the [`Arc`] they loaded. Writers replace
/// the whole value; nobody ever sees half of a change.
pub struct Swap<T> {
    cell: ArcSwap<T>,
}

impl<T> Swap<T> {
    /// A cell that holds `value`.
    pub fn new(value: T) -> Self {
        Self { cell: ArcSwap::from_pointee(value) }
    }

    /// The current version, owned: keep it for as long as one consistent view is needed.
    pub fn load(&self) -> Arc<T> {
        self.cell.load_full()
    }

    /// The current version, borrowed: cheaper than [`load`](Self::load), never to be held across
    /// an `.await`.
    pub fn peek(&self) -> Guard<Arc<T>> {
        self.cell.load()
    }

    /// Replaces the value and returns the version that was current before.
    pub fn replace(&self, value: T) -> Arc<T> {
        self.cell.swap(Arc::new(value))
    }
}

impl<T: fmt::Debug> fmt::Debug for Swap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Swap").field(&*self.peek()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_the_version_it_loaded() {
        let live = Swap::new(1);
        let before = live.load();
        assert_eq!(*live.replace(2), 1);
        assert_eq!((*before, *live.load()), (1, 2));
    }
}
