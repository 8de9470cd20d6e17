//! The connection to Redis, and whether it is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisError, cmd};
use gateway_core::{BoxError, Observer, Observers, StateChanged, Tasks};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// A connection is made within this time, in the background.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// So often is tried to reach a server that is away.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// After so many failures in a row the server is away: one late answer is no outage.
const FAILURES: u32 = 3;

/// So many commands may wait to be written; more wait for a place, within their deadline.
const PIPELINE: usize = 1024;

/// One connection that all requests share. A task in the background makes it, and makes it again
/// when it is lost; requests only ever wait for their deadline, and not at all once it is known
/// that the server is away.
pub(super) struct Link {
    client: Client,
    deadline: Duration,
    /// A key that may be written to find out whether it can.
    probe: String,
    phase: watch::Sender<Phase>,
    failures: AtomicU32,
    reaching: AtomicBool,
    observers: Observers,
    tasks: Tasks,
}

#[derive(Clone)]
enum Phase {
    /// Nobody has asked, or nobody has been there yet.
    Connecting,
    Up(MultiplexedConnection),
    Away,
}

impl Phase {
    const fn name(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up(_) => "good",
            Self::Away => "away",
        }
    }
}

impl Link {
    pub(super) fn new(
        client: Client,
        deadline: Duration,
        probe: String,
        observers: Observers,
    ) -> Arc<Self> {
        Arc::new(Self {
            client,
            deadline,
            probe,
            phase: watch::Sender::new(Phase::Connecting),
            failures: AtomicU32::new(0),
            reaching: AtomicBool::new(false),
            observers,
            tasks: Tasks::new(),
        })
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Away)
    }

    /// True when it makes sense to ask; else somebody sees to it in the background.
    pub(super) fn is_askable(self: &Arc<Self>) -> bool {
        let (askable, up) = match *self.phase.borrow() {
            Phase::Up(_) => (true, true),
            Phase::Connecting => (true, false),
            Phase::Away => (false, false),
        };
        if !up {
            self.reach();
        }
        askable
    }

    /// The connection, when it is there.
    pub(super) async fn connection(&self) -> Option<MultiplexedConnection> {
        let mut phase = self.phase.subscribe();
        let phase = phase.wait_for(|phase| !matches!(phase, Phase::Connecting)).await.ok()?;
        if let Phase::Up(connection) = &*phase { Some(connection.clone()) } else { None }
    }

    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(self: &Arc<Self>, error: &RedisError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if error.is_unrecoverable_error() || failures >= FAILURES {
            self.lose(error.category());
        }
    }

    pub(super) fn timed_out(self: &Arc<Self>) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let connecting = matches!(*self.phase.borrow(), Phase::Connecting);
        if connecting || failures >= FAILURES {
            self.lose("no answer in time");
        }
    }

    fn lose(self: &Arc<Self>, cause: &str) {
        self.go(Phase::Away, cause);
        self.reach();
    }

    fn go(&self, phase: Phase, cause: &str) {
        let to = phase.name();
        let from = self.phase.send_replace(phase).name();
        self.failures.store(0, Ordering::Relaxed);
        if from == to {
            return;
        }
        match to {
            "away" => tracing::warn!(cause, "the store of rate limits is away"),
            _ => tracing::info!("the store of rate limits is there"),
        }
        if !self.observers.is_empty() {
            let event = StateChanged::new("rate_limit_store", "redis", from, to, cause);
            self.observers.state_changed(&event);
        }
    }

    /// Sees to it that somebody tries to reach the server.
    fn reach(self: &Arc<Self>) {
        // Somebody may look at limits from outside of a runtime.
        if Handle::try_current().is_err() || self.reaching.swap(true, Ordering::AcqRel) {
            return;
        }
        // The task must not keep its owner alive.
        let reaching = Reaching(Arc::downgrade(self));
        self.tasks.spawn("rate_limit_redis", reaching.run());
    }

    async fn try_once(&self) -> Result<MultiplexedConnection, BoxError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(self.deadline))
            .set_pipeline_buffer_size(PIPELINE);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = timeout(2 * CONNECT_WITHIN, connecting).await??;
        let mut write = cmd("SET");
        write.arg(&self.probe).arg(1).arg("PX").arg(1000);
        timeout(self.deadline, write.query_async::<()>(&mut connection)).await??;
        Ok(connection)
    }
}

/// A task that tries to reach the server; when it ends, however, another one can begin.
struct Reaching(std::sync::Weak<Link>);

impl Reaching {
    async fn run(self) {
        while let Some(link) = self.0.upgrade() {
            match link.try_once().await {
                Ok(connection) => return link.go(Phase::Up(connection), "it answers"),
                Err(error) => link.go(Phase::Away, &error.to_string()),
            }
            drop(link);
            sleep(TRY_EVERY).await;
        }
    }
}

impl Drop for Reaching {
    fn drop(&mut self) {
        if let Some(link) = self.0.upgrade() {
            link.reaching.store(false, Ordering::Release);
        }
    }
}
