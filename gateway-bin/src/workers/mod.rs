//! Workers: threads with a runtime, sockets and connections of their own.

#[cfg(test)]
mod tests;
mod worker;

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use gateway_core::{
    Address, BoundListener, DrainConfig, Drained, Gateway, ModuleService, Observers, Server,
};
use gateway_layers::metrics::Metrics;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use self::worker::{Stage, spawn, wait};
use crate::admin;
use crate::assemble::{Assembled, Reloader, build_listener};
use crate::config::{Listener, Startup};
use crate::descriptors;
use crate::signals::{Hangups, Signals};

/// Why a gateway that was good did not serve, or stopped.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A socket could not be bound. Says which, and what to do.
    #[error("{error}{hint}")]
    Bind {
        /// What the system said; names the address.
        error: io::Error,
        /// What to do about it; empty where nobody knows.
        hint: &'static str,
    },
    /// A thread, a runtime or a signal could not be had.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// A worker ended though nobody asked it to.
    #[error("worker {worker} failed: {cause}")]
    Worker {
        /// Its number, from 1.
        worker: usize,
        /// What happened.
        cause: String,
    },
}

/// As `Display`, for a `main` that returns the error.
impl fmt::Debug for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn bind_error(error: io::Error) -> ServeError {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process listens there: stop it, or choose another address"
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 and other people's directories need rights this process has not"
        }
        io::ErrorKind::AddrNotAvailable => {
            "; the address is none of this machine: 0.0.0.0 or [::] listens on all there are"
        }
        _ => "",
    };
    ServeError::Bind { error, hint }
}

impl Assembled {
    /// Binds every listener for every worker. Clients can connect; nobody answers them before
    /// [`Bound::serve`]. Raises the limit of open files of this process to its hard limit.
    ///
    /// # Errors
    ///
    /// When a socket cannot be bound; none stays bound then.
    pub fn bind(&self) -> Result<Bound, ServeError> {
        let count = match self.document().workers {
            // Only a port can be shared; one worker serves all Unix sockets.
            _ if !self.document().listeners.iter().any(is_tcp) => 1,
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let mut bound = Bound {
            workers: (0..count).map(|_| Vec::new()).collect(),
            addresses: Vec::new(),
            notes: Vec::new(),
            gateway: self.gateway().clone(),
            observers: self.observers().clone(),
            drain: self.document().drain,
            startup: self.document().startup,
            reloader: self.reloader().clone(),
            metrics: self.metrics().cloned(),
            admin: None,
            scrapes: None,
        };
        let bind = |address| gateway_core::Listener::new(Address::Tcp(address)).bind();
        if let Some(admin) = &self.document().admin {
            bound.admin = Some(bind(admin.address).map_err(bind_error)?);
        }
        let scrapes = self.document().metrics.as_ref().and_then(|metrics| metrics.address);
        if let Some(address) = scrapes {
            bound.scrapes = Some(bind(address).map_err(bind_error)?);
        }
        if let Err(error) = descriptors::raise() {
            tracing::warn!(%error, "cannot raise the limit of open files");
        }
        let limits = self.connection_limits(&mut bound.notes);
        for (listener, connections) in self.document().listeners.iter().zip(limits) {
            let address = bound.listen(listener, connections).map_err(bind_error)?;
            bound.addresses.push((listener.name.clone(), address));
        }
        Ok(bound)
    }

    /// Binds, serves until `SIGTERM` or `SIGINT`, and drains; a second signal cuts at once. Blocks,
    /// and makes its own runtimes.
    ///
    /// # Errors
    ///
    /// When a socket cannot be bound or a worker fails.
    pub fn run(&self) -> Result<Drained, ServeError> {
        self.bind()?.run()
    }

    /// How many connections each listener takes, lowered where the process may not open as many
    /// files.
    fn connection_limits(&self, notes: &mut Vec<String>) -> Vec<usize> {
        let listeners = self.document().listeners.iter();
        let asked: Vec<usize> = listeners.map(|listener| listener.limits.connections).collect();
        let Some(files) = descriptors::soft_limit() else {
            return asked;
        };
        let clusters = self.document().clusters.iter();
        let upstream = clusters
            .map(|cluster| cluster.pool.total.saturating_mul(cluster.endpoints.len()))
            .fold(0, usize::saturating_add);
        let total = asked.iter().copied().fold(0, usize::saturating_add);
        let room = descriptors::client_connections(files, upstream);
        if total <= room {
            return asked;
        }
        notes.push(format!(
            "connections lowered from {total} to {room}: this process may open {files} files; \
             `ulimit -Hn` raises that"
        ));
        // In 128 bits: no product of two numbers of 64 bits is larger.
        let share = |one: usize| one as u128 * room as u128 / total as u128;
        asked.iter().map(|one| usize::try_from(share(*one)).unwrap_or(room).max(1)).collect()
    }
}

fn is_tcp(listener: &Listener) -> bool {
    matches!(listener.address, Address::Tcp(_))
}

/// A gateway whose sockets are all bound.
#[derive(Debug)]
#[must_use]
pub struct Bound {
    workers: Vec<Vec<BoundListener>>,
    addresses: Vec<(String, Address)>,
    notes: Vec<String>,
    gateway: Gateway,
    observers: Observers,
    drain: DrainConfig,
    startup: Startup,
    reloader: Reloader,
    metrics: Option<Metrics>,
    admin: Option<BoundListener>,
    scrapes: Option<BoundListener>,
}

impl Bound {
    /// Names and addresses of the listeners, with the ports the system chose.
    pub fn addresses(&self) -> &[(String, Address)] {
        &self.addresses
    }

    /// Where operators find the running gateway, with the port the system chose.
    pub fn admin_address(&self) -> Option<Address> {
        self.admin.as_ref().map(BoundListener::local_address)
    }

    /// Where scrapes are answered, with the port the system chose.
    pub fn metrics_address(&self) -> Option<Address> {
        self.scrapes.as_ref().map(BoundListener::local_address)
    }

    /// What was changed to fit this machine, for people.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How many threads will serve.
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// Binds `listener` for every worker, `connections` for all of them together.
    fn listen(&mut self, listener: &Listener, connections: usize) -> io::Result<Address> {
        let count = self.workers.len();
        let parts = self.reloader.parts();
        if count == 1 || !is_tcp(listener) {
            // A Unix socket cannot be shared by address; the first worker serves it.
            let address = listener.address.clone();
            let bound = build_listener(listener, address, connections, &parts).bind()?;
            let address = bound.local_address();
            if let Some(first) = self.workers.first_mut() {
                first.push(bound);
            }
            return Ok(address);
        }
        // Sockets that share a port share it with every process of this user. A gateway started
        // twice must hear that, so whoever is there already is looked for first.
        let mut address = listener.address.clone();
        drop(build_listener(listener, address.clone(), connections, &parts).bind()?);
        // Clones share the limit of connections.
        let shared = build_listener(listener, address.clone(), connections, &parts);
        let shared = shared.reuse_port(true);
        for worker in &mut self.workers {
            let one = shared.clone().address(address).bind()?;
            // The first one may have asked for any port; the others take the same.
            address = one.local_address();
            worker.push(one);
        }
        Ok(address)
    }

    /// As [`Assembled::run`], once bound. `SIGHUP` makes it [reload](Reloader::reload).
    ///
    /// # Errors
    ///
    /// When a worker fails.
    pub fn run(self) -> Result<Drained, ServeError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut signals = Signals::new()?;
            let mut hangups = Hangups::new()?;
            let reloader = self.reloader.clone();
            let reload = async move {
                loop {
                    hangups.next().await;
                    // What came of it is logged, and told to the observers.
                    let _ = reloader.reload();
                }
            };
            let (stop, stopped) = oneshot::channel();
            let (cut, cutting) = oneshot::channel();
            let listen = async move {
                let signal = signals.next().await;
                tracing::info!(signal, "draining; another signal cuts at once");
                let _ = stop.send(());
                let signal = signals.next().await;
                tracing::warn!(signal, "cutting what is left");
                let _ = cut.send(());
                pending::<Infallible>().await
            };
            let serve = self.serve_until(async { drop(stopped.await) }, async {
                drop(cutting.await);
            });
            tokio::select! {
                drained = serve => drained,
                never = listen => match never {},
                () = reload => Ok(Drained::default()),
            }
        })
    }

    /// Waits until every cluster knows its endpoints and how they are, though not for long.
    async fn wait_for_clusters(&self) {
        let parts = self.reloader.parts();
        let all = async {
            for part in &parts.clusters {
                part.cluster.ready().await;
            }
            parts.identity.ready().await;
        };
        if !self.startup.wait.is_zero() && timeout(self.startup.wait, all).await.is_err() {
            let wait = self.startup.wait;
            tracing::warn!(?wait, "serving before every cluster is known to be well");
        }
    }

    /// Serves until `stop` completes, then drains as the document says.
    ///
    /// The workers are threads of their own; this future only waits for them. Dropping it cuts
    /// everything at once.
    ///
    /// # Errors
    ///
    /// When a worker fails; the others have been drained then.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<Drained, ServeError> {
        self.serve_until(stop, std::future::pending()).await
    }

    /// As [`serve`](Self::serve); once `cut` completes, what is left is not waited for.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_until(
        self,
        stop: impl Future<Output = ()>,
        cut: impl Future<Output = ()>,
    ) -> Result<Drained, ServeError> {
        self.reloader.parts().start();
        let mut stop = pin!(stop);
        tokio::select! {
            () = &mut stop => {
                flush(&self.reloader, pending()).await;
                return Ok(Drained::default());
            }
            () = self.wait_for_clusters() => {}
        }
        let workers = self.workers.into_iter().map(|listeners| {
            let server = Server::new(self.gateway.clone())
                .drain(self.drain)
                .observers(self.observers.clone());
            listeners.into_iter().fold(server, Server::listen)
        });
        let workers: Vec<_> = workers.collect();
        let (mut admin, mut scrapes) = (None, None);
        if let Some(metrics) = &self.metrics {
            if let Some(listener) = self.admin {
                let readiness = workers.iter().map(Server::readiness).collect();
                let gateway = admin::gateway(&self.gateway, &self.reloader, metrics, readiness);
                admin = Some(Server::new(gateway.map_err(io::Error::other)?).listen(listener));
            }
            if let Some(listener) = self.scrapes {
                let gateway = admin::scrapes(metrics, &self.gateway, &self.reloader);
                scrapes = Some(Server::new(gateway.map_err(io::Error::other)?).listen(listener));
            }
        }
        let (stage, watched) = watch::channel(Stage::Serve);
        let (ended, ends) = mpsc::unbounded_channel();
        let count = workers.len();
        for (index, server) in workers.into_iter().enumerate() {
            spawn(index + 1, server, watched.clone(), ended.clone())?;
        }
        drop((watched, ended));
        let all = wait(count, ends, &stage);
        let (administer, answer) = (aside("admin", admin), aside("metrics", scrapes));
        tokio::pin!(all, cut, administer, answer);
        let mut told = Stage::Serve;
        let drained = loop {
            tokio::select! {
                drained = &mut all => break drained,
                never = &mut administer => match never {},
                never = &mut answer => match never {},
                () = &mut stop, if told == Stage::Serve => told = Stage::Drain,
                () = &mut cut, if told != Stage::End => told = Stage::End,
            }
            stage.send_replace(told);
        };
        // Whoever waited for the workers waits for what they told, too.
        let hurry = async {
            if told != Stage::End {
                cut.await;
            }
        };
        tokio::select! {
            () = flush(&self.reloader, hurry) => {}
            never = &mut administer => match never {},
            never = &mut answer => match never {},
        }
        drained
    }
}

/// What is to end at once has this long to tell its last audit events.
const IN_A_HURRY: Duration = Duration::from_millis(500);

/// Delivers the audit events that wait, though not for long, and once `hurry` completes for less.
async fn flush(reloader: &Reloader, hurry: impl Future<Output = ()>) {
    let parts = reloader.parts();
    let Some(part) = &parts.audit else { return };
    let left = tokio::select! {
        left = part.audit.drain(part.flush) => left,
        () = hurry => part.audit.drain(IN_A_HURRY).await,
    };
    if left > 0 {
        tracing::error!(left, "audit events are lost: nobody took them in time");
    }
}

/// Serves operators on the listener `name` for as long as anybody is served.
async fn aside<M: ModuleService + Clone>(
    name: &'static str,
    server: Option<Server<M>>,
) -> Infallible {
    if let Some(server) = server
        && let Err(error) = server.serve(pending()).await
    {
        tracing::error!(%error, "the {name} listener failed");
    }
    pending().await
}
