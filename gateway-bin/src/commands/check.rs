//! `gateway check`: says everything that is wrong with a document.

use super::{Failure, warn};
use crate::args::Document;
use crate::terminal::say;

pub(crate) fn check(arguments: &Document) -> Result<(), Failure> {
    let assembled = gateway::load(&arguments.config).assemble().map_err(|problems| {
        let count = problems.len();
        let found = if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") };
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
        "{}: good ({} listeners, {} clusters, {} routes)",
        arguments.config.display(),
        document.listeners.len(),
        document.clusters.len(),
        document.routes.len()
    ));
    Ok(())
}
