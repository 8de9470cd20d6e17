//! The log: lines on standard error, one event each.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

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
        .with_writer(Escaping)
        .finish();
    tracing::subscriber::set_global_default(log).map_err(|error| error.to_string())
}

/// Writes events to standard error so that what clients and upstreams say can neither end a line
/// nor steer a terminal.
#[derive(Clone, Copy)]
struct Escaping;

impl<'w> MakeWriter<'w> for Escaping {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        *self
    }
}

impl Write for Escaping {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // One call is one event: the formatter writes it whole, with its newline.
        let line = escape(&String::from_utf8_lossy(event));
        io::stderr().lock().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn escape(event: &str) -> String {
    let text = event.strip_suffix('\n').unwrap_or(event);
    let mut line = String::with_capacity(event.len());
    for letter in text.chars() {
        if letter.is_control() || is_direction(letter) {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line.push('\n');
    line
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
        assert_eq!(escape("INFO path=/a\n"), "INFO path=/a\n");
        assert_eq!(escape("a\r\nINFO forged\u{1b}[2J\n"), "a\\r\\nINFO forged\\u{1b}[2J\n");
        assert_eq!(escape("\u{9b}2J\u{202e}x"), "\\u{9b}2J\\u{202e}x\n");
    }
}
