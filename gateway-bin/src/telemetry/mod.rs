//! The log: lines on standard error, one event each.

mod lines;

use std::borrow::Cow;
use std::io::{self, Write};
use std::thread;

use gateway::Assembly;
use gateway_layers::access_log::{self, AccessLog};
use tracing::Level;
use tracing_subscriber::EnvFilter;

use self::lines::Lines;

static LINES: Lines = Lines::new();

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
    let write = || {
        LINES.write_to(&mut io::stderr(), |lines| {
            tracing::warn!(lines, "lines of the log were dropped: nobody took them in time");
        });
    };
    let spawned = thread::Builder::new().name("log".to_owned()).spawn(write);
    spawned.map(drop).map_err(|error| format!("no thread for the log: {error}"))
}

/// With the access log, in the lines of all else, if the filter of the log wants it.
pub(crate) fn observed(assembly: Assembly) -> Assembly {
    if !tracing::enabled!(target: access_log::TARGET, Level::INFO) {
        return assembly;
    }
    assembly.observer(AccessLog::lines(|line| LINES.add(line.as_bytes())))
}

/// Waits for what is not written yet, though not for long: before the program ends.
pub(crate) fn finish() {
    LINES.finish();
}

/// Writes events to standard error so that what clients and upstreams say can neither end a line
/// nor steer a terminal. They are written now, behind the lines of the access log, which wait for
/// each other for a moment.
struct Escaping;

impl Write for Escaping {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // One call is one event: the formatter writes it whole, with its newline.
        LINES.add_now(&escape(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
