//! The one place that writes to the terminal. A reader that went away is no failure.

use std::io::{self, Write};

/// Writes a line of a command's result.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Writes a line about the command itself: start, warnings, failures.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
