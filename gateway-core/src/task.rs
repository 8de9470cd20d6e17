//! Background tasks with a name and an owner.
//!
//! This is the only place of the crate that spawns. A task lives at most as long as its
//! [`Tasks`]: dropping the last handle ends all of them.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::rt::Executor;
use tokio::task::AbortHandle;
use tracing::Instrument;

/// The owner of background tasks. Clones share the same tasks; the last one dropped ends them.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    owner: Arc<Owner>,
}

#[derive(Debug, Default)]
struct Owner {
    running: Mutex<Vec<(&'static str, AbortHandle)>>,
}

impl Tasks {
    /// An owner of no task.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `future` in the background under `name`, until it ends or its owner does.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = spawn_detached(future.instrument(tracing::debug_span!("task", name)));
        let mut running = self.owner.lock();
        running.retain(|(_, task)| !task.is_finished());
        running.push((name, task));
    }

    /// The names of the tasks that still run.
    pub fn names(&self) -> Vec<&'static str> {
        let running = self.owner.lock();
        running.iter().filter(|(_, task)| !task.is_finished()).map(|(name, _)| *name).collect()
    }

    /// Ends every task now.
    pub fn abort(&self) {
        for (_, task) in self.owner.lock().drain(..) {
            task.abort();
        }
    }
}

impl Owner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(&'static str, AbortHandle)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        for (_, task) in self.lock().drain(..) {
            task.abort();
        }
    }
}

/// Spawns a task whose end is bound to something else than a [`Tasks`]: a connection that counts
/// itself in its server's drain, or the driver of a connection that ends with its last handle.
#[allow(clippy::disallowed_methods, reason = "the one place that spawns")]
pub(crate) fn spawn_detached<F>(future: F) -> AbortHandle
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(future).abort_handle()
}

/// Runs the streams of an HTTP/2 connection. They end with it: hyper drops what it has not finished.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spawner;

impl<F> Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        spawn_detached(future);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn the_last_owner_ends_its_tasks() {
        let (dropped, gone) = tokio::sync::oneshot::channel::<()>();
        let tasks = Tasks::new();
        tasks.spawn("waits", async move {
            let _dropped = dropped;
            pending::<()>().await;
        });
        let other = tasks.clone();
        drop(tasks);
        assert_eq!(other.names(), ["waits"]);
        drop(other);
        assert!(gone.await.is_err());
    }
}
