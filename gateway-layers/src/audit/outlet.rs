//! [`Outlet`]: a queue, its sink, and the task between them.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::event::AuditEvent;
use super::queue::Queue;
use super::sink::{Erased, SinkConfig, Undelivered};
use super::stamp::Stamp;
use super::status::SinkStatus;

/// The log tells of trouble with a sink at most so often.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A queue and its sink.
pub(super) struct Outlet {
    name: String,
    sink: Box<dyn Erased>,
    settings: SinkConfig,
    pub(super) queue: Queue,
    failure: Mutex<Option<String>>,
    warned: Mutex<Option<Instant>>,
    closing: watch::Sender<bool>,
    done: watch::Sender<bool>,
}

impl Outlet {
    pub(super) fn new(sink: Box<dyn Erased>, settings: SinkConfig) -> Self {
        Self {
            name: sink.name(),
            sink,
            queue: Queue::new(settings.queue, settings.queue_bytes, settings.batch),
            settings,
            failure: Mutex::default(),
            warned: Mutex::default(),
            closing: watch::Sender::new(false),
            done: watch::Sender::new(false),
        }
    }

    pub(super) fn status(&self) -> SinkStatus {
        let (queued, queued_bytes) = self.queue.len();
        let counts = self.queue.counts();
        SinkStatus {
            name: self.name.clone(),
            queued,
            queued_bytes,
            taken: counts.taken,
            dropped: counts.dropped,
            sent: counts.sent,
            failed: counts.failed,
            failure: self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Takes nothing any more, and hurries with what is there.
    pub(super) fn close(&self) {
        self.queue.close();
        self.closing.send_replace(true);
    }

    /// Waits until a closed outlet is empty.
    pub(super) async fn done(&self) {
        // It fails only without a sender, which is here.
        let _ = self.done.subscribe().wait_for(|done| *done).await;
    }

    /// Gives up what is left.
    pub(super) fn give_up(&self) -> usize {
        let left = self.queue.fail_all();
        self.warn(true);
        left
    }

    /// Delivers until the outlet is closed and empty.
    pub(super) async fn run(&self, stamp: &Stamp) {
        while self.some().await {
            // A few that come together go together.
            let _ = timeout(self.settings.interval, self.queue.batch()).await;
            let batch = self.next();
            if self.deliver(&batch).await {
                self.queue.sent(batch.len());
                self.queue.tell(|lost| AuditEvent::lost(stamp, lost));
            } else {
                self.queue.failed(batch.len());
            }
            self.warn(false);
        }
        self.warn(true);
        self.done.send_replace(true);
    }

    /// Waits for an event, and tells meanwhile what the log has not been told.
    async fn some(&self) -> bool {
        loop {
            if self.queue.unwarned() == 0 {
                return self.queue.some().await;
            }
            match timeout(WARN_EVERY, self.queue.some()).await {
                Ok(some) => return some,
                Err(_) => self.warn(false),
            }
        }
    }

    /// The events that go next: as many as a batch may have, and at least one.
    fn next(&self) -> Vec<Arc<AuditEvent>> {
        let mut batch = self.queue.first(self.settings.batch);
        let mut bytes = 0;
        let fits = batch.iter().take_while(|event| {
            bytes += event.json().len() + 1;
            bytes <= self.settings.batch_bytes
        });
        let fits = fits.count().max(1);
        batch.truncate(fits);
        batch
    }

    /// Delivers `batch`, again and again; false: it could not be done.
    async fn deliver(&self, batch: &[Arc<AuditEvent>]) -> bool {
        let mut tries = 0;
        loop {
            let late = |_| Err(Undelivered::again("takes longer than it may"));
            let delivery = unharmed(async { self.sink.deliver(batch).await });
            let outcome = timeout(self.settings.timeout, delivery).await;
            let outcome = outcome.unwrap_or_else(late);
            let cause = outcome.as_ref().err().map(|failure| failure.cause().to_owned());
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = cause;
            let Err(failure) = outcome else { return true };
            tries += 1;
            if !failure.is_worth_another_try() || tries > self.settings.retries {
                return false;
            }
            self.warn(false);
            self.wait(tries, failure.after()).await;
        }
    }

    /// Waits before another try. Who is told to end hurries once.
    async fn wait(&self, failures: u32, asked: Option<Duration>) {
        let wait = asked.unwrap_or_default().max(self.backoff(failures, share()));
        let wait = sleep(wait.min(self.settings.max_backoff));
        let mut closing = self.closing.subscribe();
        if *closing.borrow_and_update() {
            wait.await;
        } else {
            tokio::select! {
                () = wait => {}
                _ = closing.changed() => {}
            }
        }
    }

    /// Twice as long with every failure up to the longest, of which a share is drawn.
    fn backoff(&self, failures: u32, share: f64) -> Duration {
        // More doublings than this pass any limit there is.
        let doublings = failures.saturating_sub(1).min(31);
        let limit = self.settings.backoff.saturating_mul(1 << doublings);
        limit.min(self.settings.max_backoff).mul_f64(0.5 + share / 2.0)
    }

    /// Tells what was lost and what fails, though not often; `last`: whatever was told before.
    fn warn(&self, last: bool) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lost = self.queue.unwarned();
        let due = warned.is_none_or(|warned| warned.elapsed() >= WARN_EVERY);
        let worth = lost > 0 || (failure.is_some() && !last);
        if !worth || !(due || last) {
            return;
        }
        *warned = Some(Instant::now());
        drop(warned);
        let (lost, sink) = (self.queue.take_unwarned(), &*self.name);
        let failure = failure.unwrap_or_default();
        if lost > 0 {
            tracing::warn!(sink, lost, failure, "audit events were lost");
        } else {
            tracing::warn!(sink, failure, "audit events cannot be delivered; trying again");
        }
    }
}

/// Polls `delivery`; whoever brings their own sink may panic in it, and the task goes on.
async fn unharmed(
    delivery: impl Future<Output = Result<(), Undelivered>>,
) -> Result<(), Undelivered> {
    let mut delivery = pin!(delivery);
    poll_fn(move |cx| {
        let poll = AssertUnwindSafe(|| delivery.as_mut().poll(cx));
        let panicked = |_| Poll::Ready(Err(Undelivered::again("the sink panicked")));
        catch_unwind(poll).unwrap_or_else(panicked)
    })
    .await
}

/// A random number from 0 to 1. It spreads waits, and guards nothing.
fn share() -> f64 {
    f64::from(RandomState::new().hash_one(0_u8) as u32) / f64::from(u32::MAX)
}
