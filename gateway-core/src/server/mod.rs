//! [`Server`]: listeners, connections, drain.
//!
//! A server serves one module, most often a [`Gateway`](crate::Gateway). It installs no signal
//! handler, exits nothing, keeps no global state: it runs in the caller's tokio runtime until the
//! future it was given completes, then drains.

mod connection;
mod drain;
mod expect;
mod http1;
mod http2;
mod listener;
mod pace;
pub mod proxy_protocol;
mod session;
mod settings;
#[cfg(feature = "tls")]
pub mod tls;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::drain::Drain;
use self::listener::Acceptor;
pub use self::listener::{Address, AddressError, BoundListener, Listener, Protocol};
pub use self::proxy_protocol::ProxyProtocolError;
use self::session::Session;
pub use self::settings::{Limits, MIN_BODY_RATE, Timeouts};
use crate::clock::{Clock, SystemClock};
use crate::module::ModuleService;
use crate::observe::{Observer, Observers, StateChanged};

/// While draining, progress is logged this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainConfig {
    /// After the stop the server reports that it is not ready and asks clients to leave
    /// (`Connection: close`, GOAWAY), but serves new connections for this long, so that load
    /// balancers in front of it notice. Default: 5 s.
    pub lame_duck: Duration,
    /// Requests in flight after that get this long; then they are cut. Default: 30 s.
    pub timeout: Duration,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { lame_duck: Duration::from_secs(5), timeout: Duration::from_secs(30) }
    }
}

impl DrainConfig {
    /// With these times.
    pub fn new(lame_duck: Duration, timeout: Duration) -> Self {
        Self { lame_duck, timeout }
    }
}

/// What a drain came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Connections that were open when the drain began.
    pub open: usize,
    /// Connections that were cut at the deadline.
    pub cut: usize,
}

/// Whether a server wants traffic. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    ready: Arc<AtomicBool>,
}

impl Readiness {
    /// True from the first accept until the stop.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn set(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}

/// Serves a module on listeners.
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use gateway_core::{FixedResponse, Listener, Module, Server};
/// use http::StatusCode;
///
/// let listener = Listener::new("127.0.0.1:8080".parse().unwrap()).bind()?;
/// let module = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
/// let stop = std::future::pending();
/// Server::new(module).listen(listener).serve(stop).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Server<M> {
    module: M,
    listeners: Vec<BoundListener>,
    drain: DrainConfig,
    clock: ClockHandle,
    observers: Observers,
    readiness: Readiness,
}

#[derive(Clone)]
struct ClockHandle(Arc<dyn Clock>);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl<M: ModuleService + Clone> Server<M> {
    /// A server of `module` that listens nowhere yet.
    pub fn new(module: M) -> Self {
        Self {
            module,
            listeners: Vec::new(),
            drain: DrainConfig::default(),
            clock: ClockHandle(Arc::new(SystemClock)),
            observers: Observers::default(),
            readiness: Readiness::default(),
        }
    }

    /// Adds a listener.
    pub fn listen(mut self, listener: BoundListener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// How the server ends.
    pub fn drain(mut self, drain: DrainConfig) -> Self {
        self.drain = drain;
        self
    }

    /// Dates answers by `clock`.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = ClockHandle(clock);
        self
    }

    /// Who is told what was rejected before it was a request, and when the server drains.
    pub fn observers(mut self, observers: Observers) -> Self {
        self.observers = observers;
        self
    }

    /// Tells whether the server wants traffic.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves until `stop` completes, then drains: the server reports that it is not ready, asks
    /// clients to leave, goes on for the lame-duck time, stops accepting, lets requests in flight finish until the deadline, and
    /// cuts the rest.
    ///
    /// # Errors
    ///
    /// When a bound socket cannot be used in this runtime.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> io::Result<Drained> {
        let drain = Drain::default();
        let stopped_accepting = Drain::default();
        let mut loops = Vec::with_capacity(self.listeners.len());
        for bound in self.listeners {
            let (listener, acceptor) = bound.accepting()?;
            let session = Arc::new(Session {
                module: self.module.clone(),
                listener: Arc::new(listener.info.clone()),
                limits: listener.limits,
                timeouts: listener.timeouts,
                drain: drain.clone(),
                clock: Arc::clone(&self.clock.0),
                observers: self.observers.clone(),
            });
            loops.push(accept_loop(
                acceptor,
                listener,
                session,
                stopped_accepting.clone(),
                self.drain.timeout,
            ));
        }
        self.readiness.set(true);
        let stopping = async {
            stop.await;
            self.readiness.set(false);
            let event = StateChanged::new("server", "", "serving", "lame_duck", "stopped");
            self.observers.state_changed(&event);
            tracing::info!(lame_duck = ?self.drain.lame_duck, "stopping");
            drain.start_leaving();
            sleep(self.drain.lame_duck).await;
            let event = StateChanged::new("server", "", "lame_duck", "draining", "stopped");
            self.observers.state_changed(&event);
            drain.start();
            stopped_accepting.start();
        };
        let (drained, ()) = futures_util::future::join(join_all(loops), stopping).await;
        let total = drained.into_iter().fold(Drained::default(), |sum, one| Drained {
            open: sum.open + one.open,
            cut: sum.cut + one.cut,
        });
        tracing::info!(open = total.open, cut = total.cut, "drained");
        Ok(total)
    }
}

/// Accepts until told to stop, then waits for the connections to end.
async fn accept_loop<M: ModuleService>(
    mut acceptor: Acceptor,
    listener: Arc<Listener>,
    session: Arc<Session<M>>,
    stop: Drain,
    deadline: Duration,
) -> Drained {
    let permits = Arc::clone(&listener.permits);
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(stop.started());
    let mut waiting = None;
    loop {
        // The connection first: clones of the listener share the permits, and one that waits for
        // a client must not hold what another needs. Above the limit one connection waits here,
        // the others in the kernel's queue.
        let next = async {
            if waiting.is_none() {
                waiting = Some(acceptor.accept().await);
            }
            Arc::clone(&permits).acquire_owned().await
        };
        tokio::select! {
            () = &mut stopped => break,
            Some(ended) = connections.join_next() => note_end(ended),
            permit = next => {
                // A semaphore that is never closed always has a permit in the end.
                let (Ok(permit), Some(accepted)) = (permit, waiting.take()) else { break };
                let (listener, session) = (Arc::clone(&listener), Arc::clone(&session));
                let opening = Box::pin(connection::open(accepted, listener, Arc::clone(&session)));
                connections.spawn(connection::run(opening, session, permit));
            }
        }
    }
    drop(acceptor);
    finish(connections, &listener.info.name, deadline, &session.drain).await
}

/// Waits for `connections` to end, until `deadline`; then cuts the rest.
async fn finish(
    mut connections: JoinSet<()>,
    listener: &str,
    deadline: Duration,
    drain: &Drain,
) -> Drained {
    while connections.try_join_next().is_some() {}
    let open = connections.len();
    let until = Instant::now() + deadline;
    let mut progress = tokio::time::interval(PROGRESS_EVERY);
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(ended) => note_end(ended),
                None => return Drained { open, cut: 0 },
            },
            _ = progress.tick() => {
                tracing::info!(listener, connections = connections.len(), "draining");
            }
            () = sleep_until(until) => break,
        }
    }
    let cut = connections.len();
    tracing::warn!(listener, connections = cut, "connections aborted at the drain timeout");
    drain.cut();
    connections.shutdown().await;
    Drained { open, cut }
}

fn note_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
