//! [`AccessLog`]: one line for each finished request, and a shorter one for what was refused before
//! it was one.
//!
//! The line is written when the answer's body has ended, so it says how it ended. The query is
//! never in it, because it may carry secrets, and text from outside is escaped, so that no client
//! writes lines of its own.
//!
//! | field | is |
//! | --- | --- |
//! | `method`, `path` | what was asked for; the path as routes saw it |
//! | `status` | the answer's status |
//! | `reason`, `detail`, `cause` | why the gateway answered itself; absent for an answer of others |
//! | `route` | the id of the route that took the request |
//! | `variant` | the entry of a split that took it; absent where there was no split |
//! | `cluster`, `endpoint`, `attempts` | where it was tried last, and how often in all |
//! | `fallback`, `fallback_for`, `fallback_failure` | who answered in the place of a failure, which one (a reason or status), and why not, if it failed too |
//! | `client` | the client's address, as trusted proxies tell it |
//! | `duration_ms`, `head_ms` | until the answer's end, until its head |
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

use std::error::Error as _;
use std::fmt::{self, Write};
use std::time::Duration;

use gateway_core::context::Fallback;
use gateway_core::{End, Observer, RequestFinished, RequestRefused};
use tracing::Level;
use tracing::field::{DisplayValue, display};

/// The target of the lines, for filters of log output.
pub const TARGET: &str = "gateway::access";

/// Of a text from outside, at most this many characters are logged.
const MAX_TEXT: usize = 1024;

/// Writes one line at level info, target [`TARGET`], for each finished request; see the
/// [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessLog;

impl AccessLog {
    /// The log.
    pub fn new() -> Self {
        Self
    }
}

impl Observer for AccessLog {
    fn request_finished(&self, event: &RequestFinished<'_>) {
        if tracing::enabled!(target: TARGET, Level::INFO) {
            write(event);
        }
    }

    fn request_refused(&self, event: &RequestRefused<'_>) {
        tracing::info!(
            target: TARGET,
            status = event.error.reason().status().as_u16(),
            reason = event.error.reason().code(),
            detail = Some(event.error.detail()).filter(|text| !text.is_empty()).map(escaped),
            client = event.connection.peer_ip().map(display),
            "refused"
        );
    }
}

fn write(event: &RequestFinished<'_>) {
    let context = event.context;
    let record = context.record();
    let attempt = record.last_attempt();
    let fallback = record.fallback();
    let fallback = fallback.as_deref();
    let error = event.error;
    let detail = error.map(gateway_core::Error::detail);
    let cause = error.and_then(|error| error.source());
    tracing::info!(
        target: TARGET,
        method = escaped(event.method),
        path = escaped(event.path),
        status = event.status.as_u16(),
        reason = event.reason.map(gateway_core::Reason::code).map(escaped),
        detail = detail.filter(|text| !text.is_empty()).map(escaped),
        cause = cause.map(escaped),
        route = context.route().map(|route| escaped(&*route.id)),
        variant = record.variant().map(escaped),
        cluster = attempt.as_ref().map(|attempt| escaped(&*attempt.cluster)),
        endpoint = attempt.as_ref().map(|attempt| escaped(&*attempt.endpoint)),
        attempts = record.attempts(),
        fallback = fallback.map(|fallback| escaped(&*fallback.name)),
        fallback_for = fallback.map(|fallback| escaped(failed(fallback))),
        fallback_failure = fallback.and_then(|fallback| fallback.failure.as_ref()).map(escaped),
        client = %context.client_ip(),
        duration_ms = milliseconds(event.duration),
        head_ms = milliseconds(event.head_after),
        bytes = event.bytes,
        end = %end(event.end),
        generation = context.generation(),
        "request"
    );
}

/// The status or the code of the reason.
fn failed(fallback: &Fallback) -> &str {
    match &fallback.failed {
        Ok(status) => status.as_str(),
        Err(reason) => reason.code(),
    }
}

fn escaped<T: fmt::Display>(text: T) -> DisplayValue<Escaped<T>> {
    display(Escaped(text))
}

/// With three places: short answers take less than one.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

fn end(end: End) -> &'static str {
    match end {
        End::Complete => "complete",
        End::Broken(_) => "broken",
        End::Dropped => "dropped",
    }
}

/// A text that cannot leave its place in a line: control characters, quotes, backslashes and
/// what reorders text are escaped, and what is too long is cut.
struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaping = Escaping { out: f, left: MAX_TEXT };
        write!(escaping, "{}", self.0)
    }
}

/// Escapes what is written through it.
struct Escaping<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    left: usize,
}

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            if self.left == 0 {
                return self.out.write_str("...");
            }
            match character {
                '"' | '\\' => {
                    self.out.write_char('\\')?;
                    self.out.write_char(character)?;
                }
                plain @ ' '..='~' => self.out.write_char(plain)?,
                plain if plain.is_alphanumeric() => self.out.write_char(plain)?,
                other => write!(self.out, "\\u{{{:x}}}", u32::from(other))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
