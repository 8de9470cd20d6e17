//! The log: lines on standard error, one event each.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use gateway::Assembly;
use gateway_layers::access_log::{self, AccessLog};
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Starts the log with `filter`, or `default` where nobody said.
///
/// # Errors
///
/// When the filter is none.
pub(crate) fn start(filter: Option<&str>, default: &str) -> Result<(), String> {
    let text = filter.filter(|text| !text.is_empty()).unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        format!(
            "--log: found \"{}\", expected a filter such as `info`: {error}",
            text.escape_debug()
        )
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| Escaping)
        .finish();
    tracing::subscriber::set_global_default(log).map_err(|error| error.to_string())?;
    write_pending_in_time()
}

/// With the access log, in the lines of all else, if the filter of the log wants it.
pub(crate) fn observed(assembly: Assembly) -> Assembly {
    if !tracing::enabled!(target: access_log::TARGET, Level::INFO) {
        return assembly;
    }
    // Where nobody takes the log there is nobody to tell.
    let write = |line: &str| drop(add(line.as_bytes(), MOST_PENDING));
    assembly.observer(AccessLog::lines(write))
}

/// Lines of the access log that have not been written yet. There are many, and a system call for
/// each would cost more than making it.
static PENDING: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// So many bytes are not kept back.
const MOST_PENDING: usize = 32 * 1024;

/// Nor is anything for longer than this.
const WRITTEN_AFTER: Duration = Duration::from_millis(50);

/// Writes what is pending in time. It sleeps while nothing is.
static WRITER: OnceLock<Thread> = OnceLock::new();

/// Writes what is pending from now on, on a thread of its own.
fn write_pending_in_time() -> Result<(), String> {
    let run = || loop {
        thread::park();
        thread::park_timeout(WRITTEN_AFTER);
        write_pending();
    };
    let spawned = thread::Builder::new().name("log".to_owned()).spawn(run);
    let spawned = spawned.map_err(|error| format!("no thread for the log: {error}"))?;
    WRITER.get_or_init(|| spawned.thread().clone());
    Ok(())
}

/// Writes what is pending now: before the program ends.
pub(crate) fn write_pending() {
    let mut pending = pending();
    if !pending.is_empty() {
        // Where nobody takes the log there is nobody to tell.
        let _ = io::stderr().lock().write_all(&pending);
        pending.clear();
    }
}

fn pending() -> MutexGuard<'static, Vec<u8>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a line, and writes all of them if they are this many bytes now.
fn add(line: &[u8], written_from: usize) -> io::Result<()> {
    let mut pending = pending();
    let first = pending.is_empty();
    pending.extend_from_slice(line);
    if pending.len() < written_from {
        if let Some(writer) = WRITER.get().filter(|_| first) {
            writer.unpark();
        }
        return Ok(());
    }
    let written = io::stderr().lock().write_all(&pending);
    pending.clear();
    written
}

/// Writes events to standard error so that what clients and upstreams say can neither end a line
/// nor steer a terminal. They are written at once, behind the lines of the access log, which wait
/// for each other for a moment.
struct Escaping;

impl Write for Escaping {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // One call is one event: the formatter writes it whole, with its newline.
        add(&escape(event), 0)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn escape(event: &[u8]) -> Cow<'_, [u8]> {
    if let Some((b'\n', text)) = event.split_last()
        && text.iter().all(|byte| matches!(byte, b' '..=b'~'))
    {
        return event.into();
    }
    let event = String::from_utf8_lossy(event);
    let text = event.strip_suffix('\n').unwrap_or(&event);
    let mut line = String::with_capacity(event.len());
    for letter in text.chars() {
        if letter.is_control() || is_direction(letter) {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line.push('\n');
    line.into_bytes().into()
}

/// Marks that make a terminal show text in another order than it has.
fn is_direction(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let escaped = |event: &str| String::from_utf8(escape(event.as_bytes()).into()).unwrap();
        assert_eq!(escaped("INFO path=/a\n"), "INFO path=/a\n");
        assert_eq!(escaped("a\r\nINFO forged\u{1b}[2J\n"), "a\\r\\nINFO forged\\u{1b}[2J\n");
        assert_eq!(escaped("\u{9b}2J\u{202e}x"), "\\u{9b}2J\\u{202e}x\n");
        assert_eq!(escaped("no end"), "no end\n");
    }
}
