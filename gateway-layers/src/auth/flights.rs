//! [`Flights`]: what many ask for at once is asked for once.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Flying<K, T> = Arc<Mutex<HashMap<K, WeakShared<Boxed<T>>>>>;

/// What is under way for somebody, by a key. Who asks for the same gets the same answer.
///
/// Nobody owns a flight: it goes on for as long as one of those who wait is there, and whoever of
/// them is polled moves it.
pub(super) struct Flights<K, T> {
    flying: Flying<K, T>,
    most: usize,
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// At most `most` at a time.
    pub(super) fn new(most: usize) -> Self {
        Self { flying: Flying::default(), most }
    }

    /// Joins who asks for `key`, if somebody does.
    #[cfg(feature = "basic")]
    pub(super) fn find(&self, key: &K) -> Option<Shared<Boxed<T>>> {
        lock(&self.flying).get(key).and_then(WeakShared::upgrade)
    }

    /// Joins who asks for `key`, or begins with what `start` makes. `None`: too many are under way.
    pub(super) fn join<F>(&self, key: &K, start: impl FnOnce() -> F) -> Option<Shared<Boxed<T>>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut flying = lock(&self.flying);
        if let Some(flight) = flying.get(key).and_then(WeakShared::upgrade) {
            return Some(flight);
        }
        if flying.len() >= self.most {
            // Who gave up has left his behind.
            flying.retain(|_, flight| flight.upgrade().is_some());
            if flying.len() >= self.most {
                return None;
            }
        }
        let (others, own) = (Arc::downgrade(&self.flying), key.clone());
        let work = start();
        let flight = async move {
            let answer = work.await;
            if let Some(others) = others.upgrade() {
                lock(&others).remove(&own);
            }
            answer
        };
        let flight = (Box::pin(flight) as Boxed<T>).shared();
        if let Some(weak) = flight.downgrade() {
            flying.insert(key.clone(), weak);
        }
        Some(flight)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.flying).len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_asks_for_the_same_shares_one_answer() {
        let flights = Flights::new(8);
        let (answer, asked) = oneshot::channel();
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let start = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async move { asked.await.unwrap_or(0) }
        };
        let first = flights.join(&1, start).unwrap();
        let second = flights.join(&1, || async { unreachable!("the first one is under way") });
        // Who began goes away, and the others get it all the same.
        drop(first);
        answer.send(7).unwrap();
        assert_eq!(second.unwrap().await, 7);
        assert_eq!((count.load(Ordering::Relaxed), flights.len()), (1, 0));
        assert_eq!(flights.join(&1, || ready(8)).unwrap().await, 8);
    }

    #[tokio::test]
    async fn there_are_no_more_than_so_many_and_those_given_up_do_not_count() {
        let flights = Flights::<_, ()>::new(2);
        let one = flights.join(&1, pending).unwrap();
        let two = flights.join(&2, pending).unwrap();
        assert!(flights.join(&3, pending).is_none());
        assert!(flights.join(&2, pending).is_some());
        drop((one, two));
        assert!(flights.join(&3, pending).is_some());
    }
}
