//! `gateway check`: says everything that is wrong with a document.

use super::{Failure, warn};
use crate::args::Document;
use crate::terminal::say;

pub(crate) fn check(arguments: &Document) -> Result<(), Failure> {
    let assembled = gateway::load(&arguments.config).assemble().map_err(|problems| {
        let found = count(problems.len(), "problem");
        format!("{problems}\n{found}; nothing would start")
    })?;
    warn(&assembled);
    let document = assembled.document();
    for listener in &document.listeners {
        if let Some(line) = assembled.describe_listener(&listener.name) {
            say(&line);
        }
    }
    say(&format!(
        "{}: good ({}, {}, {})",
        arguments.config.display(),
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
