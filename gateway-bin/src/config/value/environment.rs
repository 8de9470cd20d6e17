//! The environment over the document.
//!
//! `GATEWAY__LISTENERS__0__ADDRESS=127.0.0.1:9090` sets `listeners[0].address`. Two underscores
//! separate the parts of the path. A part is the key of a table, upper or lower case, `-` written
//! `_`; or the index of a list, where the length of the list adds an element. What the variable
//! holds is read as the key needs it; a value that begins with `[` or `{` and is TOML is a list or
//! table. Variables are taken in the order of their paths.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::sync::Arc;

use super::toml::parse_inline;
use super::{Data, Entry, Value, index_path, key_path};
use crate::config::problem::{Place, Problem, Severity};

/// What the names of overriding variables begin with.
const PREFIX: &str = "GATEWAY__";

/// Sets what `variables` say in `root`.
pub(in crate::config) fn overlay(
    root: &mut Value,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    file: &Arc<str>,
) -> Vec<Problem> {
    let mut overrides: Vec<_> = variables.into_iter().filter_map(Override::read).collect();
    overrides.sort_by(|one, other| compare(&one.parts, &other.parts));
    let mut problems = Vec::new();
    for one in overrides {
        let place = Place::Variable(one.name.as_str().into());
        let outcome = match one.value.into_string() {
            Ok(text) => set(root, &one.parts, "", value_of(text, &place)),
            Err(_) => Err((String::new(), "is not UTF-8".to_owned())),
        };
        if let Err((path, message)) = outcome {
            let file = Arc::clone(file);
            problems.push(Problem { severity: Severity::Error, file, place, path, message });
        }
    }
    problems
}

struct Override {
    name: String,
    parts: Vec<String>,
    value: OsString,
}

impl Override {
    fn read((name, value): (OsString, OsString)) -> Option<Self> {
        let name = name.into_string().ok()?;
        let parts = name.strip_prefix(PREFIX)?.split("__").map(str::to_ascii_lowercase).collect();
        Some(Self { name, parts, value })
    }
}

/// Indexes by number, so that element 10 is added after element 9.
fn compare(one: &[String], other: &[String]) -> Ordering {
    let key = |part: &String| (part.parse::<usize>().ok(), part.clone());
    one.iter().map(key).cmp(other.iter().map(key))
}

fn value_of(text: String, place: &Place) -> Value {
    let inline = text.starts_with(['[', '{']).then(|| parse_inline(&text, place)).flatten();
    inline.unwrap_or_else(|| Value { place: place.clone(), data: Data::Raw(text) })
}

/// Sets `value` at `parts` below `target`; else the path that cannot be and why.
fn set(
    target: &mut Value,
    parts: &[String],
    path: &str,
    value: Value,
) -> Result<(), (String, String)> {
    let Some((part, rest)) = parts.split_first() else {
        *target = value;
        return Ok(());
    };
    if part.is_empty() {
        let message = "an empty part in the name, expected the parts of a path with __ between";
        return Err((path.to_owned(), message.to_owned()));
    }
    let place = value.place.clone();
    let fresh = || Value { place: place.clone(), data: empty(rest) };
    match &mut target.data {
        Data::Table(entries) => {
            let known = entries.iter().position(|entry| same(&entry.name, part));
            let known = known.unwrap_or_else(|| {
                let name = part.clone();
                entries.push(Entry { name, place: place.clone(), value: fresh() });
                entries.len() - 1
            });
            let entry = &mut entries[known];
            let path = key_path(path, &entry.name);
            set(&mut entry.value, rest, &path, value)
        }
        Data::List(values) => {
            let count = values.len();
            let Some(index) = part.parse::<usize>().ok().filter(|index| *index <= count) else {
                return Err((
                    path.to_owned(),
                    format!(
                        "found the index {}, expected a number from 0 to {count}",
                        super::quote(part)
                    ),
                ));
            };
            if index == count {
                values.push(fresh());
            }
            set(&mut values[index], rest, &index_path(path, index), value)
        }
        _ => {
            // A shorter form of the same thing (a text where a table is possible) gives way.
            target.data = empty(parts);
            target.place = place;
            set(target, parts, path, value)
        }
    }
}

/// What `parts` can be set in: a list for an index, else a table.
fn empty(parts: &[String]) -> Data {
    match parts.first() {
        Some(part) if part.parse::<usize>().is_ok() => Data::List(Vec::new()),
        _ => Data::Table(Vec::new()),
    }
}

fn same(name: &str, part: &str) -> bool {
    name.replace('-', "_").eq_ignore_ascii_case(part)
}
