//! [`Streams`]: the streams of one connection, watched by the connection's own task.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use hyper::rt::Executor;
use tokio::task::{AbortHandle, Id};
use tokio::time::Instant;

use crate::task;

/// The streams are looked at no more and no less often than this.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// A body that is polled knows its deadline and ends by itself, in the way of its protocol. One that
/// does not is ended this much later.
const ENDS_BY_ITSELF: Duration = Duration::from_millis(100);

/// Of tasks that are no stream's (tunnels), this many may have ended before they are forgotten.
const ENDED_TASKS: usize = 8;

/// `due` when there is nothing to look at.
const NEVER: u64 = u64::MAX;

/// The streams of one connection.
///
/// hyper runs each stream as a task of its own, which does not poll a response's body while the
/// client has no room for it. So no limit inside of a body ends such a stream; the connection's
/// task does, which looks at all streams from time to time, with one timer.
pub(super) struct Streams {
    began: Instant,
    /// A client may take nothing of a response for this long.
    idle: Duration,
    open: AtomicUsize,
    /// The connection's task.
    waker: AtomicWaker,
    /// When to look at the streams, in milliseconds since `began`.
    due: AtomicU64,
    /// Bytes of bodies that the transport has taken.
    written: AtomicU64,
    /// The transport writes although the socket is not known to have room.
    insists: AtomicBool,
    tasks: Mutex<Vec<Running>>,
}

/// A task of the connection.
struct Running {
    task: AbortHandle,
    /// The stream, for a task that runs one.
    stream: Weak<Stream>,
    /// What the client had taken when it was looked at last.
    seen: u64,
    /// Since when it has taken nothing, although there is something for it.
    stalled_since: Option<Instant>,
}

/// The result of a look at all streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Streams that were late have been ended.
    Done,
    /// The client takes nothing of what can no longer be taken back from it.
    Stuck,
}

impl Streams {
    pub(super) fn new(idle: Duration) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            idle,
            open: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
            due: AtomicU64::new(NEVER),
            written: AtomicU64::new(0),
            insists: AtomicBool::new(false),
            tasks: Mutex::default(),
        })
    }

    /// How many streams are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Wakes the task of `cx` when there is something to look at.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    /// A stream whose request has come at `now`.
    pub(super) fn enter(self: &Arc<Self>, now: Instant) -> Arc<Stream> {
        self.open.fetch_add(1, Ordering::AcqRel);
        // The connection's task is what calls this, and looks at `due` afterwards.
        self.due.fetch_min(self.milliseconds(now + self.interval()), Ordering::AcqRel);
        Arc::new(Stream {
            streams: Arc::clone(self),
            task: OnceLock::new(),
            deadline: OnceLock::new(),
            handed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            flushed: AtomicWaker::new(),
            detached: AtomicBool::new(false),
            out_of_time: AtomicBool::new(false),
        })
    }

    /// When to look at the streams; `None` when there are none.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.due.load(Ordering::Acquire) {
            NEVER => None,
            due => Some(self.began + Duration::from_millis(due)),
        }
    }

    /// Whether the transport is to write although the socket is not known to have room.
    pub(super) fn insist(&self, insists: bool) {
        self.insists.store(insists, Ordering::Relaxed);
    }

    pub(super) fn insists(&self) -> bool {
        self.insists.load(Ordering::Relaxed)
    }

    /// Ends the streams that are out of time, and those of which the client has taken nothing for
    /// too long.
    pub(super) fn look(&self, now: Instant, last_look: &mut LastLook) -> Look {
        // First, so that a deadline that is set meanwhile is kept.
        self.due.store(NEVER, Ordering::Release);
        let mut next = now + self.interval();
        let mut detached_stall = false;
        // The last handle of a stream must not be dropped under the lock.
        let mut streams = Vec::new();
        let mut tasks = self.lock();
        for running in tasks.iter_mut() {
            let Some(stream) = running.stream.upgrade() else {
                continue;
            };
            let stalled_since = running.look(&stream, now);
            let stalled = stalled_since.is_some_and(|since| now >= since + self.idle);
            let grace = if stalled_since.is_some() { Duration::ZERO } else { ENDS_BY_ITSELF };
            let deadline = stream.deadline.get().map(|&deadline| deadline + grace);
            if let Some(deadline) = deadline.filter(|&deadline| deadline > now) {
                next = next.min(deadline);
            }
            if stream.detached.load(Ordering::Acquire) {
                detached_stall |= stalled;
            } else if stalled || deadline.is_some_and(|deadline| now >= deadline) {
                stream.out_of_time.store(stalled_since.is_none(), Ordering::Release);
                running.task.abort();
            }
            streams.push(stream);
        }
        drop(tasks);
        if !streams.is_empty() {
            self.due.fetch_min(self.milliseconds(next), Ordering::AcqRel);
        }
        let moved = last_look.moved(self.written.load(Ordering::Acquire), now);
        if detached_stall && now >= moved + self.idle { Look::Stuck } else { Look::Done }
    }

    fn interval(&self) -> Duration {
        (self.idle / 4).clamp(SHORTEST_LOOK, LONGEST_LOOK)
    }

    /// `moment` since the connection began, rounded up.
    fn milliseconds(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.began).as_millis() + 1;
        u64::try_from(since).unwrap_or(NEVER)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Since when the client has taken nothing of `stream` although there is something for it.
    fn look(&mut self, stream: &Stream, now: Instant) -> Option<Instant> {
        let written = stream.written.load(Ordering::Acquire);
        if written != self.seen || stream.waiting() == 0 {
            self.stalled_since = None;
        }
        self.seen = written;
        if stream.waiting() > 0 {
            self.stalled_since.get_or_insert(now);
        }
        self.stalled_since
    }
}

/// What a connection had written when it was looked at last, and since when that has not changed.
pub(super) struct LastLook {
    written: u64,
    moved: Instant,
}

impl LastLook {
    pub(super) fn new() -> Self {
        Self { written: 0, moved: Instant::now() }
    }

    fn moved(&mut self, written: u64, now: Instant) -> Instant {
        if self.written != written {
            *self = Self { written, moved: now };
        }
        self.moved
    }
}

/// Runs what hyper runs for a connection, and keeps hold of it.
#[derive(Clone)]
pub(super) struct StreamSpawner(pub(super) Arc<Streams>);

impl<F> Executor<F> for StreamSpawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        // Under the lock, so that the task finds itself however soon it runs.
        let mut tasks = self.0.lock();
        let task = task::spawn_detached(future);
        if tasks.len() > 2 * self.0.open() + ENDED_TASKS {
            tasks.retain(|running| !running.task.is_finished());
        }
        tasks.push(Running { task, stream: Weak::new(), seen: 0, stalled_since: None });
    }
}

/// One stream, from its request to the last byte of its response that the transport took, or to
/// the end of the tunnel that it became.
pub(super) struct Stream {
    streams: Arc<Streams>,
    task: OnceLock<Id>,
    deadline: OnceLock<Instant>,
    /// Bytes of the body that hyper was given.
    handed: AtomicU64,
    /// Bytes of the body that the transport has taken.
    written: AtomicU64,
    /// Who waits for all that was given to be taken.
    flushed: AtomicWaker,
    /// The task that could reset the stream has ended; what is left of the body is in h2's hands.
    detached: AtomicBool,
    /// It was ended at its deadline, which was not the client's failure.
    out_of_time: AtomicBool,
}

impl Stream {
    /// Takes note that the current task runs this stream.
    pub(super) fn starts(self: &Arc<Self>) {
        let Some(id) = tokio::task::try_id() else {
            return;
        };
        let mut tasks = self.streams.lock();
        if let Some(running) = tasks.iter_mut().find(|running| running.task.id() == id) {
            running.stream = Arc::downgrade(self);
            let _ = self.task.set(id);
        }
    }

    /// The response must be over at `deadline`.
    pub(super) fn ends_by(&self, deadline: Instant) {
        if self.deadline.set(deadline).is_err() {
            return;
        }
        let due = self.streams.milliseconds(deadline);
        if due < self.streams.due.fetch_min(due, Ordering::AcqRel) {
            self.streams.waker.wake();
        }
    }

    /// Takes note that hyper was given `size` more bytes.
    pub(super) fn hands(&self, size: usize) {
        self.handed.fetch_add(size as u64, Ordering::AcqRel);
    }

    /// Takes note that `size` more bytes are gone: the transport has them.
    pub(super) fn writes(&self, size: usize) {
        self.streams.written.fetch_add(size as u64, Ordering::AcqRel);
        self.written.fetch_add(size as u64, Ordering::AcqRel);
        if self.waiting() == 0 {
            self.flushed.wake();
        }
    }

    /// How many bytes wait for the client to take them.
    pub(super) fn waiting(&self) -> u64 {
        let written = self.written.load(Ordering::Acquire);
        self.handed.load(Ordering::Acquire).saturating_sub(written)
    }

    /// Ready once the transport has taken everything.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.flushed.register(cx.waker());
        if self.waiting() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes note that the task of the stream ends.
    pub(super) fn detaches(&self) {
        self.detached.store(true, Ordering::Release);
    }

    /// True when it was ended at its deadline although the client took all there was.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.out_of_time.load(Ordering::Acquire)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(id) = self.task.get() {
            let mut tasks = self.streams.lock();
            if let Some(place) = tasks.iter().position(|running| running.task.id() == *id) {
                tasks.swap_remove(place);
            }
        }
        if self.streams.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.streams.waker.wake();
        }
    }
}
