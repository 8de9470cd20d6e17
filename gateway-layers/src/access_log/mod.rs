//! [`AccessLog`]: one line for each finished request, and a shorter one for what was rejected before
//! it was one.
//!
//! The line is written when the answer's body has ended, so it says how it ended. The query is
//! never in it, because it may carry secrets, and text from outside is escaped, so that no client
//! writes lines of its own.
//!
//! | field | is |
//! | --- | --- |
//! | `method`, `path` | what was asked for; the path as routes saw it |
//! | `status` | the answer's status; 499 when the client left before there was one |
//! | `grpc_status` | the status of a gRPC call as a number; absent for other requests |
//! | `reason`, `detail`, `cause` | why the gateway answered itself; absent for an answer of others |
//! | `route` | the id of the route that took the request |
//! | `variant` | the entry of a split that took it; absent where there was no split |
//! | `cluster`, `endpoint`, `attempts` | where it was tried last, and how often in all |
//! | `fallback`, `fallback_for`, `fallback_failure` | who answered in the place of a failure, which one (a reason or status), and why not, if it failed too |
//! | `client` | the client's address, as trusted proxies tell it |
//! | `duration_ms`, `head_ms` | until the answer's end, until its head; no `head_ms` without a head |
//! | `bytes` | of the answer's body that the client's connection took |
//! | `end` | `complete`, `broken` or `dropped` |
//! | `generation` | of the snapshot that decided |
//!
//! ```
//! use gateway_core::Gateway;
//! use gateway_layers::access_log::AccessLog;
//!
//! let gateway = Gateway::builder().observer(AccessLog::new()).build();
//! ```
//!
//! Events of `tracing` are handed from one subscriber to the next, field by field, and that costs
//! more than all else about a small request. [`AccessLog::lines`] makes the line itself, for
//! programs that write it to one place:
//!
//! ```
//! use gateway_core::Gateway;
//! use gateway_layers::access_log::AccessLog;
//!
//! let (lines, written) = std::sync::mpsc::sync_channel(1024);
//! let log = AccessLog::lines(move |line| drop(lines.try_send(line.to_owned())));
//! let gateway = Gateway::builder().observer(log).build();
//! // Somebody writes what comes out of `written`.
//! ```

mod escape;
mod event;
mod line;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use gateway_core::context::{Attempt, Fallback};
use gateway_core::{End, Error, Observer, RequestFinished, RequestRejected};
use tracing::Level;

/// The target of the lines, for filters of log output.
pub const TARGET: &str = "gateway::access";

/// A line that was longer does not keep its room.
const ROOM_KEPT: usize = 8 * 1024;

/// Writes one line for each finished request; see the [module](self). Cheap to clone.
#[derive(Clone, Default)]
pub struct AccessLog {
    /// `None`: events of `tracing`.
    lines: Option<Arc<WriteLine>>,
}

type WriteLine = dyn Fn(&str) + Send + Sync;

impl AccessLog {
    /// As events of `tracing`, at level info with the target [`TARGET`].
    pub fn new() -> Self {
        Self::default()
    }

    /// As lines of text, each with its newline, which `write` gets whatever filters there are: the
    /// time (RFC 3339, in UTC), the level, [`TARGET`], and the fields.
    ///
    /// `write` is called where the answer ended, on the path of other requests: it must not block.
    pub fn lines(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { lines: Some(Arc::new(write)) }
    }
}

thread_local! {
    /// The room of the last line.
    static ROOM: Cell<String> = const { Cell::new(String::new()) };
}

/// Makes a line in the room of the last one.
fn with_room(make: impl FnOnce(&mut String)) {
    let mut room = ROOM.take();
    room.clear();
    make(&mut room);
    if room.capacity() <= ROOM_KEPT {
        ROOM.set(room);
    }
}

impl Observer for AccessLog {
    fn request_finished(&self, event: &RequestFinished<'_>) {
        match &self.lines {
            Some(write) => with_room(|line| {
                line::finished(line, &Finished::from(event));
                write(line);
            }),
            None if tracing::enabled!(target: TARGET, Level::INFO) => {
                event::finished(&Finished::from(event));
            }
            None => {}
        }
    }

    fn request_rejected(&self, event: &RequestRejected<'_>) {
        match &self.lines {
            Some(write) => with_room(|line| {
                line::rejected(line, event);
                write(line);
            }),
            None => event::rejected(event),
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("lines", &self.lines.is_some()).finish()
    }
}

/// What is known of a request that is over, taken out of its record.
struct Finished<'a> {
    event: &'a RequestFinished<'a>,
    attempt: Option<Attempt>,
    variant: Option<Arc<str>>,
    fallback: Option<Arc<Fallback>>,
}

impl<'a> From<&'a RequestFinished<'a>> for Finished<'a> {
    fn from(event: &'a RequestFinished<'a>) -> Self {
        let record = event.context.record();
        Self {
            event,
            attempt: record.last_attempt(),
            variant: record.variant(),
            fallback: record.fallback(),
        }
    }
}

impl Finished<'_> {
    fn detail(&self) -> Option<&str> {
        self.event.error.and_then(detail)
    }

    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.event.error.and_then(|error| error.source())
    }

    fn end(&self) -> &'static str {
        match self.event.end {
            End::Complete => "complete",
            End::Broken(_) => "broken",
            End::Dropped => "dropped",
        }
    }
}

fn detail(error: &Error) -> Option<&str> {
    Some(error.detail()).filter(|text| !text.is_empty())
}

/// The status or the code of the reason.
fn failed(fallback: &Fallback) -> &str {
    match &fallback.failed {
        Ok(status) => status.as_str(),
        Err(reason) => reason.code(),
    }
}
