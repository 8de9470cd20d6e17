//! `request_headers` and `response_headers`.

use gateway_core::route::{HeaderEdits, RouteError};

use crate::config::reader::Field;
use crate::config::value::quote;

pub(in crate::config) fn read(field: Field<'_>) -> Option<HeaderEdits> {
    let mut table = field.table("{ set = { x-a = \"1\" }, add = {}, remove = [\"x-b\"] }")?;
    let mut edits = HeaderEdits::new();
    let lines = "a table such as { x-a = \"1\" }";
    for (name, field) in table.take("set").map(|field| field.entries(lines)).unwrap_or_default() {
        if let Some(value) = field.text("text") {
            note(HeaderEdits::new().set(name, value), &field, |one| {
                edits.set.extend(one.set);
            });
        }
    }
    for (name, field) in table.take("add").map(|field| field.entries(lines)).unwrap_or_default() {
        if let Some(value) = field.text("text") {
            note(HeaderEdits::new().add(name, value), &field, |one| {
                edits.add.extend(one.add);
            });
        }
    }
    if let Some(field) = table.take("remove") {
        field.list("a list of header names such as [\"x-b\"]", |field| {
            let name = field.text("a header name")?;
            note(HeaderEdits::new().remove(name), &field, |one| {
                edits.remove.extend(one.remove);
            });
            Some(())
        });
    }
    table.finish();
    Some(edits)
}

/// Takes what could be edited; else notes what was found, a name or a value.
fn note(edits: Result<HeaderEdits, RouteError>, field: &Field<'_>, take: impl FnOnce(HeaderEdits)) {
    match edits {
        Ok(edits) => take(edits),
        Err(error) => {
            let found = quote(error.found());
            field.note::<()>(format!("found {found}, expected {}", error.expected()));
        }
    }
}
