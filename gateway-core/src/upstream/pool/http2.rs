//! HTTP/2 connections: many requests each, spread over several connections.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http2::SendRequest;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::PoolConfig;
use crate::body::Body;
use crate::error::{Error, Reason};

/// A connection carries at most this many requests, however many the upstream allows
/// (`SETTINGS_MAX_CONCURRENT_STREAMS`, RFC 9113, section 6.5.2): its flow-control window has room
/// for so many streams, each of which may be stalled.
pub(crate) const MAX_STREAMS: u16 = 100;

/// A connection that has carried no request for this time may have lost its upstream without
/// notice. One request at a time uses it until a response shows that the upstream is there.
const QUIET_AFTER: Duration = Duration::from_secs(5);

/// The HTTP/2 connections of an endpoint.
#[derive(Debug)]
pub(crate) struct Http2Pool {
    settings: PoolConfig,
    connections: Mutex<Vec<Shared>>,
    /// Held while a connection is opened, so that a burst of requests opens as few as it needs.
    opening: tokio::sync::Mutex<()>,
    room: Arc<Room>,
}

/// Requests that wait for a stream while no further connection may be opened.
#[derive(Debug, Default)]
struct Room {
    waiting: AtomicUsize,
    freed: Notify,
}

/// A connection that has just been opened.
#[derive(Debug)]
pub(crate) struct Http2Connection {
    sender: SendRequest<Body>,
    allowed: Arc<AtomicUsize>,
}

impl Http2Connection {
    /// A connection on which the upstream allows so many streams as `allowed` is at the time.
    pub(crate) fn new(sender: SendRequest<Body>, allowed: Arc<AtomicUsize>) -> Self {
        Self { sender, allowed }
    }
}

#[derive(Clone, Debug)]
struct Shared {
    sender: SendRequest<Body>,
    allowed: Arc<AtomicUsize>,
    state: Arc<State>,
}

/// The counters of a connection.
#[derive(Debug)]
struct State {
    streams: AtomicUsize,
    /// Streams that carry a tunnel or an event stream.
    long_lived: AtomicUsize,
    /// False while it is unknown whether the upstream is still there.
    confirmed: AtomicBool,
    opened: Instant,
    /// When the last stream ended, in milliseconds after `opened`.
    idle_since: AtomicU64,
    room: Arc<Room>,
}

/// One request's place on a connection.
#[derive(Debug)]
pub(crate) struct Http2Lease {
    pub(crate) sender: SendRequest<Body>,
    pub(crate) reused: bool,
    long_lived: bool,
    state: Arc<State>,
}

impl Http2Pool {
    pub(crate) fn new(settings: PoolConfig) -> Self {
        Self {
            settings,
            connections: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            room: Arc::default(),
        }
    }

    /// The number of connections.
    pub(crate) fn connections(&self) -> usize {
        self.lock().len()
    }

    /// A place on a connection; `connect` opens one when none has room. Waits for a place when
    /// the total of connections is reached.
    pub(crate) async fn lease<F>(&self, connect: F) -> Result<Http2Lease, Error>
    where
        F: AsyncFnOnce() -> Result<Http2Connection, Error>,
    {
        if let Some(lease) = self.take() {
            return Ok(lease);
        }
        let mut waiting = None;
        loop {
            let opening = self.opening.lock().await;
            // Registered before the look at the connections, so that no notice is missed.
            let mut freed = pin!(self.room.freed.notified());
            freed.as_mut().enable();
            if let Some(lease) = self.take() {
                return Ok(lease);
            }
            if self.may_open() {
                let shared = Shared::new(connect().await?, &self.room);
                self.lock().push(shared.clone());
                return Ok(shared.lease(false));
            }
            drop(opening);
            let (_, until) = match &waiting {
                Some(waiting) => waiting,
                None => waiting.insert(self.wait()?),
            };
            if timeout_at(*until, freed).await.is_err() {
                return Err(Reason::PendingTimeout.into());
            }
        }
    }

    /// A place in the queue, and until when to wait in it.
    fn wait(&self) -> Result<(Waiting<'_>, Instant), Error> {
        let waiting = Waiting(&self.room);
        if self.room.waiting.fetch_add(1, Ordering::Relaxed) >= self.settings.pending {
            return Err(Reason::PendingOverflow.into());
        }
        Ok((waiting, Instant::now() + self.settings.pending_timeout))
    }

    /// A place on the connection with the fewest streams, when it has room.
    fn take(&self) -> Option<Http2Lease> {
        let now = Instant::now();
        let mut connections = self.lock();
        connections.retain(|one| self.is_useful(one, now));
        let usable = connections.iter().filter(|one| self.is_usable(one, now));
        let least = usable.min_by_key(|one| one.streams())?;
        if least.streams() >= least.most_streams() {
            return None;
        }
        if least.streams() == 0 && least.state.idle(now) >= QUIET_AFTER {
            least.state.confirmed.store(false, Ordering::Relaxed);
        }
        Some(least.lease(true))
    }

    /// True while the total is not reached. Connections that take no more requests do not count,
    /// nor those whose streams are all tunnels and event streams.
    fn may_open(&self) -> bool {
        let now = Instant::now();
        let counts = |one: &&Shared| {
            self.is_usable(one, now)
                && one.state.long_lived.load(Ordering::Relaxed) < one.most_streams()
        };
        self.lock().iter().filter(counts).count() < self.settings.total
    }

    /// True when further requests may use it.
    fn is_usable(&self, one: &Shared, now: Instant) -> bool {
        now.duration_since(one.state.opened) < self.settings.max_age
            && one.state.confirmed.load(Ordering::Relaxed)
    }

    /// True while it carries requests, or may carry some later.
    fn is_useful(&self, one: &Shared, now: Instant) -> bool {
        let in_use = || one.streams() > 0;
        let is_fresh = || one.state.idle(now) < self.settings.idle_timeout;
        !one.sender.is_closed() && (in_use() || (self.is_usable(one, now) && is_fresh()))
    }

    /// Drops connections that are closed, were idle for too long, or are old and unused.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.lock().retain(|one| self.is_useful(one, now));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Waiting<'a>(&'a Room);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn new(opened: Http2Connection, room: &Arc<Room>) -> Self {
        let state = State {
            streams: AtomicUsize::new(0),
            long_lived: AtomicUsize::new(0),
            confirmed: AtomicBool::new(true),
            opened: Instant::now(),
            idle_since: AtomicU64::new(0),
            room: Arc::clone(room),
        };
        let Http2Connection { sender, allowed } = opened;
        Self { sender, allowed, state: Arc::new(state) }
    }

    fn streams(&self) -> usize {
        self.state.streams.load(Ordering::Relaxed)
    }

    /// How many streams it may carry at the same time.
    fn most_streams(&self) -> usize {
        self.allowed.load(Ordering::Relaxed).min(MAX_STREAMS.into())
    }

    fn lease(&self, reused: bool) -> Http2Lease {
        self.state.streams.fetch_add(1, Ordering::Relaxed);
        let (sender, state) = (self.sender.clone(), Arc::clone(&self.state));
        Http2Lease { sender, reused, long_lived: false, state }
    }
}

impl State {
    /// How long it has carried no stream, when it carries none.
    fn idle(&self, now: Instant) -> Duration {
        let since = Duration::from_millis(self.idle_since.load(Ordering::Relaxed));
        now.duration_since(self.opened).saturating_sub(since)
    }
}

impl Http2Lease {
    /// A response has come: the upstream is there.
    pub(crate) fn confirm(&self) {
        let confirmed = &self.state.confirmed;
        if !confirmed.load(Ordering::Relaxed) {
            confirmed.store(true, Ordering::Relaxed);
        }
    }

    /// No response came in time: until one comes, further requests use other connections.
    pub(crate) fn doubt(&self) {
        self.state.confirmed.store(false, Ordering::Relaxed);
    }

    /// The response is a tunnel or an event stream, which may last for hours. A connection that
    /// carries nothing else does not count towards the total of the pool.
    pub(crate) fn becomes_long_lived(&mut self) {
        if !std::mem::replace(&mut self.long_lived, true) {
            self.state.long_lived.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Http2Lease {
    fn drop(&mut self) {
        let state = &*self.state;
        if self.long_lived {
            state.long_lived.fetch_sub(1, Ordering::Relaxed);
        }
        if state.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            let since = state.opened.elapsed().as_millis();
            state.idle_since.store(since.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        if state.room.waiting.load(Ordering::Relaxed) > 0 {
            state.room.freed.notify_one();
        }
    }
}
