//! `gateway check`: says everything that is wrong with a document.

use super::{Failure, warn};
use crate::args::Check;
use crate::terminal::say;

pub(crate) fn check(arguments: &Check) -> Result<(), Failure> {
    let assembled = gateway::load(&arguments.document.config).assemble().map_err(|problems| {
        let found = count(problems.len(), "problem");
        format!("{problems}\n{found}; nothing would start")
    })?;
    warn(&assembled);
    let warnings = assembled.warnings().len();
    if arguments.strict && warnings > 0 {
        return Err(format!("{}; not allowed with --strict", count(warnings, "warning")).into());
    }
    let document = assembled.document();
    for listener in &document.listeners {
        if let Some(line) = assembled.describe_listener(&listener.name) {
            say(&line);
        }
    }
    say(&format!(
        "{}: good ({}, {}, {})",
        arguments.document.config.display(),
        count(document.listeners.len(), "listener"),
        count(document.clusters.len(), "cluster"),
        count(document.routes.len(), "route")
    ));
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
