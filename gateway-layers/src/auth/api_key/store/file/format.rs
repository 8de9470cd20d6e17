//! The text of a file of keys.

use std::ffi::OsStr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::super::record::KeyRecord;
use super::super::super::written::Written;
use super::super::StoreError;
use super::super::table::Table;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(default)]
    keys: Vec<Written>,
}

fn is_json(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("json"))
}

/// The keys that `text` has. What is said of an error names its place and repeats nothing.
pub(super) fn read(path: &Path, text: &str) -> Result<Table, String> {
    let whole: Whole = if is_json(path) {
        serde_json::from_str(text)
            .map_err(|error| format!("line {}, column {}", error.line(), error.column()))
    } else {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            format!("line {}", before.matches('\n').count() + 1)
        })
    }
    .map_err(|place| format!("it cannot be understood at {place}, expected a list `keys`"))?;
    let records = whole.keys.into_iter().map(KeyRecord::try_from);
    let records: Vec<_> = records.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Table::new(records).map_err(|error| error.to_string())
}

/// The text of a file with these keys.
pub(super) fn write(path: &Path, table: &Table) -> Result<String, StoreError> {
    let whole = Whole { keys: table.list().map(Written::from).collect() };
    let failed = |error: String| StoreError::Rejected(error);
    if is_json(path) {
        serde_json::to_string_pretty(&whole).map_err(|error| failed(error.to_string()))
    } else {
        toml::to_string(&whole).map_err(|error| failed(error.to_string()))
    }
}
