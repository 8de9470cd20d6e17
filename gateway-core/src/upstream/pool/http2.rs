//! HTTP/2 connections: many requests each, spread over several connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::client::conn::http2::SendRequest;
use tokio::time::Instant;

use super::PoolSettings;
use crate::body::Body;
use crate::error::{Error, Reason};

/// An endpoint gets at most this many HTTP/2 connections.
const MAX_CONNECTIONS: usize = 8;

/// A further connection is opened when every one carries this many requests.
const SPREAD_ABOVE: usize = 80;

/// The HTTP/2 connections of an endpoint.
#[derive(Debug)]
pub(crate) struct Http2Pool {
    settings: PoolSettings,
    connections: Mutex<Vec<Shared>>,
    /// Held by whoever opens a connection, so that a burst opens one and not a hundred.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug)]
struct Shared {
    sender: SendRequest<Body>,
    streams: Arc<AtomicUsize>,
    opened: Instant,
}

/// One request's place on a connection.
#[derive(Debug)]
pub(crate) struct Http2Lease {
    pub(crate) sender: SendRequest<Body>,
    pub(crate) reused: bool,
    streams: Arc<AtomicUsize>,
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Http2Pool {
    pub(crate) fn new(settings: PoolSettings) -> Self {
        Self { settings, connections: Mutex::default(), opening: tokio::sync::Mutex::default() }
    }

    /// Connections.
    pub(crate) fn open(&self) -> usize {
        self.lock().len()
    }

    /// A place on a connection; `connect` opens one when none has room.
    pub(crate) async fn lease<F>(&self, connect: F) -> Result<Http2Lease, Error>
    where
        F: AsyncFnOnce() -> Result<SendRequest<Body>, Error>,
    {
        if let Some(lease) = self.take(SPREAD_ABOVE) {
            return Ok(lease);
        }
        let opening = self.opening.lock().await;
        if let Some(lease) = self.take(SPREAD_ABOVE) {
            return Ok(lease);
        }
        if self.open() >= MAX_CONNECTIONS {
            drop(opening);
            return self.take(usize::MAX).ok_or_else(|| Reason::PendingOverflow.into());
        }
        let sender = connect().await?;
        let shared = Shared { sender, streams: Arc::default(), opened: Instant::now() };
        self.lock().push(shared.clone());
        Ok(shared.lease(false))
    }

    /// A place on the connection with the fewest streams, when that is below `limit`.
    fn take(&self, limit: usize) -> Option<Http2Lease> {
        let now = Instant::now();
        let mut connections = self.lock();
        connections.retain(|one| {
            !one.sender.is_closed()
                && (now.duration_since(one.opened) < self.settings.max_age || one.count() > 0)
        });
        let young = |one: &&Shared| now.duration_since(one.opened) < self.settings.max_age;
        let least = connections.iter().filter(young).min_by_key(|one| one.count())?;
        (least.count() < limit).then(|| least.lease(true))
    }

    /// Drops connections that are closed, or old and unused.
    pub(crate) fn sweep(&self) {
        drop(self.take(0));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn count(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    fn lease(&self, reused: bool) -> Http2Lease {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Http2Lease { sender: self.sender.clone(), reused, streams: Arc::clone(&self.streams) }
    }
}
