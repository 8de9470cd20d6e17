//! HTTP/1 connections: one request each at a time.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::{Binding, BoundConnection, PoolConfig};
use crate::error::{Error, Reason};
use crate::http1::output::Output;
use crate::stream::NetStream;
use crate::timer::ResettableTimer;
use crate::upstream::endpoint::{Endpoint, InFlight};

/// One connection to an endpoint, with the buffers that stay with it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: NetStream,
    pub(crate) read: BytesMut,
    pub(crate) out: Output,
    pub(crate) alarm: ResettableTimer,
    /// The shard of the worker that opened it, whose event loop its socket belongs to.
    home: usize,
    opened: Instant,
    idle_since: Instant,
    /// How long the upstream says that it keeps the connection while it is idle.
    kept_for: Option<Duration>,
    /// It has carried credentials that authenticate a connection.
    pub(crate) bound: bool,
}

impl Connection {
    pub(crate) fn new(stream: NetStream) -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            stream,
            read: BytesMut::new(),
            out: Output::default(),
            alarm: ResettableTimer::default(),
            home: shard_of_this_thread(),
            opened: now,
            idle_since: now,
            kept_for: None,
            bound: false,
        })
    }

    /// True when the upstream has neither closed the connection nor sent what nobody asked for.
    /// No system call unless something has happened on it, as far as the event loop knows.
    fn is_alive(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.read.reserve(1);
        pin!(self.stream.read_buf(&mut self.read)).poll(&mut cx).is_pending()
    }

    /// As [`is_alive`](Self::is_alive), and asks the system for what the event loop has not seen
    /// yet: an upstream that closes right behind its response.
    fn is_surely_alive(&mut self) -> bool {
        self.is_alive() && !self.stream.has_arrived()
    }

    /// Notes how long the upstream keeps the connection while it is idle.
    pub(crate) fn announced(&mut self, kept_for: Option<Duration>) {
        if kept_for.is_some() {
            self.kept_for = kept_for;
        }
    }

    fn is_fresh(&self, settings: &PoolConfig, now: Instant) -> bool {
        self.may_idle(settings, now) && now.duration_since(self.opened) < settings.max_age
    }

    /// True while it has not been idle for too long, for us or for the upstream.
    fn may_idle(&self, settings: &PoolConfig, now: Instant) -> bool {
        let kept_for = self.kept_for.map_or(Duration::MAX, |kept| kept.saturating_sub(LAST_MOMENT));
        now.duration_since(self.idle_since) < settings.idle_timeout.min(kept_for)
    }
}

/// The HTTP/1 connections of an endpoint.
///
/// Idle connections are kept in shards, one for each worker thread, so that a worker finds the
/// connections it used last (their sockets belong to its event loop) and no two workers contend.
/// A connection that another worker borrows goes back to the shard of the worker that opened it:
/// each event on a socket of another event loop costs a wake across threads.
#[derive(Debug)]
pub(crate) struct Http1Pool {
    settings: PoolConfig,
    shards: Box<[Mutex<Idle>]>,
    idle: AtomicUsize,
    /// Connections in use or idle that count towards `total`.
    open: AtomicUsize,
    /// Connections that carry a tunnel or an event stream, which do not count towards `total`.
    long_lived: AtomicUsize,
    pending: AtomicUsize,
    /// One permit for each connection that may be in use.
    permits: Semaphore,
}

impl Http1Pool {
    pub(crate) fn new(settings: PoolConfig) -> Self {
        let shards = match settings.idle {
            // Nothing is ever in them: asking the system for its size is not worth it.
            0 => 1,
            _ => available_parallelism().map_or(1, usize::from).min(MAX_SHARDS),
        };
        Self {
            settings,
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            idle: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            long_lived: AtomicUsize::new(0),
            pending: AtomicUsize::new(0),
            permits: Semaphore::new(settings.total.min(Semaphore::MAX_PERMITS)),
        }
    }

    /// A connection that was taken out of the pool is closed.
    pub(super) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections: busy, idle, and those of tunnels and event streams.
    pub(crate) fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed) + self.long_lived.load(Ordering::Relaxed)
    }

    /// Waits for the right to use one connection.
    async fn permit(&self, deadline: Option<Instant>) -> Result<(), Error> {
        if let Ok(permit) = self.permits.try_acquire() {
            permit.forget();
            return Ok(());
        }
        // Boxed: the timer it needs is rarely needed.
        Box::pin(self.wait_for_permit(deadline)).await
    }

    async fn wait_for_permit(&self, deadline: Option<Instant>) -> Result<(), Error> {
        if self.pending.fetch_add(1, Ordering::Relaxed) >= self.settings.pending {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            return Err(Reason::PendingOverflow.into());
        }
        let waiting = Waiting { pool: self };
        let until = Instant::now() + self.settings.pending_timeout;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let acquired = timeout_at(until, self.permits.acquire()).await;
        drop(waiting);
        match acquired {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(Reason::PendingTimeout.into()),
        }
    }

    /// An idle connection that is alive, this worker's own first.
    fn take(&self, now: Instant, careful: bool) -> Option<Box<Connection>> {
        let own = shard_of_this_thread() % self.shards.len();
        self.take_from(own, now, careful).or_else(|| {
            // Those of other workers only when no more may be opened.
            if self.open.load(Ordering::Relaxed) < self.settings.total {
                return None;
            }
            let mut others = (0..self.shards.len()).filter(|&at| at != own);
            others.find_map(|at| self.take_from(at, now, careful))
        })
    }

    fn take_from(&self, shard: usize, now: Instant, careful: bool) -> Option<Box<Connection>> {
        loop {
            let mut connection = self.lock(shard)?.pop()?;
            self.idle.fetch_sub(1, Ordering::Relaxed);
            let fresh = connection.is_fresh(&self.settings, now);
            if fresh && if careful { connection.is_surely_alive() } else { connection.is_alive() } {
                return Some(connection);
            }
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn give(&self, mut connection: Box<Connection>) {
        let now = Instant::now();
        connection.idle_since = now;
        let shard = connection.home % self.shards.len();
        let full = self.idle.fetch_add(1, Ordering::Relaxed) >= self.settings.idle;
        if full || now.duration_since(connection.opened) >= self.settings.max_age {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            self.open.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        if connection.read.capacity() > KEPT_CAPACITY {
            connection.read = BytesMut::new();
        }
        if let Some(mut shard) = self.lock(shard) {
            shard.push(connection);
        }
    }

    /// Drops connections that are expired or dead.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for at in 0..self.shards.len() {
            let Some(mut shard) = self.lock(at) else {
                continue;
            };
            let before = shard.len();
            shard.retain_mut(|connection| {
                connection.is_fresh(&self.settings, now) && connection.is_alive()
            });
            let gone = before - shard.len();
            drop(shard);
            self.idle.fetch_sub(gone, Ordering::Relaxed);
            self.open.fetch_sub(gone, Ordering::Relaxed);
        }
    }

    fn lock(&self, shard: usize) -> Option<MutexGuard<'_, Idle>> {
        Some(self.shards.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Idle connections, the one used last at the end. Boxed: a connection goes to a request and back
/// for every request, and is large.
#[allow(clippy::vec_box, reason = "moving a pointer, not a connection")]
type Idle = Vec<Box<Connection>>;

/// An idle connection is not used in the last moment before the upstream closes it: the request
/// and the end of the connection would cross.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// A pool has at most this many shards.
const MAX_SHARDS: usize = 64;

/// An idle connection keeps its read buffer up to this size.
const KEPT_CAPACITY: usize = 16 * 1024;

struct Waiting<'a> {
    pool: &'a Http1Pool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pool.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to use one connection of an endpoint for one request. Dropped, it is given back, and
/// so is the count of the request.
#[derive(Debug)]
pub(crate) struct Lease {
    in_flight: InFlight,
    /// True while a connection that this lease opened or took is not back in the pool.
    holds: bool,
    /// The connection belongs to a client connection.
    binding: Option<Box<Binding>>,
    /// True once the permit was given back because the connection is long-lived.
    long_lived: bool,
}

impl Lease {
    /// Waits for the right to use one connection.
    pub(crate) async fn acquire(
        in_flight: InFlight,
        deadline: Option<Instant>,
    ) -> Result<Self, Error> {
        in_flight.endpoint().http1.permit(deadline).await?;
        Ok(Self { in_flight, holds: false, binding: None, long_lived: false })
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        self.in_flight.endpoint()
    }

    fn pool(&self) -> &Http1Pool {
        &self.in_flight.endpoint().http1
    }

    /// An idle connection, as of `now`. With `careful`, the system says whether the upstream has
    /// closed it.
    pub(crate) fn take(&mut self, now: Instant, careful: bool) -> Option<Box<Connection>> {
        let connection = self.pool().take(now, careful)?;
        self.holds = true;
        Some(connection)
    }

    /// The connection that belongs to the request's client connection, if it can be used.
    pub(crate) fn take_bound(
        &mut self,
        bound: BoundConnection,
        now: Instant,
    ) -> Option<Box<Connection>> {
        self.holds = true;
        let mut connection = bound.into_connection();
        let settings = self.pool().settings;
        let is_usable =
            |one: &mut Box<Connection>| one.may_idle(&settings, now) && one.is_surely_alive();
        if !connection.as_mut().is_some_and(is_usable) {
            connection = None;
            self.lost();
        }
        connection
    }

    /// The connection is never used for another client connection from now on.
    pub(crate) fn bind(&mut self, binding: Binding) {
        self.binding = Some(Box::new(binding));
    }

    /// Counts a connection that is about to be opened.
    pub(crate) fn opens(&mut self) {
        self.pool().open.fetch_add(1, Ordering::Relaxed);
        self.holds = true;
    }

    /// The response is a tunnel or an event stream, which may last for hours: the connection no
    /// longer counts towards the total of the pool, and is not used again.
    ///
    /// There are at most as many as the listeners have connections, and streams on them.
    pub(crate) fn becomes_long_lived(&mut self) {
        if std::mem::replace(&mut self.long_lived, true) {
            return;
        }
        let pool = self.pool();
        if self.holds {
            pool.long_lived.fetch_add(1, Ordering::Relaxed);
            pool.open.fetch_sub(1, Ordering::Relaxed);
        }
        pool.permits.add_permits(1);
    }

    /// The connection broke, or was never made.
    pub(crate) fn lost(&mut self) {
        if std::mem::take(&mut self.holds) {
            let pool = self.pool();
            let counter = if self.long_lived { &pool.long_lived } else { &pool.open };
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Both messages ended exactly: the connection can be used again.
    pub(crate) fn give_back(mut self, connection: Box<Connection>) {
        if self.long_lived || !std::mem::take(&mut self.holds) {
            return;
        }
        match self.binding.take() {
            None => self.pool().give(connection),
            Some(binding) => {
                let mut connection = connection;
                connection.idle_since = Instant::now();
                binding.keep(BoundConnection::new(Arc::clone(self.endpoint()), connection));
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.lost();
        if !self.long_lived {
            self.pool().permits.add_permits(1);
        }
    }
}

/// The shard of the thread that asks: threads are numbered in the order in which they first ask.
fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SHARD.with(|shard| {
        shard.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            shard.set(Some(next));
            next
        })
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};

    use tokio::net::TcpStream;

    use super::*;

    fn in_memory() -> (Box<Connection>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(64);
        (Connection::new(NetStream::Other(Box::new(near))), far)
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_of_upstream_is_kept() {
        let seconds = Duration::from_secs;
        for (announced, idle, usable) in [
            (None, 59, true),
            (None, 60, false),
            (Some(5), 3, true),
            (Some(5), 4, false),
            (Some(1), 0, false),
            (Some(0), 0, false),
            (Some(3600), 60, false),
        ] {
            let pool = Http1Pool::new(PoolConfig::default());
            let (mut connection, _far) = in_memory();
            connection.announced(announced.map(seconds));
            // A response that says nothing takes nothing back.
            connection.announced(None);
            pool.give(connection);
            tokio::time::advance(seconds(idle)).await;
            let taken = pool.take(Instant::now(), false).is_some();
            assert_eq!(taken, usable, "{announced:?} {idle}");
        }
    }

    #[tokio::test]
    async fn end_is_seen_before_the_event_loop_sees_it() {
        for says in [&b""[..], b"unasked"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut far, _) = listener.accept().unwrap();
            let mut connection = Connection::new(NetStream::Tcp(stream));
            assert!(connection.is_surely_alive());
            // From here on the event loop has no turn.
            far.write_all(says).unwrap();
            far.shutdown(Shutdown::Write).unwrap();
            assert!(connection.is_alive(), "the event loop knows nothing yet");
            assert!(!connection.is_surely_alive());
        }
    }
}
