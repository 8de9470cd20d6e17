//! [`Owned`]: what belongs to one client connection, and ends with it.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Of the things that belong to one client connection, at most this many are kept; the oldest
/// gives way.
const MOST_OWNED: usize = 8;

/// What belongs to one client connection, by keys. Clones own the same things, once there are any.
#[derive(Clone, Default)]
pub(crate) struct Owned {
    list: OnceLock<Arc<Mutex<Vec<Thing>>>>,
}

type Thing = (Arc<str>, Box<dyn Any + Send>);

impl Owned {
    /// Keeps `thing` under `key`, in the place of what was kept there.
    pub(crate) fn put<T: Any + Send>(&self, key: &Arc<str>, thing: T) {
        let before = self.remove(key);
        let mut list = lock(self.list.get_or_init(Arc::default));
        let oldest = (list.len() >= MOST_OWNED).then(|| list.remove(0));
        list.push((Arc::clone(key), Box::new(thing)));
        drop(list);
        // Outside of the lock: what ends may take its time.
        drop((before, oldest));
    }

    /// Takes what is kept under `key`. Reads one word where nothing was ever kept.
    pub(crate) fn take<T: Any + Send>(&self, key: &Arc<str>) -> Option<Box<T>> {
        self.remove(key)?.downcast().ok()
    }

    fn remove(&self, key: &Arc<str>) -> Option<Box<dyn Any + Send>> {
        let mut list = lock(self.list.get()?);
        let at = list.iter().position(|(known, _)| known == key)?;
        Some(list.remove(at).1)
    }
}

fn lock(list: &Mutex<Vec<Thing>>) -> MutexGuard<'_, Vec<Thing>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Owned")
    }
}
