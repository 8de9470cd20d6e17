//! [`Link`]: one connection to a store, kept for as long as somebody needs it.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_core::{BoxError, Tasks};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::{KeyChange, KeyChanges, StoreError};

/// A connection is made within this time, in the background.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// So often is tried to reach a server that is away.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// So often is asked whether the server is still there: a connection can be dead without a word.
const PING_EVERY: Duration = Duration::from_secs(2);

/// A server that does not answer that in this time is not there.
const PING_WITHIN: Duration = Duration::from_secs(2);

/// How a store is reached.
pub(super) trait Connect: Send + Sync + 'static {
    /// What requests ask through. Clones are the same connection.
    type Connection: Clone + Send + Sync + 'static;

    /// Makes a connection that already hears of changes, and the work that keeps it: which tells
    /// changes, and ends when the connection is lost.
    fn connect(
        &self,
        changes: Arc<KeyChanges>,
    ) -> impl Future<
        Output = Result<
            (Self::Connection, impl Future<Output = BoxError> + Send + 'static),
            BoxError,
        >,
    > + Send;

    /// Whether the server is there.
    fn ping(
        &self,
        connection: Self::Connection,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// One connection that all requests share. A task in the background makes it, and makes it again
/// when it is lost; requests wait for their deadline, and not at all while it is known to be lost.
pub(super) struct Link<C: Connect> {
    inner: Arc<Inner<C>>,
    /// Ends them with the link.
    tasks: Tasks,
}

struct Inner<C: Connect> {
    kind: &'static str,
    connect: C,
    changes: Arc<KeyChanges>,
    phase: watch::Sender<Phase<C::Connection>>,
    trouble: Mutex<Option<String>>,
    running: AtomicBool,
    /// Somebody was not answered.
    doubt: Notify,
    /// There was a connection before.
    connected: AtomicBool,
}

#[derive(Clone)]
enum Phase<T> {
    /// Nobody has been there yet.
    Connecting,
    Up(T),
    Away,
}

impl<C: Connect> Link<C> {
    pub(super) fn new(kind: &'static str, connect: C) -> Self {
        let inner = Inner {
            kind,
            connect,
            changes: Arc::default(),
            phase: watch::Sender::new(Phase::Connecting),
            trouble: Mutex::new(None),
            running: AtomicBool::new(false),
            doubt: Notify::new(),
            connected: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner), tasks: Tasks::new() }
    }

    pub(super) fn changes(&self) -> &KeyChanges {
        &self.inner.changes
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.inner.trouble().clone()
    }

    /// Where it leads.
    #[cfg(feature = "postgres")]
    pub(super) fn server(&self) -> &C {
        &self.inner.connect
    }

    /// Sees to it that somebody makes the connection.
    pub(super) fn start(&self) {
        // Somebody may look at keys from outside of a runtime.
        if Handle::try_current().is_err() || self.inner.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = Running(Arc::clone(&self.inner));
        self.tasks.spawn("api_keys_store", async move { running.0.run().await });
    }

    /// Asks through the connection, when it is there. Who asks sets the deadline, by dropping this.
    pub(super) async fn ask<T, F>(
        &self,
        question: impl FnOnce(C::Connection) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.start();
        let mut phase = self.inner.phase.subscribe();
        let known = |phase: &Phase<C::Connection>| !matches!(phase, Phase::Connecting);
        let phase = phase.wait_for(known).await.map(|phase| phase.clone());
        let Ok(Phase::Up(connection)) = phase else {
            return Err(StoreError::Away("no connection".to_owned()));
        };
        let answer = question(connection).await;
        if matches!(answer, Err(StoreError::Away(_))) {
            self.inner.doubt.notify_one();
        }
        answer
    }
}

impl<C: Connect> Inner<C> {
    async fn run(&self) {
        loop {
            let connecting = self.connect.connect(Arc::clone(&self.changes));
            let connected = timeout(CONNECT_WITHIN, connecting).await;
            match connected.unwrap_or_else(|_| Err("no connection in time".into())) {
                Ok((connection, keeping)) => {
                    self.up(connection.clone());
                    let lost = tokio::select! {
                        lost = keeping => lost,
                        lost = self.watch(connection) => lost,
                    };
                    self.away(&lost);
                }
                Err(error) => self.away(&error),
            }
            sleep(TRY_EVERY).await;
        }
    }

    /// Returns when the server is not there any more.
    async fn watch(&self, connection: C::Connection) -> BoxError {
        loop {
            {
                let mut doubt = pin!(self.doubt.notified());
                let _ = timeout(PING_EVERY, doubt.as_mut()).await;
            }
            match timeout(PING_WITHIN, self.connect.ping(connection.clone())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(_) => return "no answer in time".into(),
            }
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn up(&self, connection: C::Connection) {
        if self.trouble().take().is_some() {
            tracing::info!(store = self.kind, "the store of keys is there");
        }
        // What was said while nobody listened is not known; at first there is nothing to forget.
        if self.connected.swap(true, Ordering::AcqRel) {
            self.changes.tell(KeyChange::Any);
        }
        self.phase.send_replace(Phase::Up(connection));
    }

    fn away(&self, cause: &BoxError) {
        self.phase.send_replace(Phase::Away);
        let cause = cause.to_string();
        let before = self.trouble().replace(cause.clone());
        if before.is_none() {
            tracing::warn!(store = self.kind, cause, "the store of keys is away");
        }
    }
}

/// The task that makes the connection and keeps it; when it ends, however, another one can begin.
struct Running<C: Connect>(Arc<Inner<C>>);

impl<C: Connect> Drop for Running<C> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}
