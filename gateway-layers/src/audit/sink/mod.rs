//! [`AuditSink`]: who takes events.

mod file;
mod http;
mod log;

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use self::file::FileSink;
pub use self::http::{HttpSink, HttpSinkBuilder, HttpSinkError};
pub use self::log::{LogSink, TARGET};
use super::event::AuditEvent;

/// Takes events, one batch after the other, on a task of its own.
///
/// ```
/// use std::sync::Arc;
///
/// use gateway_layers::audit::{AuditEvent, AuditSink, Undelivered};
///
/// struct Topic(/* the client of a message queue */);
///
/// impl AuditSink for Topic {
///     fn name(&self) -> String {
///         "topic audit".to_owned()
///     }
///
///     async fn deliver(&self, events: &[Arc<AuditEvent>]) -> Result<(), Undelivered> {
///         for event in events {
///             // self.0.publish(event.json()).await.map_err(...)?
///             let _ = event.json();
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait AuditSink: Send + Sync + 'static {
    /// What it is called in the log and where status is shown; no secrets.
    fn name(&self) -> String;

    /// Takes `events`, all of them or none. A batch that failed may come again, and some of it may
    /// have arrived then: the [id](AuditEvent::id) tells. The future is dropped where it takes longer
    /// than the [timeout](SinkConfig::timeout) of the sink.
    fn deliver(
        &self,
        events: &[Arc<AuditEvent>],
    ) -> impl Future<Output = Result<(), Undelivered>> + Send;

    /// How much waits for it, and how it is delivered, unless somebody says otherwise. Default:
    /// [`SinkConfig::default`].
    fn settings(&self) -> SinkConfig {
        SinkConfig::default()
    }
}

/// How much waits for a sink, and how it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkConfig {
    /// Events that may wait; what comes then is dropped. Default: 10,000.
    pub queue: usize,
    /// Bytes in memory that they may have. Default: 16 MiB.
    pub queue_bytes: usize,
    /// Events that go together, at most. Default: 100.
    pub batch: usize,
    /// Bytes of JSON that go together, at most, though never less than one event. Default: 256 KiB.
    pub batch_bytes: usize,
    /// How long an event waits for others to go with. Default: 1 s.
    pub interval: Duration,
    /// How long one delivery may take. Default: 5 s.
    pub timeout: Duration,
    /// How often a delivery that failed is tried again, before its events count as failed.
    /// Default: 10, which with the waits between them is about two minutes.
    pub retries: u32,
    /// The wait before the first retry, which doubles with every further one, and of which up to a
    /// half is left out at random. Default: 200 ms.
    pub backoff: Duration,
    /// The longest wait before a retry. Default: 30 s.
    pub max_backoff: Duration,
}

impl Default for SinkConfig {
    fn default() -> Self {
        Self {
            queue: 10_000,
            queue_bytes: 16 * 1024 * 1024,
            batch: 100,
            batch_bytes: 256 * 1024,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            retries: 10,
            backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(30),
        }
    }
}

/// Longer times than this are a slip of the finger.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// More events than this are too many to wait.
const MAX_EVENTS: usize = 10_000_000;

impl SinkConfig {
    /// For sinks on this machine: what comes goes at once, in larger batches.
    pub(super) fn at_once() -> Self {
        Self { interval: Duration::ZERO, batch: 1_000, ..Self::default() }
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        let events = 1..=MAX_EVENTS;
        if !events.contains(&self.queue) || !events.contains(&self.batch) {
            return Err("queue and batch are from 1 to 10,000,000 events");
        }
        if self.queue_bytes == 0 || self.batch_bytes == 0 {
            return Err("the bytes of a queue and of a batch are more than nothing");
        }
        if self.timeout.is_zero() || self.backoff.is_zero() {
            return Err("timeout and backoff are more than nothing");
        }
        let times = [self.interval, self.timeout, self.backoff, self.max_backoff];
        if times.into_iter().any(|time| time > MAX_TIME) {
            return Err("no time is more than a day");
        }
        Ok(())
    }
}

/// Why a sink did not take a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct Undelivered {
    cause: Cow<'static, str>,
    again: bool,
    after: Option<Duration>,
}

impl Undelivered {
    /// It may be taken if it is tried again. `cause` is for people, and has no secrets.
    pub fn again(cause: impl Into<Cow<'static, str>>) -> Self {
        Self { cause: cause.into(), again: true, after: None }
    }

    /// It will not be taken, however often it is tried.
    pub fn never(cause: impl Into<Cow<'static, str>>) -> Self {
        Self { cause: cause.into(), again: false, after: None }
    }

    /// Not before so long; never longer than [`SinkConfig::max_backoff`].
    #[must_use]
    pub fn not_before(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    /// Why, for people.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    pub(super) fn is_worth_another_try(&self) -> bool {
        self.again
    }

    pub(super) fn after(&self) -> Option<Duration> {
        self.after
    }
}

/// A sink of any type.
pub(super) trait Erased: Send + Sync {
    fn name(&self) -> String;

    fn deliver<'a>(&'a self, events: &'a [Arc<AuditEvent>]) -> Delivery<'a>;
}

type Delivery<'a> = Pin<Box<dyn Future<Output = Result<(), Undelivered>> + Send + 'a>>;

impl<S: AuditSink> Erased for S {
    fn name(&self) -> String {
        AuditSink::name(self)
    }

    fn deliver<'a>(&'a self, events: &'a [Arc<AuditEvent>]) -> Delivery<'a> {
        Box::pin(AuditSink::deliver(self, events))
    }
}
