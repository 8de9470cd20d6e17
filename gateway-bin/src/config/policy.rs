//! `policy`: what stands between a route and its target.

use std::time::Duration;

use gateway_core::route::{HeaderEdits, RouteError};

use super::reader::Field;
use super::units::{duration, size};

/// The time a request has in all, unless its route says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The bytes a request body may have, unless its route says otherwise: 10 MiB.
pub const DEFAULT_BODY_LIMIT: u64 = 10 * 1024 * 1024;

/// What stands between a route and its target.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// `timeout`: from the request's head to the answer's, in all. `"0s"` is off. Default: 30 s.
    pub timeout: Option<Duration>,
    /// `try_timeout`: for one try at an endpoint, until the head of its answer. `"0s"` is off.
    /// Default: none of the route's own.
    pub try_timeout: Option<Duration>,
    /// `request_headers`: `set`, `add`, `remove`.
    pub request_headers: HeaderEdits,
    /// `response_headers`: `set`, `add`, `remove`.
    pub response_headers: HeaderEdits,
    /// `body_limit`: the most bytes of a request body; `"off"`: any number. Default: 10 MiB.
    pub body_limit: Option<u64>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Some(DEFAULT_TIMEOUT),
            try_timeout: None,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            body_limit: Some(DEFAULT_BODY_LIMIT),
        }
    }
}

impl Policy {
    pub(super) fn read(field: Field<'_>) -> Option<Self> {
        let mut table = field.table("{ timeout = \"30s\" }")?;
        let mut policy = Self::default();
        table.set("timeout", &mut policy.timeout, |field| {
            Some(Some(duration(&field)?).filter(|timeout| !timeout.is_zero()))
        });
        table.set("try_timeout", &mut policy.try_timeout, |field| {
            Some(Some(duration(&field)?).filter(|timeout| !timeout.is_zero()))
        });
        table.set("request_headers", &mut policy.request_headers, header_edits);
        table.set("response_headers", &mut policy.response_headers, header_edits);
        table.set("body_limit", &mut policy.body_limit, |field| match field.peek_text() {
            Some("off") => Some(None),
            _ => size(&field).map(Some),
        });
        table.finish();
        Some(policy)
    }
}

fn header_edits(field: Field<'_>) -> Option<HeaderEdits> {
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
            let found = super::value::quote(error.found());
            field.note::<()>(format!("found {found}, expected {}", error.expected()));
        }
    }
}
